"""The records every room agrees on: frozen, and with offsets in characters of the original text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A mention of an entity: one or more pieces of a document's text and a label.

    Args:
        fragments: (start_char, end_char) pairs, in text order, end exclusive, none empty, none
            overlapping. One pair for an ordinary mention, several for a discontinuous one.
        label: the entity type.

    Raises:
        ValueError: fragments are missing, empty, reversed or out of order.
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

    def covered(self, text: str) -> str:
        """The mention's words: its fragments of `text`, joined with spaces."""
        return " ".join(text[start:end] for start, end in self.fragments)


@dataclass(frozen=True, slots=True)
class Document:
    """One text and what is known about it.

    Args:
        id: unique within its corpus; a file's stem where it came from a file.
        text: the whole text, untouched: line ends, tabs and accents as they were read.
        spans: mentions, sorted by position.
        units: (start_char, end_char) of the words that were tagged, where a corpus comes in words:
            a mention begins and ends where they do.
    """

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    units: tuple[tuple[int, int], ...] = ()
