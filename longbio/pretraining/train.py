"""`train_phase`: a checkpoint learns masked words and becomes another one."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel, set_seed

from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.folders import staged_folder
from longbio.encoders.families import FAMILIES, max_positions
from longbio.encoders.loading import load, load_tokenizer
from longbio.encoders.longformer import refresh_global_projections
from longbio.encoders.saving import save_whole
from longbio.errors import LongbioError
from longbio.masked_lm.head import start_head, summed_loss
from longbio.masked_lm.masking import Ids, Phrases, Vocabulary
from longbio.masked_lm.pmi import mine_phrases
from longbio.pretraining import card
from longbio.pretraining.learning import choose_learning
from longbio.pretraining.packing import Frame, plan
from longbio.pretraining.phase import Phase, training_settings
from longbio.pretraining.samples import Collator, MaskedSamples, Part
from longbio.pretraining.shards import TokenizedCorpus
from longbio.pretraining.validation import held_out_bits
from longbio.training.processes import processes
from longbio.training.settings import Machine
from longbio.training.trainer import DIVERGED, OnStep, train

REPORT = "pretraining.json"
BEFORE = "bits-before.json"

PHRASE_TOKENS = 50_000_000
"""Phrases are mined from so many tokens at most."""

COUNTED_TOKENS = 10_000_000


@dataclass(frozen=True, eq=False)
class Source:
    """One corpus to learn from, one to be measured on.

    Args:
        corpus: tokenised.
        train: numbers of the documents to learn from.
    """

    corpus: TokenizedCorpus
    train: Ids


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a model is measured on.

    Args:
        corpus: tokenised.
        documents: by number.
        lengths: inputs of so many tokens; those beyond a model's positions are left out.
        max_tokens: of all documents together.
        key: of what the corpus holds.
    """

    corpus: TokenizedCorpus
    documents: Ids
    lengths: tuple[int, ...]
    max_tokens: int = 100_000
    key: str = ""


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
        model_folder: a short or a long checkpoint.
        sources: corpora by name.
        held_out: what it is measured on, before and after.
        phase: what to do.
        out: the folder to make; when it is there already, nothing is done. What a killed run
            left beside it is taken up again.
        machine: how to do it.
        seed: of order, masks and dropout.
        number: of the phase in its curriculum.
        bits_before: what the phase before this one measured at its end; None to measure it now.
        on_step: told of every step.
        callbacks: made for the samples, told of everything.

    Returns:
        What is saved as `pretraining.json` in `out`: settings, losses in nats per masked token,
        bits per masked token before and after in the precision of the run, and how well sequences
        are filled.

    Raises:
        LongbioError: there is nothing to learn from, the model has too few positions or no head,
            or it has diverged.
    """
    work = work_folder(out)
    if (out / REPORT).is_file():
        done: dict[str, Any] = read_json(out / REPORT)
        if processes().is_main_process:
            shutil.rmtree(work, ignore_errors=True)
        return done
    machine = machine or Machine()
    set_seed(seed)
    tokenizer = load_tokenizer(model_folder)
    model = load(
        model_folder,
        "mlm",
        machine.kernel,
        new_head=phase.learns == "head",
        for_training=True,
        dropout=phase.dropout,
        dtype=torch.float32,
    )
    measure = _measure(model, held_out, phase, machine, tokenizer, model_folder)
    samples = _samples(sources, phase, model.config, tokenizer, seed, number)
    if phase.learns == "head":
        start_head(model, _counts(sources, model.config.vocab_size))
    choose_learning(model, phase.learns, phase.new_from, global_cls=phase.global_cls)
    state = processes()
    if not (work / BEFORE).is_file() and state.is_main_process:
        work.mkdir(parents=True, exist_ok=True)
        write_json(work / BEFORE, measure(model) if bits_before is None else dict(bits_before))
    state.wait_for_everyone()
    padding, max_tokens = samples.frame.padding, max_positions(model.config)
    model, losses = train(
        model,
        samples,
        Collator(model.config.model_type, padding, phase.global_cls, max_tokens=max_tokens),
        summed_loss,
        training_settings(phase, machine, seed),
        work,
        on_step,
        callbacks(samples),
    )
    if state.is_main_process:
        report = {
            "phase": asdict(phase),
            "number": number,
            "origin": model_folder.name,
            "seed": seed,
            "precision": machine.precision,
            "sequences": sum(len(part.plan) for part in samples.parts),
            "filled": samples.filled,
            "bits_before": read_json(work / BEFORE),
            "bits_after": _finite(measure(model), phase, out),
            "losses": losses,
        }
        _save(model, tokenizer, report, model_folder, phase, out)
        shutil.rmtree(work, ignore_errors=True)
    state.wait_for_everyone()
    saved: dict[str, Any] = read_json(out / REPORT)
    return saved


def _measure(
    model: PreTrainedModel,
    held_out: HeldOut,
    phase: Phase,
    machine: Machine,
    tokenizer: Any,
    model_folder: Path,
) -> Callable[[Any], dict[str, float]]:
    """What says a model's bits per masked token, by length, in the precision of the run."""
    lengths = refuse_positions(phase, held_out.lengths, model.config, model_folder)
    frame, vocabulary, device = Frame.of(tokenizer), Vocabulary.of(tokenizer), processes().device

    def bits(model: Any) -> dict[str, float]:
        half = torch.autocast(device.type, torch.bfloat16, enabled=machine.precision == "bfloat16")
        with half:
            found = held_out_bits(
                model.eval().to(device),
                held_out.corpus,
                held_out.documents,
                vocabulary,
                frame,
                lengths,
                max_tokens=held_out.max_tokens,
            )
        return {str(length): value for length, value in found.items()}

    return bits


