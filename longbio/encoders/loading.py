"""`load`: a checkpoint folder becomes a native transformers model on a named kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, BertTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from longbio.attention.kernels import Kernel, kernel_named
from longbio.encoders import bigbird, longformer
from longbio.encoders.card_calls import CLASSES
from longbio.encoders.casing import Casing, decide
from longbio.encoders.config_checks import refuse_gaps, refuse_misfits, refuse_without_type
from longbio.encoders.families import HEADS, dropout_names
from longbio.encoders.heads import initialise
from longbio.encoders.tokenizer_files import REMEDY, TokenizerFiles
from longbio.errors import LongbioError

logger = logging.getLogger(__name__)

TASKS: dict[str, Any] = {task: getattr(transformers, name) for task, name in CLASSES.items()}

NEW_HEADS: dict[str, tuple[str, ...]] = {
    "features": (),
    "mlm": HEADS,
    "ner": ("classifier.", "head."),
    "qa": ("qa_outputs.", "qa_classifier.", "classifier.", "head."),
    "classification": ("classifier.", "pre_classifier.", "head."),
}
"""The weights that a task may start at random: its own head, nothing else; that of masked LM when
it is asked for."""

DTYPES = ("float32", "bfloat16", "float16")
"""What weights may be loaded as."""

MAX_SAID_CHARS = 120
"""What a message quotes of a library's, at most."""

INSTALL: dict[str, Callable[..., None]] = {
    "longformer": longformer.install,
    "big_bird": bigbird.install,
}
"""Where a kernel goes, by the config's `model_type`."""


def load(
    path: str | Path,
    task: str = "features",
    kernel: str = "auto",
    *,
    new_head: bool = False,
    own_head: bool = False,
    head_seed: int | None = None,
    for_training: bool = False,
    dropout: float | None = None,
    bigbird_pattern: str = "longbio",
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    **config_changes: Any,
) -> PreTrainedModel:
    """A native model whose attention runs on the named kernel, in evaluation mode.

    Transformers takes it for one of its own. A short model (BERT, RoBERTa, ...) has no kernel.

    Args:
        path: a checkpoint folder, or a name on the Hugging Face hub.
        task: `features`, `mlm`, `ner`, `qa` or `classification`.
        kernel: `auto`, one of `attention.kernels.KERNELS`, or `stock` for Hugging Face's own attention.
        new_head: a masked-LM model may start without a head of its own.
        own_head: the task's head has to be in the checkpoint, for prediction.
        head_seed: of a head that is missing or has another shape; None for torch's generator.
        for_training: refuse a kernel that can't train the model here.
        dropout: replaces the config's probabilities, of hidden states and of attention weights.
        bigbird_pattern: `longbio`; or `stock-training` (on the slow `reference`) or `stock-evaluation`, one
            of Hugging Face's own two.
        device: `cpu`, `cuda` or `cuda:1`; None for the CPU.
        dtype: of its weights; None for what they are stored in. Train in float32: half precision loses
            small steps.
        config_changes: settings that replace those of the checkpoint's config, `num_labels=5`.

    Raises:
        LongbioError: weights are missing or have another shape; there is no such kernel, device or type here.

    Example:
        >>> model = longbio.load("long", task="ner", num_labels=3)
        >>> model.config.model_type, model.classifier.out_features
        ('longformer', 3)
    """
    place = ready_device(device or "cpu")
    refuse_dtype(dtype)
    _refuse_unknown("task", task, TASKS)
    _refuse_unknown("pattern", bigbird_pattern, bigbird.PATTERNS)
    chosen = None if kernel == "stock" else ready_kernel(kernel)
    config = config_of(path)
    changes = _all_changes(config, task, dtype, dropout, config_changes)
    if own_head:
        refuse_gaps(config, path)
    heads = () if own_head or (task == "mlm" and not new_head) else NEW_HEADS[task]
    model = _from_pretrained(path, TASKS[task], heads, head_seed, changes)
    if kernel != "stock" and config.model_type in INSTALL:
        if for_training:
            ready_kernel(kernel, gradients=True, dropout=model.config.attention_probs_dropout_prob)
        pattern = {"pattern": bigbird_pattern} if config.model_type == "big_bird" else {}
        INSTALL[config.model_type](model, chosen, **pattern)
    return model.eval().to(place)


