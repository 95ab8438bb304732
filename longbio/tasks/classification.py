"""Classes of documents and of pairs: one each, or any number of labels.

Pairs are documents with a `query`: a premise and a hypothesis, a question and its contexts, a question
with a whole article.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy.special import expit, logit, softmax
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat
from longbio.encoders.roles import Role
from longbio.errors import LongbioError
from longbio.tasks import pooling
from longbio.tasks.classes import EVEN, class_scores, label_scores, tuned_thresholds
from longbio.tasks.evidence import Evidence, of_counts, of_counts_by_type, of_means, of_ranks
from longbio.tasks.metrics import Counts
from longbio.tasks.task import Array, Prediction, Sample, Task

MANY = 20
"""Documents, of which fewer than half can be of a class of their own."""

Measure = Literal["accuracy", "micro_f1", "macro_f1", "auroc"]

SPOKEN = {"micro_f1": "micro F1", "macro_f1": "macro F1", "auroc": "AUROC"}


@dataclass(frozen=True)
class Classes(Task[pooling.WholeRows]):
    """Classification of documents and pairs.

    Args:
        classes: their names; those of the training documents, sorted, when empty.
        multi_label: a document has any number of them.
        negative: the class that says that there is nothing, left out of F1.
        choose_by: the score that is reported first and chosen by.
        reading: how documents longer than the model are read.
        balanced: weigh classes, or a label's presence, against how often they occur.
        weights: of `classes`, in their order; made of the training documents when `balanced`.
        thresholds: of labels, tuned on the development documents.
        temperature: by which logits are divided before they become probabilities.
        global_tokens: what every token sees, in a model that has global attention.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}
    head: ClassVar[str] = "classification"
    finds: ClassVar[str] = "labels"
    looks_for: ClassVar[str] = "a label that is learned"
    named: ClassVar[str] = "labels of classes"

    kind: Literal["classification"] = "classification"
    classes: tuple[str, ...] = ()
    multi_label: bool = False
    negative: str | None = None
    choose_by: Measure = "accuracy"
    reading: pooling.Reading = pooling.Reading()  # noqa: RUF009 - frozen
    balanced: bool = False
    weights: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0
    global_tokens: tuple[Role, ...] = ("cls", "query")

    def __post_init__(self) -> None:
        if self.multi_label and (self.negative is not None or self.choose_by == "accuracy"):
            raise ValueError(
                "several labels a document have no negative class and no accuracy; choose_by micro_f1,"
                " macro_f1 or auroc"
            )

        if self.temperature <= 0:
            raise ValueError("a temperature is above 0")
        if self.weights and len(self.weights) != len(self.classes):
            raise ValueError(f"{len(self.weights)} weights for {len(self.classes)} classes: name both")

    @property
    def measure(self) -> str:
        return SPOKEN.get(self.choose_by, self.choose_by)

    @property
    def learned_names(self) -> tuple[str, ...]:
        return self.classes

    def names_in(self, document: Document) -> tuple[str, ...]:
        return document.labels or ()

    def learned_from(self, documents: Sequence[Document]) -> Classes:
        """With the classes of some documents, and their weights when they are balanced.

        Raises:
            LongbioError: a document has no label, or more than one where one is wanted; the negative class
                is none of them.
        """
        counts: Counter[str] = Counter()
        for document in documents:
            counts.update(self._labels(document))
        classes = self.classes or tuple(sorted(counts))
        weights = tuple(self._weight(counts[name], len(documents), len(classes)) for name in classes)
        if self.negative is not None and self.negative not in classes:
            raise LongbioError(
                f"none of the {len(classes)} classes is {self.negative!r}", where="task.negative"
            )
        if len(documents) > MANY and len(classes) > len(documents) / 2:
            # The column of the texts, perhaps: nothing of it may stand in a config or an error.
            raise LongbioError(
                f"{len(documents):,} documents have {len(classes):,} classes",
                where="data.columns.labels",
                remedy="name the column that holds the classes",
            )
        return replace(self, classes=classes, weights=weights if self.balanced else self.weights)

    def _weight(self, count: int, total: int, num_classes: int) -> float:
        if self.multi_label:
            # Of a label that is there, against one that isn't.
            return (total - count) / max(count, 1)
        return total / (num_classes * max(count, 1))

    def _labels(self, document: Document) -> tuple[str, ...]:
        labels = document.labels
        if labels is None or (len(labels) != 1 and not self.multi_label):
            has = "no label" if not labels else f"{len(labels)} labels"
            raise LongbioError(
                f"the document has {has}",
                where=f"document {document.id}",
                remedy="name the column with data.columns.labels, or set task.multi_label",
            )
        return labels

    def check(self, documents: Sequence[Document], inputs: InputFormat) -> None:
        """Each has its labels, and a query that leaves room for its text."""
        for document in documents:
            self._labels(document)
            pooling.query_of(document, inputs)

    def config_changes(self) -> dict[str, Any]:
        """The classes' names, and what transformers calls the problem."""
        kind = "multi_label_classification" if self.multi_label else "single_label_classification"
        names = [*self.classes, *([pooling.WEIGHT] if self.reading.pooling == "attention" else [])]
        return {
            "id2label": dict(enumerate(names)),
            "label2id": {name: number for number, name in enumerate(names)},
            "problem_type": kind,
        }

    def samples(self, document: Document, inputs: InputFormat, left_out: PassedOver) -> list[Sample]:
        """The document; none of a class that isn't among the classes."""
        labels = self._labels(document)
        if not set(labels) <= set(self.classes):
            left_out.note("documents of classes that aren't learned", document.id)
            return []
        encoded = self.encode(document, inputs)
        left_out.note("tokens that no row holds", document.id, encoded.num_unread)
        target: Array = (
            np.array([name in labels for name in self.classes], dtype=np.float32)
            if self.multi_label
            else np.array(self.classes.index(labels[0]))
        )
        return [Sample(encoded.rows, (target,))]

    def targets(self, samples: Sequence[Sample], num_tokens: int) -> dict[str, Tensor]:
        return pooling.pooled_targets(samples)

    def summed_loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy in nats, summed over documents, or over documents and labels."""
        logits, labels = self._pool(outputs, batch), batch["labels"]
        weights = logits.new_tensor(self.weights) if self.weights else None
        if self.multi_label:
            return binary_cross_entropy_with_logits(logits, labels, pos_weight=weights, reduction="sum")
        return cross_entropy(logits, labels, weight=weights, reduction="sum")

    def _pool(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        return pooling.pool_logits(outputs.logits, batch["row_samples"], self.reading.pooling)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        logits = self._pool(outputs, batch)
        if self.multi_label:
            logits = torch.stack([torch.zeros_like(logits), logits], dim=-1)
        return [(logits, torch.ones(logits.shape[:-1], dtype=torch.bool, device=logits.device))]

    def encode(self, document: Document, inputs: InputFormat) -> pooling.WholeRows:
        return pooling.whole_rows(document, inputs, self.reading, self.global_tokens)

    def decode(self, encoded: pooling.WholeRows, outputs: Sequence[Array]) -> Prediction:
        """The likeliest class, or the labels that reach their thresholds."""
        logits = pooling.pool_outputs(outputs, self.reading.pooling)
        probabilities = self.probabilities(logits / self.temperature)
        by_name = dict(zip(self.classes, probabilities.tolist(), strict=True))
        details = {**encoded.details(), "probabilities": by_name}
        return Prediction(replace(encoded.document, labels=self._chosen(by_name)), details)

    def _chosen(self, probabilities: Mapping[str, float]) -> tuple[str, ...]:
        if not self.multi_label:
            return (max(self.classes, key=lambda name: probabilities[name]),)
        thresholds = self.thresholds or (EVEN,) * len(self.classes)
        every = zip(self.classes, thresholds, strict=True)
        return tuple(name for name, least in every if probabilities[name] >= least)

    def probabilities(self, logits: Array) -> Array:
        """Of the classes, from (..., C) logits."""
        if self.multi_label:
            return np.exp(-np.logaddexp(0, -logits))
        return softmax(logits, axis=-1)

    def at_temperature(self, temperature: float) -> Classes:
        """The same classes, with other probabilities; thresholds move with them."""
        factor = self.temperature / temperature
        moved = tuple(float(expit(factor * logit(threshold))) for threshold in self.thresholds)
        return replace(self, temperature=temperature, thresholds=moved)

    def tune(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Classes:
        """With the threshold of each label that gives the best F1."""
        if not self.multi_label:
            return self
        wanted = [self._labels(document) for document in gold]
        names, probabilities = self._table(predictions, wanted)
        thresholds = tuned_thresholds(wanted, probabilities, names)
        return replace(self, thresholds=tuple(thresholds[: len(self.classes)]))

    def score(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """See `classes.class_scores` and `classes.label_scores`; documents of a class that wasn't
        learned count as wrong."""
        wanted = [self._labels(document) for document in gold]
        names, probabilities = self._table(predictions, wanted)
        if self.multi_label:
            thresholds = [*(self.thresholds or (EVEN,) * len(self.classes))]
            thresholds += [EVEN] * (len(names) - len(thresholds))
            scores = label_scores(wanted, probabilities, names, thresholds)
        else:
            single = [labels[0] for labels in wanted]
            scores = class_scores(single, probabilities, names, negative=self.negative)
        # No label is both there and not there: nothing can be ranked.
        return {"main": scores[self.choose_by] or 0.0, **scores}

    def _table(
        self, predictions: Sequence[Prediction], wanted: Sequence[Sequence[str]]
    ) -> tuple[list[str], Array]:
        """Names of the classes, those not learned last, and (D, C) probabilities."""
        unknown = sorted({label for labels in wanted for label in labels} - set(self.classes))
        names = [*self.classes, *unknown]
        by_name = [prediction.details["probabilities"] for prediction in predictions]
        table = [[probabilities.get(name, 0.0) for name in names] for probabilities in by_name]
        return names, np.array(table, dtype=np.float64).reshape(len(predictions), len(names))

    def evidence(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Evidence:
        """Documents that are right, or labels that are found, made up and missed, or what is ranked."""
        wanted = [self._labels(document) for document in gold]
        chosen = [self._chosen(prediction.details["probabilities"]) for prediction in predictions]
        pairs = list(zip(wanted, chosen, strict=True))
        if self.choose_by == "auroc":
            names, probabilities = self._table(predictions, wanted)
            ranked = [number for number, name in enumerate(names) if name != self.negative]
            truth = np.array([[float(name in labels) for name in names] for labels in wanted])
            return of_ranks(truth[:, ranked], probabilities[:, ranked])
        if self.choose_by == "accuracy":
            return of_means([float(true == predicted) for true, predicted in pairs], [1] * len(pairs))
        counts = [
            {
                name: Counts(name in true and name in predicted, name not in true, name not in predicted)
                for name in {*true, *predicted} - {self.negative}
            }
            for true, predicted in pairs
        ]
        if self.choose_by == "micro_f1":
            return of_counts(counts)
        return of_counts_by_type(counts, (name for name in self.classes if name != self.negative))

    def confidences_in(self, gold: Document, predicted: Prediction) -> Iterator[tuple[float, bool]]:
        wanted, probabilities = self._labels(gold), predicted.details["probabilities"]
        names = self.classes if self.multi_label else self._chosen(probabilities)
        return ((float(probabilities[name]), name in wanted) for name in names)

    def has_collapsed(self, predictions: Sequence[Prediction]) -> bool:
        return len({self._chosen(prediction.details["probabilities"]) for prediction in predictions}) <= 1
