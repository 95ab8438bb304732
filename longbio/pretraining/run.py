"""`pretrain`: the phases of a curriculum, one after another, each resumable."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tensorboardX import SummaryWriter
from transformers import AutoConfig, AutoModelForMaskedLM, TrainerCallback, set_seed
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    get_reporting_integration_callbacks,
)

from longbio.artifacts.atomic_files import write_json
from longbio.artifacts.checkpoints import checkpoint_digest, shape_digest
from longbio.artifacts.runs import Run
from longbio.artifacts.staged_folders import refuse_unless_writable, staged_folder
from longbio.encoders.families import FAMILIES, setting
from longbio.encoders.loading import config_of, load, load_tokenizer, one_line, quiet
from longbio.errors import LongbioError
from longbio.pretraining.corpora import prepare
from longbio.pretraining.curriculum import Curriculum
from longbio.pretraining.curves import Metrics, draw_curves
from longbio.pretraining.holding_out import HeldOut, Source
from longbio.pretraining.masked_samples import MaskedSamples
from longbio.pretraining.phase import Phase, training_settings
from longbio.pretraining.train_phase import REPORT, refuse_positions, train_phase, work_folder
from longbio.pretraining.trainable import choose_learning
from longbio.progress import Narrator, Silence
from longbio.training.processes import open_together, processes
from longbio.training.requirements import refuse_kernel, refuse_settings
from longbio.training.settings import Machine
from longbio.training.trainer import title_of_run

METRICS, CURVES = "metrics.jsonl", "curves.png"

BYTES_PER_NUMBER = 4


def pretrain(curriculum: Curriculum, tell: Narrator | None = None) -> dict[str, Any]:
    """Run a curriculum, or what is left of it.

    Returns:
        What is saved as `results.json`: of each phase bits per masked token before and after, and
        the documents that were held out or dropped.

    Raises:
        LongbioError: `out` holds another run, or one is at work there, a corpus holds no text, a phase
            can't be run.
    """
    out, folder = curriculum.out, Path(curriculum.model).expanduser()
    to_do = [
        phase
        for number, phase in enumerate(curriculum.phases, start=1)
        if not (_target(out, number, phase) / REPORT).is_file()
    ]
    check(curriculum, folder, to_do)
    with open_together(out, plan_of(curriculum, folder)) as run:
        return _run(curriculum, run, folder, to_do, tell or Silence())


def _run(
    curriculum: Curriculum, run: Run, folder: Path, to_do: Sequence[Phase], tell: Narrator
) -> dict[str, Any]:
    out = curriculum.out
    with processes().main_process_first():
        if curriculum.random_weights:
            folder = _random_model(curriculum)
            _refuse_what_cannot_learn(folder)
        _refuse_weights(curriculum, folder, to_do)
        sources, held_out, described = prepare(curriculum, folder, tell)
        # What was held out when a run began stays held out: its texts stay what they were.
        keys = {name: corpus["key"] for name, corpus in described.items()}
        run.bind({"texts": keys | {"validation": held_out.corpus.folder.name}})
    reports: list[dict[str, Any]] = []
    for number, phase in enumerate(curriculum.phases, start=1):
        before = reports[-1]["bits_after"] if reports else None
        reports.append(_phase(curriculum, folder, sources, held_out, number, before, tell))
        folder = _target(out, number, phase)
    results = {
        "corpora": described,
        "phases": [
            {
                "name": phase.name,
                **{k: report[k] for k in ("bits_before", "bits_after", "filled")},
                "perplexity": {length: 2**bits for length, bits in report["bits_after"].items()},
            }
            for phase, report in zip(curriculum.phases, reports, strict=True)
        ],
    }
    if processes().is_main_process:
        write_json(out / "results.json", results)
        draw_curves(out / METRICS, out / CURVES)
    tell.end(f"{folder} is the last checkpoint; curves: {out / CURVES}")
    return results


def check(curriculum: Curriculum, folder: Path, phases: Sequence[Phase]) -> None:
    """What can be known before a corpus is read or anything is written.

    Raises:
        LongbioError: a place can't be written to, a tracker isn't installed, the model has too few
            positions, or this machine lacks what the kernel, the precision or the optimizer needs.
    """
    machine = curriculum.machine
    for place in (curriculum.out, curriculum.cache):
        refuse_unless_writable(place)
    for name in curriculum.trackers:
        if name != "tensorboard" and importlib.util.find_spec(name) is None:
            raise LongbioError(f"{name} isn't installed", where="trackers", remedy=f"pip install {name}")
    if curriculum.random_weights:
        load_tokenizer(curriculum.tokenizer or folder)
    else:
        _refuse_what_cannot_learn(folder)
    config = config_of(folder)
    for phase in phases:
        refuse_settings(training_settings(phase, machine, curriculum.seed))
        refuse_kernel(machine.kernel, machine.precision, config.model_type, phase.dropout)
        refuse_positions(phase, curriculum.validation.lengths, config, folder)


def _refuse_weights(curriculum: Curriculum, folder: Path, phases: Sequence[Phase]) -> None:
    """Weights that are missing, or rows that a phase shall learn and there aren't."""
    if phases and phases[0] is curriculum.phases[0]:
        new_head = phases[0].learns == "head"
        model = load(folder, "mlm", curriculum.machine.kernel, new_head=new_head, dtype=torch.float32)
        for phase in phases:
            choose_learning(model, phase.learns, phase.new_from, global_cls=phase.global_cls)


def _target(out: Path, number: int, phase: Phase) -> Path:
    return out / f"v0.{number}-{phase.name}"


