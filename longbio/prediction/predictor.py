"""What a model says of notes, in their order: by this process or several. Rows of many notes share a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from longbio.corpus.records import Document
from longbio.encoders.batches import length_batches
from longbio.encoders.heads import order_classes
from longbio.encoders.input_format import InputFormat, Row
from longbio.encoders.loading import load, load_tokenizer
from longbio.errors import LongbioError
from longbio.prediction.lots import LOT_CHARS, Failure, Lot
from longbio.progress import hush_deepspeed
from longbio.tasks import AnyTask
from longbio.tasks.ner import Entities
from longbio.tasks.task import Array, Encoded, Prediction, Task, forward
from longbio.training.processes import processes as started_processes
from longbio.workers import in_order

POOLED_ROWS = 512
"""Rows that are sorted by length before they are cut into batches."""

Outcome = Prediction | Failure


@dataclass(frozen=True)
class Model:
    """A fine-tuned model, before it is loaded.

    Args:
        folder: where it lies.
        task: what it was fine-tuned for.
        max_tokens: what a row holds at most, special tokens included; all that the model reads when None.
        kernel: of attention.
        batch_tokens: tokens of a forward pass, padding included; at least one row.
        device: where it goes; None for the GPU, where there is one.
        dtype: of its weights, one of `encoders.loading.DTYPES`; None for what they are stored in.
    """

    folder: Path
    task: AnyTask
    max_tokens: int | None = None
    kernel: str = "auto"
    batch_tokens: int = 4096
    device: str | None = None
    dtype: str | None = None


def load_for(
    task: AnyTask, folder: Path, kernel: str = "auto", device: str | None = None, dtype: str | None = None
) -> PreTrainedModel:
    """A fine-tuned model, its outputs in the order that the task has its classes in; arguments as of `Model`.

    Raises:
        LongbioError: weights are missing, or the kernel, the device or the type can't be had here.
    """
    device = device or str(started_processes().device)
    model = load(folder, task.head, kernel, own_head=True, device=device, dtype=dtype)
    if isinstance(task, Entities):
        order_classes(model, task.labels.names())
    return model


def predict(
    model: PreTrainedModel,
    inputs: InputFormat,
    task: Task[Any],
    documents: Iterable[Document],
    *,
    batch_tokens: int = 4096,
    on_document: Callable[[int], None] = lambda done: None,
) -> Iterator[Prediction]:
    """What a model says of documents, one prediction each, in their order.

    Args:
        model: with the task's head, in evaluation mode.
        inputs: how it wants its inputs.
        task: what it was trained for.
        documents: read as they are needed.
        batch_tokens: tokens of one forward pass, padding included; at least one row.
        on_document: told how many documents are done.
    """
    done = 0
    for pool in _pools(task, documents, inputs):
        rows = [row for encoded in pool for row in encoded.rows]
        outputs = iter(outputs_of(model, inputs, rows, batch_tokens=batch_tokens))
        for encoded in pool:
            prediction = task.decode(encoded, [next(outputs) for _ in encoded.rows])
            done += 1
            on_document(done)
            yield prediction


def _pools(task: Task[Any], documents: Iterable[Document], inputs: InputFormat) -> Iterator[list[Encoded]]:
    pool: list[Encoded] = []
    size = 0
    for document in documents:
        encoded = task.encode(document, inputs)
        pool.append(encoded)
        # Some documents have no row: nothing is asked of them.
        size += max(1, len(encoded.rows))
        if size >= POOLED_ROWS:
            yield pool
            pool, size = [], 0
    if pool:
        yield pool


@torch.no_grad()
def outputs_of(
    model: PreTrainedModel, inputs: InputFormat, rows: Sequence[Row], *, batch_tokens: int = 4096
) -> list[Array]:
    """The logits of each row, in their order, rows of similar length together in a pass.

    Returns:
        Of each row (T, C) for a token classifier, (T, 2) for the start and end of answers, (C,) for
        a classifier; float32.
    """
    of_rows: list[Array] = [np.zeros(0)] * len(rows)
    for numbers in length_batches([len(row.ids) for row in rows], batch_tokens):
        batch = inputs.batch([rows[number] for number in numbers])
        output = forward(model, {name: tensor.to(model.device) for name, tensor in batch.items()})
        logits = (
            torch.stack([output.start_logits, output.end_logits], dim=-1)
            if hasattr(output, "start_logits")
            else output.logits
        )
        arrays = logits.float().cpu().numpy()
        for place, number in enumerate(numbers):
            is_by_token = arrays.ndim == 3
            of_rows[number] = arrays[place, : len(rows[number].ids)] if is_by_token else arrays[place]
    return of_rows


class Predictor:
    """A model that is loaded. Raises LongbioError if its folder is damaged, or the kernel can't run here."""

    def __init__(self, model: Model) -> None:
        self.task, self.batch_tokens = model.task, model.batch_tokens
        self.network = load_for(model.task, model.folder, model.kernel, model.device, model.dtype)
        self.inputs = InputFormat.of(self.network.config, load_tokenizer(model.folder), model.max_tokens)

    def outcomes(self, documents: Sequence[Document]) -> list[Outcome]:
        """What the model says of some documents, or why it can't."""
        try:
            return [*self._predictions(documents)]
        except LongbioError:
            # One of them: alone, the others pass.
            return [self._alone(document) for document in documents]

    def _alone(self, document: Document) -> Outcome:
        try:
            return next(self._predictions([document]))
        except LongbioError as error:
            return Failure.of(error, document.id)

    def _predictions(self, documents: Sequence[Document]) -> Iterator[Prediction]:
        parts = [self._parts(document) for document in documents]
        every = (part for of_document in parts for part in of_document)
        predicted = predict(self.network, self.inputs, self.task, every, batch_tokens=self.batch_tokens)
        for of_document in parts:
            yield _join_parts([next(predicted) for _ in of_document])

    def _parts(self, document: Document) -> list[Document]:
        """The same document with some of its questions at a time: each is read with the whole text, and
        rows of hundreds of questions to a long note would fill the memory."""
        if self.task.kind != "qa":
            return [document]
        questions = document.questions
        if not questions:
            raise LongbioError(
                "no question is asked of the note", where=f"document {document.id}", remedy="give --questions"
            )
        size = max(1, LOT_CHARS // max(1, len(document.text)))
        starts = range(0, len(questions), size)
        return [replace(document, questions=questions[start : start + size]) for start in starts]


def _join_parts(parts: Sequence[Prediction]) -> Prediction:
    """One prediction of a document's parts."""
    if len(parts) == 1:
        return parts[0]
    questions = tuple(question for part in parts for question in part.document.questions)
    details = [detail for part in parts for detail in part.details["questions"]]
    return Prediction(
        replace(parts[0].document, questions=questions), {**parts[0].details, "questions": details}
    )


def outcomes_of(model: Model, lots: Iterable[Lot], processes: int = 1) -> Iterator[tuple[Lot, list[Outcome]]]:
    """What a model says of lots, in their order.

    Args:
        model: loaded once in each process.
        lots: read as they are needed, one more than there are processes ahead.
        processes: that work at once, each with its share of the threads; 1 for this one.

    Raises:
        LongbioError: the model can't be loaded, or a process has died.
    """
    if processes == 1:
        predictor = None
        for lot in lots:
            predictor = predictor or Predictor(model)
            yield lot, predictor.outcomes(lot.documents)
        return
    threads = max(1, torch.get_num_threads() // processes)
    yield from in_order(
        _outcomes,
        ((lot, lot.documents) for lot in lots),
        processes,
        _begin,
        model,
        threads,
        remedy="run the command again to go on, with fewer --processes or --batch-tokens",
    )


# What follows runs in the other processes.

_model: Model


def _begin(model: Model, threads: int) -> None:
    global _model
    _model = model
    hush_deepspeed()
    torch.set_num_threads(threads)


@cache
def _predictor() -> Predictor:
    # Loaded here and not in `_begin`, whose errors are lost.
    return Predictor(_model)


def _outcomes(documents: Sequence[Document]) -> list[Outcome]:
    return _predictor().outcomes(documents)
