"""BRAT standoff: a `.txt` file and, beside it, an `.ann` file of character offsets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from longbio.corpus.file_names import FileNames
from longbio.corpus.readers.brat import ONE_LINE
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.corpus.writers.mentions import named
from longbio.errors import LongbioError

# What labels and names must be to stand in their columns: one word.
WORD = re.compile(r"\S+")

NAMES = "names.jsonl"
"""Which file is whose, where an id is no file name."""


def write(documents: Iterable[Document], folder: Path) -> None:
    """Writes each document as `<id>.txt` and `<id>.ann`, so that reading them gives it back.

    An id that can't be a file name, is too long for one or is that of a file about a corpus (`README`) gets
    another, which `names.jsonl` tells: {"id", "file"}. So does a second one that only case tells apart.
    The `.ann` is written even without spans: a document that was read and has no mention is not
    one that nobody annotated. Files of the same name are replaced. Of a document, its text, spans,
    relations and attributes are written; BRAT has no place for the rest.

    Args:
        documents: what to write. Spans, relations and attributes must be sorted and unique to be
            read back equal.
        folder: where to; made if it isn't there.

    Raises:
        LongbioError: an id is there twice, a label or an attribute's name
            isn't one word, a value holds a line end, a span ends after its text, or a relation or
            an attribute is about a span that isn't the document's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    names = FileNames()
    renamed: list[str] = []
    for document in documents:
        if document.id in written:
            raise LongbioError(
                f"the document id {document.id!r} is there twice",
                where=folder,
                remedy="give every document an id of its own",
            )
        written.add(document.id)
        name = names.of(document.id)
        if name != document.id:
            renamed.append(json.dumps({"id": document.id, "file": name}) + "\n")

        annotations = "".join(f"{line}\n" for line in _lines(document))
        # Bytes, not text mode: a line end of the note must reach the disk as it is.
        (folder / f"{name}.txt").write_bytes(document.text.encode("utf-8"))
        (folder / f"{name}.ann").write_bytes(annotations.encode("utf-8"))
    if renamed:
        (folder / NAMES).write_text("".join(renamed), "utf-8")


def _lines(document: Document) -> Iterator[str]:
    name_of = {span: f"T{number}" for number, span in enumerate(document.spans, start=1)}
    for span, name in name_of.items():
        yield f"{name}\t{_mention(span, document)}"
    for number, relation in enumerate(document.relations, start=1):
        yield f"R{number}\t{_relation(relation, name_of, document)}"
    for number, attribute in enumerate(document.attributes, start=1):
        yield f"A{number}\t{_attribute(attribute, name_of, document)}"


def _mention(span: Span, document: Document) -> str:
    if span.end_char > len(document.text):
        raise LongbioError(
            f"a span ends at {span.end_char} in a text of {len(document.text)} characters",
            where=document.id,
            remedy="give the span the offsets of this text",
        )
    offsets = ";".join(f"{start_char} {end_char}" for start_char, end_char in span.fragments)
    column = span.covered(document.text).translate(ONE_LINE)
    return f"{_word(span.label, document)} {offsets}\t{column}"


def _relation(relation: Relation, name_of: dict[Span, str], document: Document) -> str:
    head, tail = named(relation.head, name_of, document), named(relation.tail, name_of, document)
    return f"{_word(relation.label, document)} Arg1:{head} Arg2:{tail}"


def _attribute(attribute: Attribute, name_of: dict[Span, str], document: Document) -> str:
    if set(attribute.value) & set("\r\n"):
        raise LongbioError(f"a value of the attribute {attribute.name!r} holds a line end", where=document.id)
    line = f"{_word(attribute.name, document)} {named(attribute.span, name_of, document)}"
    return f"{line} {attribute.value}" if attribute.value else line


def _word(label: str, document: Document) -> str:
    if not WORD.fullmatch(label):
        raise LongbioError(
            f"the label {label!r} is not one word",
            where=document.id,
            remedy="BRAT needs labels without spaces",
        )
    return label
