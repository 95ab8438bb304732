"""A text in pieces that are marked alike, for pages; marks may overlap, or be of several pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# A browser drops control characters; their pictures have the same number of characters.
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {127: 0x2421}


@dataclass(frozen=True)
class Mark:
    """A piece of text that is marked.

    Args:
        start_char: where it begins.
        end_char: where it ends, exclusive.
        kind: number of its label, which gives its colour.
        words: said at its end; empty where a later piece of the same mention says it.
        anchor: its name in the page; empty for none.
    """

    start_char: int
    end_char: int
    kind: int
    words: str
    anchor: str = ""


@dataclass(frozen=True)
class Segment:
    """A piece of text all of which has the same marks.

    Args:
        text: the piece, control characters as their pictures.
        kind: number of the label of the shortest mark; None without any.
        ended: words of the marks that end with it.
        anchors: of those that begin with it.
    """

    text: str
    kind: int | None
    ended: tuple[str, ...]
    anchors: tuple[str, ...]


def segments(text: str, marks: Sequence[Mark]) -> list[Segment]:
    """A text cut where marks begin and end, whatever overlaps.

    Args:
        text: the text.
        marks: in any order, within the text.
    """
    borders = sorted({0, len(text), *(m.start_char for m in marks), *(m.end_char for m in marks)})
    waiting = sorted(marks, key=lambda mark: mark.start_char)
    found: list[Segment] = []
    open_marks: list[Mark] = []
    place = 0
    for start, end in pairwise(borders):
        open_marks = [mark for mark in open_marks if mark.end_char > start]
        while place < len(waiting) and waiting[place].start_char == start:
            open_marks.append(waiting[place])
            place += 1
        shortest = min(open_marks, key=lambda mark: mark.end_char - mark.start_char, default=None)
        found.append(
            Segment(
                text[start:end].translate(PICTURES),
                None if shortest is None else shortest.kind,
                tuple(mark.words for mark in open_marks if mark.end_char == end and mark.words),
                tuple(mark.anchor for mark in open_marks if mark.start_char == start and mark.anchor),
            )
        )
    return found
