"""Notes with their mentions marked, for pages: what was found, missed, or found wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from longbio.corpus.records import Document, Span

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
"""Backgrounds of the entity types, for dark text; with more types they begin again."""

Marks = Mapping[Span, str]
"""What is said of each mention: `hit`, `wrong` or `missed`."""


def compared(gold: Document, predicted: Document) -> dict[Span, str]:
    """Each mention of both: found, found wrongly, or missed."""
    true, found = set(gold.spans), set(predicted.spans)
    return {
        span: "hit" if span in true and span in found else "wrong" if span in found else "missed"
        for span in true | found
    }


def marked(text: str, marks: Marks, types: Sequence[str], shown_chars: int) -> Markup:
    """The first `shown_chars` of a text with its mentions in `<mark class="KIND tTYPE">`.

    Args:
        text: of a document.
        marks: of its mentions; of two that overlap, the one that starts first is shown.
        types: the entity types, whose places choose the colours.
        shown_chars: where the text is cut.
    """
    pieces, position = [], 0
    for span in _without_overlaps(marks):
        if span.end_char > shown_chars:
            break
        kind = marks[span]
        pieces.append(escape(text[position : span.start_char]))
        pieces.append(
            Markup('<mark class="{} t{}" title="{}: {}">{}<sup>{}</sup></mark>').format(
                kind,
                (types.index(span.label) if span.label in types else 0) % len(COLOURS),
                kind,
                span.label,
                text[span.start_char : span.end_char],
                span.label,
            )
        )
        position = span.end_char
    pieces.append(escape(text[position:shown_chars]))
    return Markup("").join(pieces)


def _without_overlaps(spans: Marks) -> list[Span]:
    """In text order; of two that overlap, the one that starts first."""
    kept: list[Span] = []
    for span in sorted(spans):
        if not kept or span.start_char >= kept[-1].end_char:
            kept.append(span)
    return kept
