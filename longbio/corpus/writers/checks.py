"""What formats can't be written without: ids of their own, spans within the text, mentions that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError


def each_once(documents: Iterable[Document], folder: Path) -> Iterator[Document]:
    """Documents that go to a folder. Raises LongbioError at one whose id was there before."""
    written: set[str] = set()
    for document in documents:
        if document.id in written:
            raise LongbioError(
                f"the document id {document.id!r} is there twice",
                where=folder,
                remedy="give every document an id of its own",
            )
        written.add(document.id)
        yield document


def refuse_beyond_text(span: Span, document: Document) -> None:
    """Raises LongbioError where a span ends after its text."""
    if span.end_char > len(document.text):
        raise LongbioError(
            f"a span ends at {span.end_char} in a text of {len(document.text)} characters",
            where=document.id,
            remedy="give the span the offsets of this text",
        )


def name_in(names: Mapping[Span, str], span: Span, document: Document) -> str:
    """The name that a span was written under. Raises LongbioError where it isn't the document's."""
    if span not in names:
        raise LongbioError(
            f"a relation or an attribute is about {span.start_char} to {span.end_char}, which is no span "
            "of the document",
            where=document.id,
            remedy="add the span to the document's spans",
        )
    return names[span]
