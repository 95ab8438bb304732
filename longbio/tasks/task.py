"""What fine-tuning and prediction ask of every task, whatever its records and its head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

from numpy.typing import NDArray
from torch import Tensor, nn

from longbio.corpus.marks import Mark, as_html, mention_marks
from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Relation
from longbio.encoders.input_format import InputFormat, Row
from longbio.errors import LongbioError
from longbio.tasks.evidence import Evidence

TARGETS = ("labels", "row_samples")
"""What a batch holds besides the inputs of a model."""

SHOWN, SHOWN_CHARS = 3, 20
"""Names of types or classes in a message, and characters of each."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Sample:
    """What is learned from at once: a stretch of a document, or a whole one, in rows that fit the model;
    labels, one array a row, or a single one for all of them, as the task has it."""

    rows: tuple[Row, ...]
    labels: tuple[Array, ...]


@dataclass(frozen=True)
class Mention:
    """An entity that a model found: its words, its type and its place, `end_char` being exclusive. The
    probability is that of its least sure word; None where it was given with the text."""

    text: str
    label: str
    start_char: int
    end_char: int
    probability: float | None


@dataclass(frozen=True)
class Answer:
    """What a model says to a question: text and place, `end_char` being exclusive, None where the text holds
    no answer; and the probability of this answer, or that there is none."""

    question: str
    text: str | None
    start_char: int | None
    end_char: int | None
    probability: float | None


@dataclass(frozen=True, eq=False)
class Prediction:
    """A document whose spans, answers, labels or score are what a model found in place of what was known; and
    details: probabilities and what else was considered, ready for JSON."""

    document: Document
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def text(self) -> str:
        return self.document.text

    @property
    def mentions(self) -> list[Mention]:
        """What a model of entities found, in the order of the text."""
        spans, sure = self.document.spans, self.details.get("probabilities")
        # Of a model of other things, these are the classes', and the mentions came with the text.
        of_spans = sure if isinstance(sure, list) else [None] * len(spans)
        return [
            Mention(span.text_in(self.text), span.label, span.start_char, span.end_char, probability)
            for span, probability in zip(spans, of_spans, strict=True)
        ]

    @property
    def answers(self) -> list[Answer]:
        """Of each question, what a model of answers found; without text where it found none."""
        answers = []
        for question, detail in zip(self.document.questions, self.details.get("questions", ()), strict=False):
            start, end = question.answers[0] if question.answers else (None, None)
            sure = detail["best"][0]["probability"] if question.answers else detail["null_probability"]
            words = None if start is None else self.text[start:end]
            answers.append(Answer(question.text, words, start, end, sure))
        return answers

    @property
    def classes(self) -> dict[str, float]:
        """The probability of each class, the likeliest first, of a model of classes; those that it chose are
        `document.labels`."""
        sure = self.details.get("probabilities")
        return dict(sorted(sure.items(), key=lambda item: -item[1])) if isinstance(sure, Mapping) else {}

    @property
    def relations(self) -> list[tuple[Relation, float]]:
        """What a model of relations found, with its probability."""
        details = self.details.get("relations", ())
        return [
            (relation, detail["probability"])
            for relation, detail in zip(self.document.relations, details, strict=False)
        ]

    def _repr_html_(self) -> str:
        """The text with what was found, as a notebook shows it."""
        facts = [f"{name} {probability:.2f}" for name, probability in self.classes.items()]
        facts += [
            f"{relation.label} {probability:.2f}: {relation.head.text_in(self.text)} – "
            f"{relation.tail.text_in(self.text)}"
            for relation, probability in self.relations
        ]
        marks = []
        for answer in self.answers:
            facts.append(f"{answer.question} {answer.text or 'no answer'}")
            if answer.start_char is not None and answer.end_char is not None:
                marks.append(Mark(answer.start_char, answer.end_char, 0, "answer"))
        if self.document.score is not None:
            facts.append(f"score {self.document.score:.3f}")
        marks += mention_marks(self.document.spans, [mention.probability for mention in self.mentions])
        lines = "".join(f"<div>{escape(line)}</div>" for line in facts)
        return lines + as_html(self.text, marks)


