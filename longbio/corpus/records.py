"""The records every room agrees on: frozen, and with offsets in characters of the original text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A mention of an entity: one or more stretches of a document's text, and a label.

    Args:
        fragments: (start_char, end_char) pairs, in text order, end exclusive, none empty, none
            overlapping. One pair for an ordinary mention, several for a discontinuous one.
        label: the entity type.

    Raises:
        ValueError: fragments are missing, empty, reversed or out of order.

    Example:
        >>> longbio.Span.of(4, 11, "Anatomy").text_in("The patient fell.")
        'patient'
    """

    fragments: tuple[tuple[int, int], ...]
    label: str

    def __post_init__(self) -> None:
        last_end = 0
        for start_char, end_char in self.fragments:
            if not last_end <= start_char < end_char:
                raise ValueError(f"fragments {self.fragments} are empty, reversed or out of order")
            last_end = end_char
        if not self.fragments:
            raise ValueError("a span needs at least one fragment")

    @classmethod
    def of(cls, start_char: int, end_char: int, label: str) -> Span:
        """A span of one piece, `text[start_char:end_char]`."""
        return cls(((start_char, end_char),), label)

    @property
    def start_char(self) -> int:
        """Where the first fragment starts."""
        return self.fragments[0][0]

    @property
    def end_char(self) -> int:
        """Where the last fragment ends (exclusive)."""
        return self.fragments[-1][1]

    @property
    def is_contiguous(self) -> bool:
        """True when the mention is one unbroken piece of text."""
        return len(self.fragments) == 1

    def text_in(self, text: str) -> str:
        """The mention's words: its fragments of `text`, joined with spaces."""
        return " ".join(text[start:end] for start, end in self.fragments)


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """Two mentions and how they belong together.

    Args:
        label: the type of the relation.
        head: what its first argument is (BRAT's Arg1, the left concept of i2b2).
        tail: what its second argument is.
    """

    label: str
    head: Span
    tail: Span


@dataclass(frozen=True, slots=True, order=True)
class Attribute:
    """Something said of a mention: negated, an assertion, a polarity.

    Args:
        span: the mention.
        name: of the attribute.
        value: of the attribute; empty where its name says all.
    """

    span: Span
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a document, answered by pieces of its text.

    Args:
        id: unique within its corpus.
        text: the question.
        answers: (start_char, end_char) of each accepted answer, end exclusive, in the order of the
            file; none when the text holds no answer.
    """

    id: str
    text: str
    answers: tuple[tuple[int, int], ...] = ()

    @property
    def is_impossible(self) -> bool:
        """True when the text holds no answer."""
        return not self.answers


@dataclass(frozen=True, slots=True)
class Document:
    """One text and what is known about it.

    Args:
        id: unique within its corpus; a file's stem where it came from a file.
        text: the whole text, untouched: line ends, tabs and accents as they were read.
        spans: mentions, sorted by position.
        units: (start_char, end_char) of the words that were tagged, where a corpus comes in words:
            a mention begins and ends where they do.
        relations: between `spans`.
        attributes: of `spans`.
        questions: to be answered from the text.
        query: what is read with the text, before it: a question, a premise, the other sentence of a
            pair. None where the text stands alone.
        labels: classes of the document, or of the pair; one, or any number where a corpus has
            several. None where they aren't known.
        score: of the pair, such as its similarity.
        group: the patient, or what else must stay on one side of a split.

    Example:
        >>> fall = longbio.Span.of(12, 16, "Problem")
        >>> longbio.Document("note-1", "The patient fell.", spans=(fall,)).spans[0].label
        'Problem'
    """

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    units: tuple[tuple[int, int], ...] = ()
    relations: tuple[Relation, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    questions: tuple[Question, ...] = ()
    query: str | None = None
    labels: tuple[str, ...] | None = None
    score: float | None = None
    group: str | None = None

    def _repr_html_(self) -> str:
        """The text with its mentions marked, as a notebook shows it."""
        from longbio.corpus.marks import as_html, mention_marks

        return as_html(self.text, mention_marks(self.spans))