def _samples(
    sources: Mapping[str, Source], phase: Phase, config: Any, tokenizer: Any, seed: int, number: int
) -> MaskedSamples:
    return MaskedSamples(
        _parts(sources, phase, config),
        Frame.of(tokenizer),
        Vocabulary.of(tokenizer),
        phase.masking,
        count=phase.num_steps * phase.batch,
        seed=seed,
        phase=number,
    )


def _finite(bits: dict[str, float], phase: Phase, out: Path) -> dict[str, float]:
    """The same bits.

    Raises:
        LongbioError: they are no numbers.
    """
    if not all(map(math.isfinite, bits.values())):
        raise LongbioError(
            f"the model of phase {phase.name} has diverged: its held-out bits are no numbers",
            where=out,
            remedy=DIVERGED,
        )
    return bits


def refuse_positions(
    phase: Phase, lengths: Sequence[int], config: Any, model_folder: Path
) -> tuple[int, ...]:
    """The lengths that a model can be measured at; for asking before long work, too.

    Args:
        phase: what it shall learn.
        lengths: that are asked for.
        config: of the model.
        model_folder: where it lies.

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
    with staged_folder(out) as partial:
        if phase.learns == "all" and not phase.global_cls:
            refresh_global_projections(model)
        save_whole(model, partial, origin=origin)
        tokenizer.save_pretrained(partial)
        write_json(partial / REPORT, report)
        (partial / "README.md").write_text(card.render(report, out.name, model.config.model_type))


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
        parts.append(Part(source.corpus, packing, weight, _phrases(source, phase)))
    if not parts:
        raise LongbioError("every corpus of the mixture has weight 0", where=f"phase {phase.name}")
    return parts


def _phrases(source: Source, phase: Phase) -> Phrases | None:
    if phase.masking.strategy != "pmi":
        return None
    some = _first_tokens(source, PHRASE_TOKENS)
    return mine_phrases((source.corpus.document(n) for n in some), size=phase.num_phrases)


def _counts(sources: Mapping[str, Source], vocab_size: int) -> Ids:
    counts = np.zeros(vocab_size, dtype=np.int64)
    for source in sources.values():
        for number in _first_tokens(source, COUNTED_TOKENS):
            counts += np.bincount(source.corpus.document(number)[0], minlength=vocab_size)
    return counts


def _first_tokens(source: Source, max_tokens: int) -> list[int]:
    """The first documents, until so many tokens are reached."""
    reached = np.cumsum(source.corpus.lengths[source.train]) - source.corpus.lengths[source.train]
    return source.train[reached < max_tokens].tolist()
