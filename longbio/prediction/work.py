"""Lots in, what a model says of their notes out, in order: in this process or by several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import load_tokenizer
from longbio.errors import LongbioError
from longbio.prediction.lots import LOT_CHARS, Failure, Lot
from longbio.prediction.run import load_for, predict
from longbio.tasks import AnyTask
from longbio.tasks.task import Prediction
from longbio.workers import in_order

Outcome = Prediction | Failure


@dataclass(frozen=True)
class Model:
    """A fine-tuned model, before it is loaded.

    Args:
        folder: where it lies.
        task: what it was fine-tuned for.
        max_tokens: what a row holds at most, special tokens included; all that the model reads when
            None.
        kernel: of attention.
        batch_tokens: tokens of a forward pass, padding included; at least one row.
        device: where it goes; None for the GPU, where there is one.
        dtype: of its weights; None for what they are stored in.
    """

    folder: Path
    task: AnyTask
    max_tokens: int | None = None
    kernel: str = "auto"
    batch_tokens: int = 4096
    device: str | None = None
    dtype: str | None = None


class Predictor:
    """A model that is loaded.

    Raises:
        LongbioError: its folder is damaged, or the kernel can't run here.
    """

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
        found = predict(
            self.network,
            self.inputs,
            self.task,
            (part for each in parts for part in each),
            batch_tokens=self.batch_tokens,
        )
        for each in parts:
            yield _whole([next(found) for _ in each])

    def _parts(self, document: Document) -> list[Document]:
        """The same document with some of its questions at a time: each is read with the whole text, and
        rows of hundreds of questions to a long note would fill the memory."""
        if self.task.kind != "qa":
            return [document]
        asked = document.questions
        if not asked:
            raise LongbioError(
                "nothing is asked of the note", where=f"document {document.id}", remedy="give --questions"
            )
        size = max(1, LOT_CHARS // max(1, len(document.text)))
        return [
            replace(document, questions=asked[first : first + size]) for first in range(0, len(asked), size)
        ]


def _whole(parts: Sequence[Prediction]) -> Prediction:
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

_model: Model | None = None
_predictor: Predictor | None = None


def _begin(model: Model, threads: int) -> None:
    global _model
    _model = model
    torch.set_num_threads(threads)


def _outcomes(documents: Sequence[Document]) -> list[Outcome]:
    global _predictor
    # Loaded here and not in `_begin`, whose errors are lost.
    if _predictor is None:
        assert _model is not None
        _predictor = Predictor(_model)
    return _predictor.outcomes(documents)
