"""`load`: a checkpoint folder becomes a native transformers model on a named kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from longbio.attention.kernels import Kernel, named
from longbio.encoders import bigbird, longformer
from longbio.encoders.heads import initialise
from longbio.errors import LongbioError

TASKS: dict[str, Any] = {
    "features": transformers.AutoModel,
    "mlm": transformers.AutoModelForMaskedLM,
    "ner": transformers.AutoModelForTokenClassification,
    "qa": transformers.AutoModelForQuestionAnswering,
    "classification": transformers.AutoModelForSequenceClassification,
}

NEW_HEADS: dict[str, tuple[str, ...]] = {
    "features": (),
    "mlm": ("lm_head.", "cls.", "generator_predictions.", "generator_lm_head.", "vocab_"),
    "ner": ("classifier.", "head."),
    "qa": ("qa_outputs.", "qa_classifier.", "classifier.", "head."),
    "classification": ("classifier.", "pre_classifier.", "head."),
}
"""The weights that a task may start at random: its own head, nothing else; that of masked LM when
it is asked for."""

FAMILIES: dict[str, Callable[..., None]] = {
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
    head_seed: int | None = None,
    for_training: bool = False,
    dropout: float | None = None,
    bigbird_pattern: str = "longbio",
    **config_changes: Any,
) -> PreTrainedModel:
    """A native model whose attention runs on the named kernel, in evaluation mode.

    `AutoModel*`, `save_pretrained` and pipelines accept what comes back as if transformers had
    loaded it. A short model (BERT, RoBERTa, ...) has no kernel and comes back as it is. Weights have
    the type they are stored in; who trains says `dtype=torch.float32`, for small steps are lost in
    half precision.

    Args:
        path: a checkpoint folder, or a name on the Hugging Face hub.
        task: `features`, `mlm`, `ner`, `qa` or `classification`.
        kernel: `auto`, a name of `attention.kernels.KERNELS`, or `stock` for Hugging Face's own
            attention.
        new_head: let a masked-LM model start without a head of its own.
        head_seed: of the weights that the checkpoint lacks; None to draw them from torch's generator.
            How much transformers draws before them depends on what the process did before.
        for_training: refuse a kernel that can't train the model here, without gradients or without the
            dropout of its attention weights; otherwise it need only run it.
        dropout: replaces the config's probabilities, for hidden states and for attention,
            under whatever name the family gives them.
        bigbird_pattern: `longbio`, or `stock-training` or `stock-evaluation` to reproduce Hugging
            Face's BigBird with one of its two patterns. The first of these differs from head to
            head and runs on the slow `reference`.
        config_changes: settings that replace those of the checkpoint's config, `num_labels=5`.

    Raises:
        LongbioError: weights are missing from the folder or have the wrong shape.
        ValueError: an unknown task, kernel or pattern, or a kernel that can't run here.
    """
    if task not in TASKS:
        raise ValueError(f"there is no task {task!r}; the tasks are {', '.join(TASKS)}")
    if bigbird_pattern not in bigbird.PATTERNS:
        names = ", ".join(bigbird.PATTERNS)
        raise ValueError(f"there is no pattern {bigbird_pattern!r}; the patterns are {names}")
    changes = dict(config_changes)
    chosen = None if kernel == "stock" else _ready(kernel)
    config = config_of(path)
    if config.model_type == "longformer":
        longformer.refuse_windows(changes.get("attention_window", config.attention_window))
    if dropout is not None:
        changes |= dict.fromkeys(dropout_names(config.model_type), dropout)
    with one_line(path), quiet():
        model, report = TASKS[task].from_pretrained(str(path), output_loading_info=True, **changes)
    if for_training and kernel != "stock" and config.model_type in FAMILIES:
        _ready(kernel, gradients=True, dropout=model.config.attention_probs_dropout_prob)
    heads = () if task == "mlm" and not new_head else NEW_HEADS[task]
    _refuse_holes(path, heads, report["missing_keys"])
    if head_seed is not None:
        _draw(model, report["missing_keys"], head_seed)

    if kernel != "stock" and config.model_type == "big_bird":
        bigbird.install(model, chosen, bigbird_pattern)
    elif kernel != "stock" and config.model_type in FAMILIES:
        FAMILIES[config.model_type](model, chosen)
    loaded: PreTrainedModel = model.eval()
    return loaded


def set_kernel(model: PreTrainedModel, kernel: str) -> None:
    """Put another kernel into a long model that `load` gave.

    Raises:
        ValueError: there is no such kernel, or the model isn't a long one.
    """
    if model.config.model_type not in FAMILIES:
        raise ValueError(f"a {model.config.model_type} has no kernel; long models are {', '.join(FAMILIES)}")
    FAMILIES[model.config.model_type](model, _ready(kernel))


def _ready(kernel: str, *, gradients: bool = False, dropout: float = 0.0) -> Kernel | None:
    """The kernel of this name, None for `auto`; raises when this machine can't run it, or not for that."""
    chosen = named(kernel)
    if chosen is not None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.set_grad_enabled(gradients):
            reason = chosen.supports(None, device=device, dtype=torch.bfloat16, dropout=dropout)
        if reason is not None:
            raise ValueError(f"kernel {kernel!r} can't run here: {reason}; kernel='auto' picks one")
    return chosen


def dropout_names(model_type: str) -> tuple[str, str]:
    """What a family's config calls the dropout of hidden states and of attention weights."""
    if model_type == "distilbert":
        return "dropout", "attention_dropout"
    if model_type == "modernbert":
        return "mlp_dropout", "attention_dropout"
    return "hidden_dropout_prob", "attention_probs_dropout_prob"


def config_of(path: str | Path) -> Any:
    """The config of a checkpoint.

    Raises:
        LongbioError: there is none.
    """
    with one_line(path):
        return AutoConfig.from_pretrained(str(path))


def load_tokenizer(path: str | Path) -> Any:
    """The tokenizer of a checkpoint, without the cut and the padding of an earlier use.

    Raises:
        LongbioError: there is none.
    """
    with one_line(path):
        tokenizer = AutoTokenizer.from_pretrained(str(path))
    # What is kept of them would decide the hash of a tokenised corpus, and changes with each call.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


@torch.no_grad()
def _draw(model: PreTrainedModel, missing: Any, seed: int) -> None:
    """Initialise the modules of missing weights by the model's own rule, from a seed of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in sorted({name.rpartition(".")[0] for name in missing}):
            initialise(model, [model.get_submodule(name)])


def _refuse_holes(path: str | Path, heads: tuple[str, ...], missing: Any) -> None:
    holes = sorted(name for name in missing if not name.startswith(heads) and "pooler." not in name)
    if holes:
        raise LongbioError(
            f"{len(holes)} weights are missing, the first is {holes[0]}",
            where=path,
            remedy="convert the model again, or train the head this task needs",
        )


@contextmanager
def one_line(path: str | Path) -> Iterator[None]:
    """What transformers says of a folder it can't load, in one line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise LongbioError(
            f"the checkpoint can't be loaded ({str(error).splitlines()[0]})",
            where=path,
            remedy="check the folder, or convert the model again",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers' report of unused and new weights is for those who can't check them."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
