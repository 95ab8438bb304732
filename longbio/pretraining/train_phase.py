"""`train_phase`: a checkpoint learns masked words and becomes another one."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel, set_seed

import longbio
from longbio.artifacts.atomic_files import read_json, write_json
from longbio.artifacts.cards import markdown_table
from longbio.artifacts.staged_folders import staged_folder
from longbio.encoders.card_calls import call, card, what_is_global
from longbio.encoders.families import FAMILIES, max_positions, takes_global
from longbio.encoders.loading import load, load_tokenizer
from longbio.encoders.longformer import refresh_global_projections
from longbio.encoders.saving import save_whole
from longbio.errors import LongbioError
from longbio.masked_lm.head import start_head, summed_loss
from longbio.masked_lm.masking import Ids, Phrases, Vocabulary
from longbio.masked_lm.pmi import mine_phrases
from longbio.pretraining.holding_out import HeldOut, Source
from longbio.pretraining.masked_samples import Collator, MaskedSamples, Part
from longbio.pretraining.packing import Frame, plan
from longbio.pretraining.phase import Phase, training_settings
from longbio.pretraining.trainable import choose_learning
from longbio.training.processes import processes
from longbio.training.settings import Machine
from longbio.training.trainer import DIVERGED, OnStep, train

REPORT = "pretraining.json"
BEFORE = "bits-before.json"

PHRASE_TOKENS = 50_000_000
"""Phrases are mined from so many tokens at most."""

COUNTED_TOKENS = 10_000_000


def train_phase(
    model_folder: Path,
    sources: Mapping[str, Source],
    held_out: HeldOut,
    phase: Phase,
    out: Path,
    *,
    machine: Machine | None = None,
    seed: int = 0,
    number: int = 0,
    bits_before: Mapping[str, float] | None = None,
    on_step: OnStep = lambda step, loss: None,
    callbacks: Callable[[MaskedSamples], Sequence[transformers.TrainerCallback]] = lambda samples: (),
) -> dict[str, Any]:
    """Run one phase and leave a native checkpoint in `out`.

    Args:
        held_out: what it is measured on, before and after.
        out: the folder to make; when it is there already, nothing is done. What a killed run
            left beside it is taken up again.
        seed: of order, masks and dropout.
        bits_before: what the phase before this one measured at its end; None to measure it now.
        callbacks: made for the samples, told of everything.

    Returns:
        What is saved as `pretraining.json` in `out`: settings, losses in nats per masked token, bits per
        masked token before and after in the precision of the run, and how well sequences are filled.

    Raises:
        LongbioError: there is nothing to learn from, the model has too few positions or no head,
            or it has diverged.
    """
    work, state = work_folder(out), processes()
    if not (out / REPORT).is_file():
        machine = machine or Machine()
        report = {
            "phase": asdict(phase), "number": number, "origin": model_folder.name, "seed": seed,
            "precision": machine.precision,
        }  # fmt: skip
        set_seed(seed)
        _train(model_folder, sources, held_out, phase, out, machine, report, bits_before, on_step, callbacks)
    if state.is_main_process:
        shutil.rmtree(work, ignore_errors=True)
    state.wait_for_everyone()
    saved: dict[str, Any] = read_json(out / REPORT)
    return saved


def _train(
    model_folder: Path,
    sources: Mapping[str, Source],
    held_out: HeldOut,
    phase: Phase,
    out: Path,
    machine: Machine,
    report: dict[str, Any],
    bits_before: Mapping[str, float] | None,
    on_step: OnStep,
    callbacks: Callable[[MaskedSamples], Sequence[transformers.TrainerCallback]],
) -> None:
    tokenizer, state, work = load_tokenizer(model_folder), processes(), work_folder(out)
    model = load(
        model_folder,
        "mlm",
        machine.kernel,
        new_head=phase.learns == "head",
        for_training=True,
        dropout=phase.dropout,
        dtype=torch.float32,
    )
    config = model.config
    lengths = refuse_positions(phase, held_out.lengths, config, model_folder)

    def measure(model: Any) -> dict[str, float]:
        is_half = machine.precision == "bfloat16"
        with torch.autocast(state.device.type, torch.bfloat16, enabled=is_half):
            return held_out.bits(model.eval().to(state.device), tokenizer, lengths)

    samples = MaskedSamples(
        _parts(sources, phase, config),
        Frame.of(tokenizer),
        Vocabulary.of(tokenizer),
        phase.masking,
        count=phase.num_steps * phase.batch,
        seed=report["seed"],
        phase=report["number"],
    )
    if phase.learns == "head":
        start_head(model, _counts(sources, config.vocab_size))
    choose_learning(model, phase.learns, phase.new_from, global_cls=phase.global_cls)
    if not (work / BEFORE).is_file() and state.is_main_process:
        work.mkdir(parents=True, exist_ok=True)
        write_json(work / BEFORE, measure(model) if bits_before is None else dict(bits_before))
    state.wait_for_everyone()
    collate = Collator(
        config.model_type, tokenizer.pad_token_id, phase.global_cls, max_tokens=max_positions(config)
    )
    settings = training_settings(phase, machine, report["seed"])
    model, losses = train(model, samples, collate, summed_loss, settings, work, on_step, callbacks(samples))
    if state.is_main_process:
        report["sequences"], report["filled"] = sum(len(part.plan) for part in samples.parts), samples.filled
        report["bits_before"], report["bits_after"] = read_json(work / BEFORE), measure(model)
        _save(model, tokenizer, report | {"losses": losses}, model_folder, phase, out)


def refuse_positions(
    phase: Phase, lengths: Sequence[int], config: Any, model_folder: Path
) -> tuple[int, ...]:
    """The lengths that a model can be measured at; for asking before long work, too.

    Raises:
        LongbioError: it has fewer positions than the phase's sequences, or than every length.
    """
    positions = max_positions(config)
    if phase.sequence_tokens > positions:
        raise LongbioError(
            f"phase {phase.name} wants sequences of {phase.sequence_tokens} tokens,"
            f" the model has {positions} positions",
            where=model_folder,
            remedy="convert it to a longer one, or lower sequence_tokens",
        )
    fitting = tuple(length for length in lengths if length <= positions)
    if not fitting:
        raise LongbioError(
            f"no length to be measured at fits the model's {positions} positions",
            where="validation.lengths",
            remedy=f"name one up to {positions}",
        )
    return fitting


def work_folder(out: Path) -> Path:
    """What a killed run of a phase leaves beside the folder that it makes."""
    return out.with_name(out.name + ".training")


def _save(
    model: PreTrainedModel, tokenizer: Any, report: Mapping[str, Any], origin: Path, phase: Phase, out: Path
) -> None:
    if not all(map(math.isfinite, report["bits_after"].values())):
        raise LongbioError(
            f"the model of phase {phase.name} has diverged: its held-out bits are no numbers",
            where=out,
            remedy=DIVERGED,
        )
    with staged_folder(out) as partial:
        if phase.learns == "all" and not phase.global_cls:
            refresh_global_projections(model)
        save_whole(model, partial, origin=origin)
        tokenizer.save_pretrained(partial)
        write_json(partial / REPORT, report)
        (partial / "README.md").write_text(render_card(report, out.name, model.config.model_type))


def _parts(sources: Mapping[str, Source], phase: Phase, config: Any) -> list[Part]:
    unknown = set(phase.mixture) - set(sources)
    if unknown:
        raise LongbioError(
            f"phase {phase.name} mixes {', '.join(sorted(unknown))}; the corpora are {', '.join(sources)}",
            where="mixture",
        )
    block_tokens = config.block_size if config.model_type == "big_bird" else 1
    parts = []
    for name, source in sources.items():
        if phase.mixture.get(name, 0.0 if phase.mixture else 1.0) == 0:
            continue
        packing = plan(
            source.corpus.lengths,
            source.train,
            phase.sequence_tokens,
            block_tokens,
            alone=not FAMILIES[config.model_type].packs,
        )
        if not len(packing):
            raise LongbioError("there is no text to learn from", where=f"corpus {name}")
        weight = phase.mixture.get(name, float(len(packing)))
        phrases = _phrases(source, phase) if phase.masking.strategy == "pmi" else None
        parts.append(Part(source.corpus, packing, weight, phrases))
    if not parts:
        raise LongbioError("every corpus of the mixture has weight 0", where=f"phase {phase.name}")
    return parts


def _phrases(source: Source, phase: Phase) -> Phrases:
    documents = (source.corpus.document(n) for n in _first_documents(source, PHRASE_TOKENS))
    return mine_phrases(documents, size=phase.num_phrases)


def _counts(sources: Mapping[str, Source], vocab_size: int) -> Ids:
    counts = np.zeros(vocab_size, dtype=np.int64)
    for source in sources.values():
        for number in _first_documents(source, COUNTED_TOKENS):
            counts += np.bincount(source.corpus.document(number)[0], minlength=vocab_size)
    return counts


def _first_documents(source: Source, max_tokens: int) -> list[int]:
    """The first documents, until so many tokens are reached."""
    reached = np.cumsum(source.corpus.lengths[source.train]) - source.corpus.lengths[source.train]
    return source.train[reached < max_tokens].tolist()


def render_card(report: Mapping[str, Any], name: str, model_type: str) -> str:
    """The README.md of a checkpoint, from its `pretraining.json`. It holds no text of the corpora."""
    phase = report["phase"]
    settings = [(key, f"`{value}`") for key, value in phase.items() if value not in (None, {}, "")]
    bits = [
        (f"{int(length):,}", f"{report['bits_before'][length]:.3f}", f"{after:.3f}", f"{2**after:.1f}")
        for length, after in report["bits_after"].items()
    ]
    sections = [
        (
            "How to load it",
            "With plain transformers (see the call at the end), or with longbio for a faster kernel:\n\n"
            f'```python\nimport longbio\nmodel = longbio.load("{name}", task="mlm")\n```',
        ),
        (
            "Where it comes from",
            f"Phase {report['number']} of a curriculum, begun from `{report['origin']}`,"
            f" seed {report['seed']}, longbio {longbio.__version__}.",
        ),
        ("What it learned by", markdown_table(("setting", "value"), settings)),
        (
            "Held-out documents",
            "Token masking at 15%, the same tokens at every length.\n\n"
            + markdown_table(("tokens", "bits before", "bits after", "perplexity"), bits),
        ),
    ]
    roles = ("cls",) if phase["global_cls"] else ()
    if takes_global(model_type):
        sections.append(("Global tokens", what_is_global(roles)))
    call_text = call("mlm", name, model_type, roles=roles)
    return card(f"{name}: {phase['name']}", "mlm", model_type, sections, call_text)
