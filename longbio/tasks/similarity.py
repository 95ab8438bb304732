"""How alike two texts are: a number, learned as a regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat
from longbio.encoders.roles import Role
from longbio.errors import LongbioError
from longbio.tasks import pooling
from longbio.tasks.classes import similarity_scores
from longbio.tasks.evidence import Evidence, of_pairs
from longbio.tasks.task import Array, Prediction, Sample, Task

COLLAPSED = 0.05
"""A model whose scores spread less than this share of the true ones says the same of every pair."""


@dataclass(frozen=True)
class Similarity(Task[pooling.WholeRows]):
    """Similarity of pairs: documents with a `query` and a `score`.

    Args:
        mean: of the training scores; the model learns what differs from it,
        deviation: in units of their standard deviation. Both are found when it is 0.
        reading: how texts longer than the model are read.
        global_tokens: what every token sees, in a model that has global attention.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}
    head: ClassVar[str] = "classification"
    finds: ClassVar[str] = "scores"
    looks_for: ClassVar[str] = "a score"

    kind: Literal["similarity"] = "similarity"
    mean: float = 0.0
    deviation: float = 0.0
    reading: pooling.Reading = pooling.Reading()  # noqa: RUF009 - frozen
    global_tokens: tuple[Role, ...] = ("cls", "query")

    @property
    def measure(self) -> str:
        return "Pearson"

    def has_example(self, document: Document) -> bool:
        return document.score is not None

    def learned_from(self, documents: Sequence[Document]) -> Similarity:
        """With mean and deviation of some documents' scores.

        Raises:
            LongbioError: a document has no score, or all have the same.
        """
        if self.deviation:
            return self
        scores = np.array([_score(document) for document in documents])
        # Not their deviation, which is rounding for three times 0.1.
        if np.ptp(scores) == 0:
            raise LongbioError("all pairs have the same score", where="data.train")
        return replace(self, mean=float(scores.mean()), deviation=float(scores.std()))

    def check(self, documents: Sequence[Document], inputs: InputFormat) -> None:
        """Each has its score, and a first text that leaves room for its second."""
        for document in documents:
            _score(document)
            pooling.query_of(document, inputs)

    def config_changes(self) -> dict[str, Any]:
        """One number comes out, and the weight of its window where windows are weighed."""
        return {"num_labels": 2 if self.reading.pooling == "attention" else 1, "problem_type": "regression"}

    def samples(self, document: Document, inputs: InputFormat, left_out: PassedOver) -> list[Sample]:
        encoded = self.encode(document, inputs)
        left_out.note("tokens that no row holds", document.id, encoded.num_unread)
        target = (_score(document) - self.mean) / self.deviation
        return [Sample(encoded.rows, (np.array(target, dtype=np.float32),))]

    def targets(self, samples: Sequence[Sample], num_tokens: int) -> dict[str, Tensor]:
        return pooling.pooled_targets(samples)

    def summed_loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Squared error, summed over pairs."""
        scores = pooling.pool_logits(outputs.logits, batch["row_samples"], self.reading.pooling)[:, 0]
        return (scores - batch["labels"]).square().sum()

    def encode(self, document: Document, inputs: InputFormat) -> pooling.WholeRows:
        return pooling.whole_rows(document, inputs, self.reading, self.global_tokens)

    def decode(self, encoded: pooling.WholeRows, outputs: Sequence[Array]) -> Prediction:
        """The score in the corpus' own units."""
        value = float(pooling.pool_outputs(outputs, self.reading.pooling)[0])
        document = replace(encoded.document, score=self.mean + value * self.deviation)
        return Prediction(document, {**encoded.details(), "score": document.score})

    def score(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Pearson's and Spearman's correlation."""
        scores = similarity_scores(*_both_sides(gold, predictions))
        return {"main": scores["pearson"], **scores}

    def evidence(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Evidence:
        return of_pairs(*_both_sides(gold, predictions))

    def has_collapsed(self, predictions: Sequence[Prediction]) -> bool:
        scores = np.array([_score(prediction.document) for prediction in predictions])
        return len(scores) == 0 or float(scores.std()) < COLLAPSED * self.deviation


def _both_sides(
    gold: Sequence[Document], predictions: Sequence[Prediction]
) -> tuple[list[float], list[float]]:
    return [_score(pair) for pair in gold], [_score(pair.document) for pair in predictions]


def _score(document: Document) -> float:
    if document.score is None:
        raise LongbioError(
            "the pair has no score",
            where=f"document {document.id}",
            remedy="name its column with data.columns.score",
        )
    return document.score
