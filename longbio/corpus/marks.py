"""A text in segments, each marked in one way, for pages; marks may overlap, or have several parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from html import escape
from itertools import pairwise

from longbio.corpus.records import Span

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
        is_unsure: it is likelier wrong than right.
    """

    start_char: int
    end_char: int
    kind: int
    words: str
    anchor: str = ""
    is_unsure: bool = False


@dataclass(frozen=True)
class Segment:
    """A piece of text all of which has the same marks.

    Args:
        text: the piece, control characters as their pictures.
        kind: number of the label of the shortest mark; None without any.
        is_unsure: that mark is.
        ended: words of the marks that end with it.
        anchors: of those that begin with it.
    """

    text: str
    kind: int | None
    ended: tuple[str, ...]
    anchors: tuple[str, ...]
    is_unsure: bool = False


def segments(text: str, marks: Sequence[Mark]) -> list[Segment]:
    """A text cut where marks begin and end, whatever overlaps; marks in any order, within the text."""
    borders = sorted({0, len(text), *(m.start_char for m in marks), *(m.end_char for m in marks)})
    begun, ended = defaultdict(list), defaultdict(list)
    for number, mark in enumerate(sorted(marks, key=lambda mark: mark.start_char)):
        begun[mark.start_char].append((mark.end_char - mark.start_char, number, mark))
        ended[mark.end_char].append(mark.words)
    pieces: list[Segment] = []
    # The shortest first; those that have ended are taken out when they come to be it.
    open_marks: list[tuple[int, int, Mark]] = []
    for start, end in pairwise(borders):
        for opened in begun[start]:
            heappush(open_marks, opened)
        while open_marks and open_marks[0][2].end_char <= start:
            heappop(open_marks)
        shortest = open_marks[0][2] if open_marks else None
        piece = text[start:end].translate(PICTURES)
        words_here = tuple(text for text in ended[end] if text)
        anchors = tuple(mark.anchor for _, _, mark in begun[start] if mark.anchor)
        kind = shortest.kind if shortest else None
        pieces.append(Segment(piece, kind, words_here, anchors, bool(shortest and shortest.is_unsure)))
    return pieces


COLOURS = (
    "#cfe3f7",
    "#fbd9c5",
    "#d5efd2",
    "#e6d9f3",
    "#fdeeb8",
    "#f7d2e0",
    "#d0efed",
    "#e3e3d3",
    "#d9dcf5",
    "#f1e0c8",
    "#cfeadd",
    "#ecd4ec",
)
"""Backgrounds of labels, for dark text; with more labels they begin again."""

STYLE = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:40em;overflow-y:auto"

SURE_FROM = 0.5
"""The probability below which a mention is shown as unsure."""


def mention_marks(
    spans: Sequence[Span], probabilities: Sequence[float | None] | None = None, labels: Sequence[str] = ()
) -> list[Mark]:
    """A mark for each piece of each mention; at its end stand its label and its probability.

    Args:
        spans: the mentions.
        probabilities: of each; None where there are none.
        labels: whose places are the kinds of the marks; those of the mentions, sorted, when empty.
    """
    labels = labels or sorted({span.label for span in spans})
    marks = []
    for span, probability in zip(spans, probabilities or [None] * len(spans), strict=True):
        words = span.label if probability is None else f"{span.label} {probability:.2f}"
        is_unsure = probability is not None and probability < SURE_FROM
        for start, end in span.fragments:
            label = words if end == span.end_char else ""
            marks.append(Mark(start, end, labels.index(span.label), label, is_unsure=is_unsure))
    return marks


def as_html(text: str, marks: Sequence[Mark]) -> str:
    """A text with its marks for a notebook, which brings no style of its own."""
    pieces = []
    for segment in segments(text, marks):
        inner = escape(segment.text)
        if segment.kind is not None:
            colour = COLOURS[segment.kind % len(COLOURS)]
            line = "outline:1px dashed #566270;opacity:0.6;" if segment.is_unsure else ""
            inner = f'<mark style="{line}background:{colour};color:#1d2733">{inner}</mark>'
        ended = (f"<sup>{escape(words)}</sup>" for words in segment.ended)
        pieces.append(inner + "".join(ended))
    return f'<div style="{STYLE}">{"".join(pieces)}</div>'