def _refuse_unknown(kind: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise ValueError(f"there is no {kind} {name!r}; the {kind}s are {', '.join(names)}")


def _all_changes(
    config: Any, task: str, dtype: Any, dropout: float | None, config_changes: dict[str, Any]
) -> dict[str, Any]:
    """What replaces settings of the checkpoint's config."""
    changes = {"pad_token_id": config.pad_token_id}
    if dtype is not None:
        changes["dtype"] = dtype
    if task == "qa":
        changes["num_labels"] = 2  # where an answer starts and ends, whatever else was learned
    if dropout is not None:
        changes |= dict.fromkeys(dropout_names(config.model_type), dropout)
    changes |= config_changes
    if config.model_type == "longformer":
        longformer.refuse_windows(changes.get("attention_window", config.attention_window))
    return changes


def ready_device(name: str) -> torch.device:
    """The device of this name. Raises LongbioError where there is none here."""
    try:
        device = torch.device(name)
        # A tensor is put there: a valid name doesn't mean that there is such a device.
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise LongbioError(
            f"there is no {name!r} here", where="device", remedy="`longbio doctor` says what there is"
        ) from error
    return device


def refuse_dtype(dtype: Any) -> None:
    """Raise LongbioError unless weights can have a type: one of `DTYPES`, torch's own, or None."""
    if isinstance(dtype, str) and dtype not in DTYPES:
        raise LongbioError(
            f"weights can't have the type {dtype!r}", where="dtype", remedy=f"choose {', '.join(DTYPES)}"
        )


def _from_pretrained(
    path: str | Path, kind: Any, heads: tuple[str, ...], head_seed: int | None, changes: dict[str, Any]
) -> PreTrainedModel:
    """A model all of whose weights were there, but those that begin with `heads`."""
    with one_line(path), quiet():
        model, report = kind.from_pretrained(
            str(path), output_loading_info=True, ignore_mismatched_sizes=True, **changes
        )
    misfits = report["mismatched_keys"]
    refuse_misfits(path, misfits, () if head_seed is None else heads)
    _refuse_holes(path, heads, report["missing_keys"])
    if head_seed is not None:
        _draw(model, {*report["missing_keys"], *(name for name, *_ in misfits)}, head_seed)
    return cast("PreTrainedModel", model)


def set_kernel(model: PreTrainedModel, kernel: str) -> None:
    """Put another kernel into a long model that `load` gave; raises as `ready_kernel`."""
    if model.config.model_type not in INSTALL:
        raise ValueError(f"a {model.config.model_type} has no kernel; long models are {', '.join(INSTALL)}")
    INSTALL[model.config.model_type](model, ready_kernel(kernel))


def ready_kernel(name: str, *, gradients: bool = False, dropout: float = 0.0) -> Kernel | None:
    """The kernel of this name, None for `auto`; for asking before long work, too.

    Args:
        name: `auto` or one of `attention.kernels.KERNELS`.
        gradients: it is to learn, not only to predict.
        dropout: of attention weights.

    Raises:
        LongbioError: there is none, or this machine can't run it for that.
    """
    try:
        chosen = kernel_named(name)
    except ValueError as error:
        raise LongbioError(str(error), where="kernel") from error
    if chosen is not None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # At best: who learns is asked for more (`training.requirements`).
        with torch.set_grad_enabled(gradients):
            reason = chosen.supports(None, device=device, dtype=torch.bfloat16, dropout=dropout)
        if reason is not None:
            raise cannot_run(name, reason)
    return chosen


def cannot_run(kernel: str, reason: str) -> LongbioError:
    """What to raise of a kernel that was asked for."""
    return LongbioError(
        f"kernel {kernel!r} can't run here: {reason}", where="kernel", remedy="kernel='auto' picks one"
    )


def config_of(path: str | Path) -> Any:
    """The config of a checkpoint, with the tokenizer's padding id where it has none.

    Raises LongbioError where there is no config, or it names no family.
    """
    refuse_without_type(path)
    with one_line(path):
        config = AutoConfig.from_pretrained(str(path))
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = read_tokenizer(path)[0].pad_token_id
    return config


def load_tokenizer(path: str | Path) -> Any:
    """The tokenizer of a checkpoint, as `read_tokenizer`; a doubtful casing is told, once."""
    tokenizer, casing = read_tokenizer(path)
    if casing is not None and casing.is_doubtful and str(path) not in _told and parent_process() is None:
        _told.add(str(path))
        remedy = "do_lower_case and strip_accents in tokenizer_config.json decide"
        logger.warning("%s: %s; %s; %s", path, casing.reads, casing.loss, remedy)
    return tokenizer


_told: set[str] = set()
"""Checkpoints whose casing was told in this process."""


def read_tokenizer(path: str | Path, lowercase: bool | None = None) -> tuple[Any, Casing | None]:
    """The tokenizer of a checkpoint, without the cut and the padding of an earlier use, and its casing, or
    None where it isn't BERT's kind. All tokenizers are loaded here.

    Args:
        path: a checkpoint folder, or a name on the Hugging Face hub.
        lowercase: what the user says of a WordPiece tokenizer; None to find out.

    Raises:
        LongbioError: there is none, or it can't be read.
    """
    refuse_without_type(path)
    files = TokenizerFiles.of(path)
    files.refuse_damaged()
    tokenizer, casing = _auto_tokenizer(path, **files.changes()), None
    if isinstance(tokenizer, BertTokenizer):
        casing = decide(tokenizer.get_vocab(), files.stated(), lowercase)
        changes = {"do_lower_case": casing.lowercase, "strip_accents": casing.strip_accents}
        if changes != {name: getattr(tokenizer, name) for name in changes}:
            tokenizer = _auto_tokenizer(path, **files.changes(), **changes)
    elif not files.reads_alike(tokenizer):
        # A class that builds its own tokenizer has lost the file's normaliser: the file as it is.
        names = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(files.files["tokenizer.json"]), **names)
    if not tokenizer.is_fast:
        raise LongbioError("the tokenizer has no fast form, which offsets need", where=path, remedy=REMEDY)
    # What is kept of them would decide the hash of a tokenised corpus, and changes with each call.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer, casing