def _phase(
    curriculum: Curriculum,
    folder: Path,
    sources: dict[str, Source],
    held_out: HeldOut,
    number: int,
    bits_before: dict[str, float] | None,
    tell: Narrator,
) -> dict[str, Any]:
    phase = curriculum.phases[number - 1]
    target = _target(curriculum.out, number, phase)
    with quiet():
        config = AutoConfig.from_pretrained(str(folder))
    needed = training_bytes(config, phase, curriculum.machine, processes().num_processes)
    title = f"phase {number} of {len(curriculum.phases)}: {phase.name}"
    title += f", about {needed / 1e9:.1f} GB of memory"
    advance = tell.begin(title_of_run(title, work_folder(target), phase.num_steps), phase.num_steps)

    def callbacks(samples: MaskedSamples) -> list[TrainerCallback]:
        metrics = Metrics(curriculum.out / METRICS, phase, number, samples)
        return [metrics, *_trackers(curriculum, phase)]

    report = train_phase(
        folder,
        sources,
        held_out,
        phase,
        target,
        machine=curriculum.machine,
        seed=curriculum.seed,
        number=number,
        bits_before=bits_before,
        on_step=lambda step, loss: advance(step, f"loss {loss:.3f}"),
        callbacks=callbacks,
    )
    before, after = report["bits_before"], report["bits_after"]
    bits = ", ".join(f"{before[length]:.3f} -> {after[length]:.3f} at {length}" for length in after)
    tell.end(f"bits per masked token of held-out documents {bits}")
    return report


def _trackers(curriculum: Curriculum, phase: Phase) -> list[TrainerCallback]:
    """Transformers' own callbacks; TensorBoard's writes into the run folder."""
    made: list[TrainerCallback] = []
    for name in curriculum.trackers if processes().is_main_process else []:
        if name == "tensorboard":
            made.append(TensorBoardCallback(SummaryWriter(str(curriculum.out / "tensorboard" / phase.name))))
        else:
            made += [kind() for kind in get_reporting_integration_callbacks([name])]
    return made


def plan_of(curriculum: Curriculum, model: Path) -> dict[str, Any]:
    """All that decides the results of a curriculum, but for its texts; how the machine does it may change.

    Raises:
        LongbioError: the model or the tokenizer can't be read.
    """
    asked = curriculum.model_dump(mode="json", exclude={"machine", "cache", "trackers", "out"})
    # Where texts lie may change: what they hold is bound when they have been read.
    for corpus in (*asked["corpora"].values(), asked["validation"]["corpus"] or {}):
        corpus.pop("paths", None)
    # Random weights take the shape of the model, and its words or those of another tokenizer.
    asked["model"] = (shape_digest if curriculum.random_weights else checkpoint_digest)(model)
    if curriculum.tokenizer is not None:
        asked["tokenizer"] = shape_digest(Path(curriculum.tokenizer).expanduser())
    return asked


def _refuse_what_cannot_learn(folder: Path) -> None:
    """What would only be found out when the corpora are tokenised."""
    tokenizer = load_tokenizer(folder)
    with one_line(folder):
        config = AutoConfig.from_pretrained(str(folder))
    if config.model_type not in FAMILIES:
        raise LongbioError(
            f"masked words can't be learned by a model of type {config.model_type}",
            where=folder,
            remedy=f"take one of {', '.join(FAMILIES)}",
        )
    names = ("cls_token", "sep_token", "mask_token", "pad_token")
    missing = [name for name in names if getattr(tokenizer, f"{name}_id") is None]
    if missing:
        raise LongbioError(f"the tokenizer has no {', '.join(missing)}", where=folder)
    if len(tokenizer) > config.vocab_size:
        raise LongbioError(
            f"the tokenizer has {len(tokenizer)} tokens and the model {config.vocab_size}", where=folder
        )


def _random_model(curriculum: Curriculum) -> Path:
    """A checkpoint in the shape of the model, its weights at random."""
    folder = curriculum.out / "v0.0-random"
    if folder.is_dir():
        return folder
    set_seed(curriculum.seed)
    tokenizer = load_tokenizer(curriculum.tokenizer or curriculum.model)
    with one_line(curriculum.model):
        config = AutoConfig.from_pretrained(curriculum.model)
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    with staged_folder(folder) as partial:
        AutoModelForMaskedLM.from_config(config).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return folder


def training_bytes(config: Any, phase: Phase, machine: Machine, processes: int = 1) -> int:
    """Memory of one device during a step, about: weights, gradients, Adam's two moments, and what the
    backward pass needs. `processes` share the batch."""
    with torch.device("meta"):
        model = AutoModelForMaskedLM.from_config(config)
    weights = sum(weight.numel() for weight in model.parameters())
    learned = weights
    if phase.learns == "head":
        learned -= sum(weight.numel() for weight in model.base_model.parameters())
    tokens = (machine.device_batch or max(1, phase.batch // processes)) * phase.sequence_tokens
    layers = config.num_hidden_layers if phase.learns != "head" else 0
    kept = layers * tokens * kept_numbers(config)
    if machine.gradient_checkpointing:
        kept = tokens * (layers * config.hidden_size + kept_numbers(config))
    # Logits, their gradient, and the softmax between them.
    logits = 3 * phase.masking.rate_at(0.0) * tokens * config.vocab_size
    return int(BYTES_PER_NUMBER * (weights + 3 * learned + kept + logits))


def kept_numbers(config: Any) -> int:
    """Numbers that a layer keeps for its backward pass, for each token."""
    # Queries, keys, values, the context, three sums, two norms, dropout; and the inner layer before
    # and after its activation.
    return int(10 * config.hidden_size + 3 * setting(config, "intermediate_size"))
