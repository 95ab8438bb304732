"""Fine-tuning for named entities, the same for a long model and for the chunk baseline.

A sample is a stretch of a document, as long as a long model reads. A long model reads it in one
window; a short one in overlapping windows, each word counted once, in the window with most context
around it. So both see the same text in the same step, and only the reach of attention differs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoTokenizer, PreTrainedModel, set_seed

from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.folders import staged_folder
from longbio.corpus.records import Document
from longbio.encoders.loading import load
from longbio.encoders.saving import save
from longbio.encoders.tokens import Window, batch_of, windows_of
from longbio.finetuning.evaluate import counts_by_document, micro_f1
from longbio.prediction.entities import (
    default_overlap,
    find_entities,
    max_tokens_of,
    tokenize_document,
)
from longbio.tasks import ner
from longbio.training.trainer import OnStep, TrainingSettings, train


@dataclass(frozen=True)
class FinetuningSettings:
    """How a model learns entities.

    Args:
        training: steps, batch (in samples) and seed; its learning rate is replaced by each of
            `learning_rates` in turn.
        learning_rates: tried one by one; the one with the best micro F1 on the development
            documents is kept.
        sample_tokens: tokens of one sample.
        overlap: tokens that windows within a sample share; `default_overlap` when None.
        dropout: of the model while it learns; none suits short runs, and is faster.
    """

    training: TrainingSettings
    learning_rates: tuple[float, ...]
    sample_tokens: int = 4096
    overlap: int | None = None
    dropout: float = 0.0


@dataclass(frozen=True)
class Sample:
    """A stretch of a document in windows that fit the model."""

    windows: tuple[Window, ...]


class Samples(Dataset[Sample]):
    """Every stretch of every document, tagged, in a new order in every epoch."""

    def __init__(
        self,
        documents: Sequence[Document],
        tokenizer: Any,
        model: PreTrainedModel,
        labels: ner.Labels,
        settings: FinetuningSettings,
    ) -> None:
        kind = model.config.model_type
        self.tokenizer, self.use_global = tokenizer, kind == "longformer"
        self.tokens = [tokenize_document(document, tokenizer, kind) for document in documents]
        tagged = [
            ner.encode(document, tokens, labels)
            for document, tokens in zip(documents, self.tokens, strict=True)
        ]
        self.tags = [each.tags for each in tagged]
        self.lost = sum(each.lost for each in tagged)
        max_tokens = min(max_tokens_of(model), settings.sample_tokens)
        overlap = default_overlap(max_tokens) if settings.overlap is None else settings.overlap
        self.samples = [
            Sample(_windows_within(stretch, max_tokens, overlap))
            for number, tokens in enumerate(self.tokens)
            for stretch in windows_of(number, len(tokens.ids), max_tokens=settings.sample_tokens, overlap=0)
        ]

        self.seed, self.length = (
            settings.training.seed,
            settings.training.steps * settings.training.batch,
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        epoch, place = divmod(index, len(self.samples))
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.samples))
        return self.samples[order[place]]

    def collate(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Windows of these samples as one batch, labels where a window owns its token."""
        windows = [window for sample in samples for window in sample.windows]
        batch = batch_of(windows, self.tokens, self.tokenizer, use_global=self.use_global)
        labels = np.full(tuple(batch["input_ids"].shape), ner.IGNORED, dtype=np.int64)
        for row, window in enumerate(windows):
            shift = 1 - window.tokens.start
            owned = slice(window.owned.start + shift, window.owned.stop + shift)
            labels[row, owned] = self.tags[window.document][window.owned]
        return batch | {"labels": torch.from_numpy(labels)}


def _windows_within(stretch: Window, max_tokens: int, overlap: int) -> tuple[Window, ...]:
    """Windows of a short model inside the part of the document that a long one would read."""
    first, size = stretch.owned.start, stretch.owned.stop - stretch.owned.start
    inner = windows_of(stretch.document, size, max_tokens=max_tokens, overlap=overlap)
    return tuple(
        Window(window.document, _shifted(window.tokens, first), _shifted(window.owned, first))
        for window in inner
    )


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def finetune_entities(
    model_folder: Path,
    train_documents: Sequence[Document],
    dev_documents: Sequence[Document],
    settings: FinetuningSettings,
    out: Path,
    *,
    labels: ner.Labels | None = None,
    on_step: OnStep = lambda step, loss: None,
) -> dict[str, Any]:
    """Fine-tune a checkpoint for entities and leave a native one in `out`.

    Args:
        model_folder: a short or a long checkpoint.
        train_documents: what it learns from.
        dev_documents: what chooses among learning rates; unused when there is one.
        settings: how.
        out: the folder to make; when it is there already, nothing is done.
        labels: the entity types; those of the training documents when None.
        on_step: told of every step, counted over all learning rates.

    Returns:
        What is saved as `finetuning.json` in `out`: settings, losses, the score of each rate.
    """
    if (out / "finetuning.json").is_file():
        done: dict[str, Any] = read_json(out / "finetuning.json")
        return done
    labels = labels or ner.Labels.of(train_documents)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    work = out.with_name(out.name + ".training")
    trials: list[dict[str, Any]] = []

    with staged_folder(out) as partial:
        for number, rate in enumerate(settings.learning_rates):
            first_step = number * settings.training.steps
            model, trial = _try_rate(
                model_folder,
                tokenizer,
                train_documents,
                labels,
                settings,
                rate,
                work / f"{rate:g}",
                _later(on_step, first_step),
            )
            if len(settings.learning_rates) > 1:
                predicted = find_entities(model, tokenizer, dev_documents, overlap=settings.overlap)
                trial["dev_micro_f1"] = micro_f1(counts_by_document(dev_documents, predicted))
            if not trials or trial["dev_micro_f1"] > max(t["dev_micro_f1"] for t in trials):
                save(model, partial, origin=model_folder)
            trials.append(trial)
        tokenizer.save_pretrained(partial)
        best = max(trials, key=lambda trial: trial.get("dev_micro_f1", 0.0))
        report = {
            "settings": asdict(settings),
            "types": list(labels.types),
            "chosen_learning_rate": best["learning_rate"],
            "trials": trials,
        }
        write_json(partial / "finetuning.json", report)
    shutil.rmtree(work, ignore_errors=True)
    return report


def _later(on_step: OnStep, steps_before: int) -> OnStep:
    return lambda step, loss: on_step(steps_before + step, loss)


def _try_rate(
    model_folder: Path,
    tokenizer: Any,
    documents: Sequence[Document],
    labels: ner.Labels,
    settings: FinetuningSettings,
    rate: float,
    work: Path,
    on_step: Callable[[int, float], None],
) -> tuple[PreTrainedModel, dict[str, Any]]:
    set_seed(settings.training.seed)
    names = labels.names()
    model = load(
        model_folder,
        "ner",
        id2label=names,
        label2id={name: number for number, name in names.items()},
        dropout=settings.dropout,
        dtype=torch.float32,
    )
    samples = Samples(documents, tokenizer, model, labels, settings)
    training = replace(settings.training, learning_rate=rate)
    trained, losses = train(model, samples, samples.collate, ner.summed_loss, training, work, on_step)
    return trained, {"learning_rate": rate, "losses": losses, "lost_mentions": samples.lost}