def _auto_tokenizer(path: str | Path, **changes: Any) -> Any:
    # Transformers and tokenizers raise plain Exception for a bad file.
    remedy = REMEDY if Path(path).is_dir() else "check the name, and the connection unless it is a folder"
    with one_line(path, "the tokenizer can't be read", remedy, (Exception,)):
        return AutoTokenizer.from_pretrained(str(path), **changes)


@torch.no_grad()
def _draw(model: PreTrainedModel, missing: Any, seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in sorted({name.rpartition(".")[0] for name in missing}):
            initialise(model, [model.get_submodule(name)])


def _refuse_holes(path: str | Path, heads: tuple[str, ...], missing: Any) -> None:
    holes = sorted(name for name in missing if not name.startswith(heads) and "pooler." not in name)
    if holes:
        what = f"{len(holes)} weights are missing, the first is {holes[0]}"
        raise LongbioError(
            what, where=path, remedy="convert the model again, or train the head this task needs"
        )


@contextmanager
def one_line(
    path: str | Path,
    what: str = "the checkpoint can't be loaded",
    remedy: str = "check the folder, or convert the model again",
    kinds: tuple[type[Exception], ...] = (OSError, RuntimeError, ValueError, SafetensorError),
) -> Iterator[None]:
    """What transformers says of a folder it can't load, in one line."""
    try:
        yield
    except kinds as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:MAX_SAID_CHARS]
        raise LongbioError(f"{what} ({reason})", where=path, remedy=remedy) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' report of unused and new weights: longbio checks them itself."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
