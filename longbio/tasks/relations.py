"""Relations between mentions that are known: each pair that may be related is a text to classify.

In the pair's text its mentions are marked, `@ * Drug * aspirin @ ... # * Event * rash #`, or masked,
`@Drug$ ... @Event$`, as BLURB's relation sets are; those come masked on disk, and are plain
classification.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Relation, Span
from longbio.corpus.words import whole_words
from longbio.encoders.input_format import InputFormat, Row
from longbio.encoders.roles import Role
from longbio.tasks.classification import Classes
from longbio.tasks.evidence import Evidence, of_counts
from longbio.tasks.metrics import Counts, by_type, count_entities, micro
from longbio.tasks.pooling import Reading, WholeRows
from longbio.tasks.task import Array, Prediction, Sample, Task

NONE = "none"
"""The class of a pair without a relation."""


@dataclass(frozen=True, eq=False)
class PairRows:
    """A document, head and tail of each of its pairs, the text of each pair as rows, and the tokens of its
    own."""

    document: Document
    pairs: tuple[tuple[Span, Span], ...]
    texts: tuple[WholeRows, ...]
    num_tokens: int

    @property
    def rows(self) -> tuple[Row, ...]:
        """Of all pairs, one after the other."""
        return tuple(row for text in self.texts for row in text.rows)


@dataclass(frozen=True)
class Relations(Task[PairRows]):
    """Relations between the mentions of a document.

    Args:
        classes: types of relations, `none` first; those of the training documents when empty.
        pairs: types of heads and tails that may be related; those of the training relations when
            empty.
        directed: a relation goes from its head to its tail. Without, as between two drugs, what comes
            first in the text is the head, and each pair is asked about once.
        style: how a pair stands in its text. Masked, two mentions of one type look the same either way
            round: they are better not directed.
        reach_chars: characters between two mentions at most; pairs further apart are not asked
            about, and their relations count as missed. None for any distance.
        context_chars: characters read on either side of a pair.
        same_line: both mentions stand in one line, and no more than it is read: i2b2's sentences.
        balanced: weigh classes against how often they occur.
        weights: of `classes`, in their order; made of the training documents when `balanced`.
        global_tokens: what every token sees, in a model that has global attention.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}
    head: ClassVar[str] = "classification"
    finds: ClassVar[str] = "relations"
    looks_for: ClassVar[str] = "a relation between mentions that is learned"
    named: ClassVar[str] = "relations of types"

    kind: Literal["relations"] = "relations"
    classes: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    directed: bool = True
    style: Literal["marked", "masked"] = "marked"
    reach_chars: int | None = 300
    context_chars: int = 300
    same_line: bool = False
    balanced: bool = False
    weights: tuple[float, ...] = ()
    global_tokens: tuple[Role, ...] = ("cls",)

    def __post_init__(self) -> None:
        if self.classes and self.classes[0] != NONE:
            raise ValueError(f"the first class is {NONE!r}, that of pairs without a relation")
        if self.weights and len(self.weights) != len(self.classes):
            raise ValueError(f"{len(self.weights)} weights for {len(self.classes)} classes: name both")

    @property
    def measure(self) -> str:
        return "relation F1"

    @property
    def classifier(self) -> Classes:
        """The task that a pair's text is."""
        return Classes(
            classes=self.classes,
            negative=NONE,
            choose_by="micro_f1",
            reading=Reading(),
            balanced=self.balanced,
            weights=self.weights,
            global_tokens=self.global_tokens,
        )

    @property
    def learned_names(self) -> tuple[str, ...]:
        return self.classes

    def names_in(self, document: Document) -> Iterator[str]:
        return (relation.label for relation in document.relations)

    def learned_from(self, documents: Sequence[Document]) -> Relations:
        """With the types of relations and of pairs that occur."""
        related = [relation for document in documents for relation in self._relations(document)]
        names = sorted({relation.label for relation in related})
        pairs = sorted({(relation.head.label, relation.tail.label) for relation in related})
        task = replace(self, classes=self.classes or (NONE, *names), pairs=self.pairs or tuple(pairs))
        if not self.balanced:
            return task
        texts = [text for document in documents for text in task._texts(document, PassedOver())]
        return replace(task, weights=task.classifier.learned_from(texts).weights)

    def config_changes(self) -> dict[str, Any]:
        return self.classifier.config_changes()

    def candidates(self, document: Document) -> Iterator[tuple[Span, Span]]:
        """Pairs of mentions that may be related, each once, heads and tails in text order."""
        allowed = set(self.pairs)
        if not self.directed:
            allowed |= {(tail, head) for head, tail in self.pairs}
        for head, tail in sorted(self._near(document)):
            if (head.label, tail.label) in allowed:
                yield head, tail

    def _near(self, document: Document) -> Iterator[tuple[Span, Span]]:
        """Pairs of mentions that are near enough, both ways round where relations are directed."""
        spans = sorted(set(document.spans))
        line_ends = [match.start() for match in re.finditer("\n", document.text)] if self.same_line else []
        for number, first in enumerate(spans):
            for second in map(spans.__getitem__, range(number + 1, len(spans))):
                if self.reach_chars is not None and second.start_char - first.end_char > self.reach_chars:
                    break
                begin, end = (bisect_left(line_ends, span.start_char) for span in (first, second))
                if begin == end:
                    yield first, second
                    if self.directed:
                        yield second, first

    def _relations(self, document: Document) -> list[Relation]:
        """Those that are known, from what comes first in the text where they aren't directed."""
        if self.directed:
            return list(document.relations)
        return sorted({_in_text_order(relation) for relation in document.relations})

    def _texts(self, document: Document, left_out: PassedOver) -> list[Document]:
        """The text of each candidate, with its class."""
        labels: dict[tuple[Span, Span], str] = {}
        for relation in self._relations(document):
            left_out.note(
                "relations of a pair that has another", document.id, (relation.head, relation.tail) in labels
            )
            labels.setdefault((relation.head, relation.tail), relation.label)
        pairs = list(self.candidates(document))
        left_out.note(
            "relations of pairs that aren't asked about", document.id, len(labels.keys() - set(pairs))
        )
        return [
            replace(self.text_of(document, head, tail), labels=(labels.get((head, tail), NONE),))
            for head, tail in pairs
        ]

    def text_of(self, document: Document, head: Span, tail: Span) -> Document:
        """A pair in its context, marked or masked."""
        text = document.text
        begin = min(head.start_char, tail.start_char)
        end = max(head.end_char, tail.end_char)
        first, last = whole_words(
            text, max(0, begin - self.context_chars), min(len(text), end + self.context_chars)
        )
        # A mention may begin or end within a word.
        first, last = min(first, begin), max(last, end)
        if self.same_line:
            first, last = text.rfind("\n", 0, begin) + 1, text.find("\n", end)
            last = len(text) if last < 0 else last
        inserted = self._masks(head, tail) if self.style == "masked" else self._marks(head, tail)
        pieces, place = [], first
        for start, stop, words in inserted:
            pieces += [text[place:start], words]
            place = stop
        return Document(document.id, "".join([*pieces, text[place:last]]), group=document.group)

    def _marks(self, head: Span, tail: Span) -> list[tuple[int, int, str]]:
        """(start, end, words) of what is put in, in text order; of marks at one place those that close
        come before those that open."""
        marks = []
        for span, sign in ((head, "@"), (tail, "#")):
            marks.append((span.start_char, 1, span.start_char, f" {sign} * {span.label} * "))
            marks.append((span.end_char, 0, span.end_char, f" {sign} "))
        return [(place, stop, words) for place, _, stop, words in sorted(marks)]

    def _masks(self, head: Span, tail: Span) -> list[tuple[int, int, str]]:
        first, second = sorted((head, tail))
        if second.start_char < first.end_char:
            end = max(first.end_char, second.end_char)
            return [(first.start_char, end, f"@{head.label}-{tail.label}$")]
        return [(span.start_char, span.end_char, f"@{span.label}$") for span in (first, second)]

    def samples(self, document: Document, inputs: InputFormat, left_out: PassedOver) -> list[Sample]:
        """One of each pair."""
        texts, classifier = self._texts(document, left_out), self.classifier
        return [sample for text in texts for sample in classifier.samples(text, inputs, left_out)]

    def targets(self, samples: Sequence[Sample], num_tokens: int) -> dict[str, Tensor]:
        return self.classifier.targets(samples, num_tokens)

    def summed_loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy in nats, summed over pairs."""
        return self.classifier.summed_loss(outputs, batch)

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        return self.classifier.logits(outputs, batch)

    def encode(self, document: Document, inputs: InputFormat) -> PairRows:
        pairs, classifier = tuple(self.candidates(document)), self.classifier
        texts = [classifier.encode(self.text_of(document, head, tail), inputs) for head, tail in pairs]
        return PairRows(document, pairs, tuple(texts), len(inputs.tokens(document.text).ids))

    def decode(self, encoded: PairRows, outputs: Sequence[Array]) -> Prediction:
        """The relations that are likelier than none."""
        rest, classifier = iter(outputs), self.classifier
        relations, details = [], []
        for (head, tail), text in zip(encoded.pairs, encoded.texts, strict=True):
            prediction = classifier.decode(text, [next(rest) for _ in text.rows])
            label = (prediction.document.labels or (NONE,))[0]
            if label != NONE:
                relations.append(Relation(label, head, tail))
                details.append({"label": label, "probability": prediction.details["probabilities"][label]})
        order = np.argsort([relation.head.start_char for relation in relations], kind="stable")
        document = replace(encoded.document, relations=tuple(relations[n] for n in order))
        ordered = [details[n] for n in order]
        return Prediction(
            document, {"tokens": encoded.num_tokens, "pairs": len(encoded.pairs), "relations": ordered}
        )

    def score(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Micro F1 of relations: same type, head and tail. One that no pair was asked about is missed."""
        counts = by_type(self._count(gold, predictions))
        total = micro(counts)
        return {
            "main": total.f1,
            "micro": total.shares(),
            "types": {label: matches.shares() for label, matches in counts.items()},
        }

    def _count(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> list[dict[str, Counts]]:
        pairs = zip(gold, predictions, strict=True)
        return [
            count_entities(self._relations(document), self._relations(prediction.document))
            for document, prediction in pairs
        ]

    def evidence(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Evidence:
        return of_counts(self._count(gold, predictions))

    def confidences_in(self, gold: Document, predicted: Prediction) -> Iterator[tuple[float, bool]]:
        true = {*self._relations(gold)}
        pairs = zip(predicted.document.relations, predicted.details["relations"], strict=True)
        return ((float(detail["probability"]), relation in true) for relation, detail in pairs)

    def places_in(self, gold: Document, predicted: Prediction) -> Iterator[tuple[int, float]]:
        """A relation is where its first mention begins."""
        predicted_relations = {*self._relations(predicted.document)}
        for true in self._relations(gold):
            yield min(true.head.start_char, true.tail.start_char), float(true in predicted_relations)

    def has_collapsed(self, predictions: Sequence[Prediction]) -> bool:
        return not any(prediction.document.relations for prediction in predictions)


def _in_text_order(relation: Relation) -> Relation:
    head, tail = sorted((relation.head, relation.tail))
    return Relation(relation.label, head, tail)
