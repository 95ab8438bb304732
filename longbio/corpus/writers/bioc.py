"""BioC XML: all documents in one collection, each a single passage."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bioc import (
    BioCAnnotation,
    BioCCollection,
    BioCDocument,
    BioCLocation,
    BioCNode,
    BioCPassage,
    BioCRelation,
    biocxml,
)

from longbio.corpus.readers.bioc import LABEL
from longbio.corpus.records import Attribute, Document, Span
from longbio.corpus.writers.checks import each_once, name_in, refuse_beyond_text
from longbio.errors import LongbioError

FILE = "documents.xml"

NO_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")


def write(documents: Iterable[Document], folder: Path) -> None:
    """Writes `documents.xml`, so that reading it gives the documents back.

    BioC has no place for more than text, spans, relations and attributes (infons of their annotation). The
    file appears when all of it is written.

    Raises:
        LongbioError: an id is empty or there twice, a label is empty, an attribute is called "type", a span
            ends after its text, a relation or an attribute is about a span that isn't the document's, or
            something holds a character that XML can't.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{FILE}.part"
    with unfinished.open("wb") as file, biocxml.iterwrite(file, encoding="utf-8") as writer:
        collection = BioCCollection()
        collection.source, collection.date, collection.key = "longbio", "", ""
        writer.write_collection_info(collection)
        for document in each_once(documents, folder):
            if not document.id:
                raise LongbioError(
                    "the document id '' is empty", where=folder, remedy="give every document an id of its own"
                )
            writer.write_document(_convert(document))
    unfinished.replace(folder / FILE)


def _convert(document: Document) -> BioCDocument:
    converted, passage = BioCDocument(), BioCPassage()
    converted.id = _check(document.id, document)
    passage.offset, passage.text = 0, _check(document.text, document)
    converted.add_passage(passage)

    name_of = {span: str(number) for number, span in enumerate(document.spans, start=1)}
    about: dict[Span, list[Attribute]] = {span: [] for span in document.spans}
    for attribute in document.attributes:
        name_in(name_of, attribute.span, document)
        about[attribute.span].append(attribute)
    for span, name in name_of.items():
        for infons in _infons(span, about[span], document):
            passage.add_annotation(_annotation(span, name, infons, document))

    for number, link in enumerate(document.relations, start=1):
        relation = BioCRelation()
        relation.id = f"R{number}"
        relation.infons[LABEL] = _label(link.label, document)
        for role, end in (("head", link.head), ("tail", link.tail)):
            relation.add_node(BioCNode(name_in(name_of, end, document), role))
        passage.add_relation(relation)
    return converted


def _annotation(span: Span, name: str, infons: dict[str, str], document: Document) -> BioCAnnotation:
    refuse_beyond_text(span, document)
    annotation = BioCAnnotation()
    annotation.id, annotation.infons, annotation.text = name, infons, span.text_in(document.text)
    for start_char, end_char in span.fragments:
        annotation.add_location(BioCLocation(start_char, end_char - start_char))
    return annotation


def _infons(span: Span, attributes: list[Attribute], document: Document) -> list[dict[str, str]]:
    """Of the annotations that a span needs: a second one where an attribute has a second value."""
    label = _label(span.label, document)
    annotations = [{LABEL: label}]
    for attribute in attributes:
        if attribute.name == LABEL:
            raise LongbioError(f"an attribute is called {LABEL!r}, as the label is", where=document.id)
        if all(attribute.name in infons for infons in annotations):
            annotations.append({LABEL: label})
        free = next(infons for infons in annotations if attribute.name not in infons)
        free[_check(attribute.name, document)] = _check(attribute.value, document)
    return annotations


def _label(label: str, document: Document) -> str:
    if not label:
        raise LongbioError("a label is empty", where=document.id)
    return _check(label, document)


def _check(text: str, document: Document) -> str:
    if odd := NO_XML.search(text):
        raise LongbioError(
            f"a text, label or value holds the character U+{ord(odd[0]):04X}, which XML can't",
            where=repr(document.id),
            remedy="take it out of the text, or write another format",
        )
    return text
