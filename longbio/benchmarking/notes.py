"""Notes with their mentions marked, for pages: what was found, missed, or found wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from longbio.corpus.marks import COLOURS, Mark, Segment, segments
from longbio.corpus.records import Document, Span

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
        marks: of its mentions; where they overlap, the colour is the shortest's.
        types: the entity types, whose places choose the colours.
        shown_chars: where the text is cut, and mentions that go on beyond are not marked.
    """
    spans = [span for span in sorted(marks) if span.end_char <= shown_chars]
    said = list(dict.fromkeys((marks[span], span.label) for span in spans))
    pieces = [
        Mark(start, end, said.index((marks[span], span.label)), span.label if end == span.end_char else "")
        for span in spans
        for start, end in span.fragments
    ]
    return Markup("").join(_piece(segment, said, types) for segment in segments(text[:shown_chars], pieces))


def _piece(segment: Segment, said: Sequence[tuple[str, str]], types: Sequence[str]) -> Markup:
    if segment.kind is None:
        return escape(segment.text)
    kind, label = said[segment.kind]
    ended = Markup("").join(Markup("<sup>{}</sup>").format(words) for words in segment.ended)
    number = (types.index(label) if label in types else 0) % len(COLOURS)
    return Markup('<mark class="{} t{}" title="{}: {}">{}{}</mark>').format(
        kind, number, kind, label, segment.text, ended
    )
