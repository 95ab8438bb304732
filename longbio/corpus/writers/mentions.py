"""What formats share that name a mention once, and point at it from what is said of it."""

from __future__ import annotations

from collections.abc import Mapping

from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError


def named(span: Span, name_of: Mapping[Span, str], document: Document) -> str:
    """The name that a span was written under.

    Raises:
        LongbioError: it is none of the document's spans.
    """
    if span not in name_of:
        raise LongbioError(
            f"a relation or an attribute is about {span.start_char} to {span.end_char}, which is no span "
            "of the document",
            where=document.id,
            remedy="add the span to the document's spans",
        )
    return name_of[span]