class Encoded(Protocol):
    """A document as rows, with whatever a task needs to make sense of their outputs."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """What the model reads."""


E = TypeVar("E", bound=Encoded)


class Task(Protocol[E]):
    """One task: what is learned, how it is read off, how it is scored. What has a body here is that of
    tasks without labels of other classes, thresholds, probabilities or places."""

    head: ClassVar[str]
    """The model class, one of `encoders.loading.TASKS`."""

    finds: ClassVar[str]
    """What is counted of predictions, for people: `mentions`."""

    looks_for: ClassVar[str]
    """What an example of it is, for people: `a mention of an entity`."""

    named: ClassVar[str] = ""
    """What has names that are learned, for people: `mentions of types`."""

    @property
    def measure(self) -> str:
        """The main score, for people: `entity F1`."""

    @property
    def learned_names(self) -> tuple[str, ...]:
        """Types or classes that are known; none before learning."""
        return ()

    def names_in(self, document: Document) -> Iterable[str]:
        """The types or classes of a document, one for each thing that has one."""
        return ()

    def has_example(self, document: Document) -> bool:
        """Whether a document holds something to learn or to score; of the classes, where they are known."""
        return any(not self.learned_names or name in self.learned_names for name in self.names_in(document))

    def warnings(self, documents: Sequence[Document]) -> list[str]:
        """A line for each thing in documents that can't be scored as more than missed."""
        counts = Counter(name for document in documents for name in self.names_in(document))
        for name in self.learned_names:
            counts.pop(name, None)
        if not self.learned_names or not counts:
            return []
        return [f"{counts.total():,} {self.named} that weren't learned, and are missed: {_listing(counts)}"]

    def learned_from(self, documents: Sequence[Document]) -> Self:
        """The same task, its classes those of the training documents, where it has classes."""
        return self

    def check(self, documents: Sequence[Document], inputs: InputFormat) -> None:
        """Raises LongbioError when documents can't be scored: their truth is missing, or a question is longer
        than the model can take."""
        return None

    def config_changes(self) -> dict[str, Any]:
        """What the task sets in a model's config."""
        return {}

    def samples(self, document: Document, inputs: InputFormat, left_out: PassedOver) -> list[Sample]:
        """What is learned from a document; counts what can't be."""

    def targets(self, samples: Sequence[Sample], num_tokens: int) -> dict[str, Tensor]:
        """`labels` of a batch of rows of `num_tokens`, and `row_samples` where rows are pooled."""

    def summed_loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of a model's outputs in nats, summed over the labels."""

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """(logits (..., C), bool (...) of those that are learned from), each a softmax; none for R-Drop
        to compare where there is no softmax."""
        return []

    def encode(self, document: Document, inputs: InputFormat) -> E:
        """A document as rows."""

    def decode(self, encoded: E, outputs: Sequence[Array]) -> Prediction:
        """What the outputs of a document's rows say.

        Args:
            encoded: the document.
            outputs: of each row: (T, C) of a token classifier, (T, 2) start and end of a question
                answerer, (C,) of a classifier.
        """

    def tune(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Self:
        """The same task with the thresholds that suit development documents best, where there are any."""
        return self

    def score(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Scores of documents in the same order, ready for JSON; `main` is the one to choose by."""

    def evidence(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Evidence:
        """What each document adds to `main`, or says in it."""

    def confidences(
        self, gold: Sequence[Document], predictions: Sequence[Prediction]
    ) -> list[tuple[float, bool]]:
        """The probability of whatever was predicted, and whether it is right; none where there are no
        probabilities."""
        pairs = zip(gold, predictions, strict=True)
        return [pair for document, predicted in pairs for pair in self.confidences_in(document, predicted)]

    def confidences_in(self, gold: Document, predicted: Prediction) -> Iterable[tuple[float, bool]]:
        """Those of one document."""
        return ()

    def places(
        self, gold: Sequence[Document], predictions: Sequence[Prediction]
    ) -> list[list[tuple[int, float]]]:
        """Of each document the character where each thing to be found begins, and how well it was found,
        0 to 1; none where a document is judged as a whole."""
        pairs = zip(gold, predictions, strict=True)
        return [list(self.places_in(document, predicted)) for document, predicted in pairs]

    def places_in(self, gold: Document, predicted: Prediction) -> Iterable[tuple[int, float]]:
        """Those of one document."""
        return ()

    def has_collapsed(self, predictions: Sequence[Prediction]) -> bool:
        """Whether a model says the same of everything, as those do that failed to learn."""


def forward(model: nn.Module, batch: Mapping[str, Any]) -> Any:
    """A model's outputs for the inputs of a batch."""
    return model(**{name: value for name, value in batch.items() if name not in TARGETS})


def collate(task: Task[Any], inputs: InputFormat, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """The rows of some samples as one batch with its labels."""
    batch = inputs.batch([row for sample in samples for row in sample.rows])
    return batch | task.targets(samples, batch["input_ids"].shape[1])


def refuse_without_examples(
    task: Task[Any], documents: Sequence[Document], where: str | Path, read_as: str | None = None
) -> None:
    """Refuse to learn from, or to score, documents that hold nothing of what a task is about.

    Args:
        task: with its classes, where they are known: examples are of them.
        documents: none pass.
        where: they came from.
        read_as: their format.

    Raises:
        LongbioError: none of them has an example. Says what was looked for and what was found.
    """
    if not documents or any(task.has_example(document) for document in documents):
        return
    form = f", read as {read_as}," if read_as else ""
    held = _held(documents)
    raise LongbioError(
        f"none of the {len(documents):,} documents{form} has {task.looks_for}; they have {held}",
        where=where,
        remedy="put annotations beside the texts, or name the format or columns",
    )


def _held(documents: Sequence[Document]) -> str:
    """What is known about documents, counted, for people."""
    counts = {
        "mentions": sum(len(document.spans) for document in documents),
        "relations": sum(len(document.relations) for document in documents),
        "questions": sum(len(document.questions) for document in documents),
        "answers": sum(len(q.answers) for document in documents for q in document.questions),
        "labels": sum(len(document.labels or ()) for document in documents),
        "scores": sum(document.score is not None for document in documents),
    }
    held = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    types = {span.label for document in documents for span in document.spans}
    of_types = f", of the types {_listing(types)}" if types else ""
    return held + of_types if held else "nothing but their texts"


def _listing(names: Iterable[str]) -> str:
    """The first few of some names, in a line."""
    ordered = sorted(names)
    shown = ", ".join(repr(name[:SHOWN_CHARS]) for name in ordered[:SHOWN])
    more = len(ordered) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown
