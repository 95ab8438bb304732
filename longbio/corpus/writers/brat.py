"""BRAT standoff: a `.txt` file and, beside it, an `.ann` file of character offsets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from longbio.corpus.readers.brat import ONE_LINE
from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError

# What a label must be to stand before the offsets: one word.
LABEL = re.compile(r"\S+")


def write(documents: Iterable[Document], folder: Path) -> None:
    """Writes each document as `<id>.txt` and `<id>.ann`, so that reading them gives it back.

    The `.ann` is written even without spans: a document that was read and has no mention is not
    one that nobody annotated. Files of the same name are replaced.

    Args:
        documents: what to write. Spans must be sorted and unique to be read back equal.
        folder: where to; made if it isn't there.

    Raises:
        LongbioError: an id can't be a file name or is there twice, a label isn't one word, or a
            span ends after its text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    for document in documents:
        if document.id in written or not _is_file_name(document.id):
            raise LongbioError(
                f"the document id {document.id!r} "
                + ("is there twice" if document.id in written else "is no file name"),
                where=folder,
                remedy="give every document an id of its own, without / or \\",
            )
        written.add(document.id)

        lines = [_annotation(number, span, document) for number, span in enumerate(document.spans, 1)]
        # Bytes, not text mode: a line end of the note must reach the disk as it is.
        (folder / f"{document.id}.txt").write_bytes(document.text.encode("utf-8"))
        (folder / f"{document.id}.ann").write_bytes("".join(lines).encode("utf-8"))


def _is_file_name(document_id: str) -> bool:
    return document_id not in ("", ".", "..") and not set(document_id) & set("/\\\0")


def _annotation(number: int, span: Span, document: Document) -> str:
    if not LABEL.fullmatch(span.label):
        raise LongbioError(
            f"the label {span.label!r} is not one word",
            where=document.id,
            remedy="BRAT needs labels without spaces",
        )
    if span.end_char > len(document.text):
        raise LongbioError(
            f"a span ends at {span.end_char} in a text of {len(document.text)} characters",
            where=document.id,
            remedy="give the span the offsets of this text",
        )

    offsets = ";".join(f"{start_char} {end_char}" for start_char, end_char in span.fragments)
    column = span.covered(document.text).translate(ONE_LINE)
    return f"T{number}\t{span.label} {offsets}\t{column}\n"
