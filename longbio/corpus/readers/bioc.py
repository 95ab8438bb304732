"""BioC, XML and JSON: passages laid at their offsets, and annotations located in the whole document.

    <passage><offset>0</offset><text>Naloxone and clonidine.</text>
      <annotation id="1"><infon key="type">Chemical</infon>
        <location offset="0" length="8"/><text>Naloxone</text></annotation></passage>

Files are parsed by the library `bioc`. The text is made of the passages (of their sentences, where a
passage has none of its own), each where its offset says; what lies between is a line feed and, if it
is longer, spaces. So offsets hold, however many characters there were between passages.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from bioc import BioCAnnotation, BioCDocument, BioCPassage, BioCRelation, BioCSentence

from longbio.corpus.files import kind_of
from longbio.corpus.readers.bioc_files import JSON_SUFFIXES, documents_of_json, documents_of_xml
from longbio.corpus.readers.brat import Fragment, in_text_order
from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.errors import LongbioError

SUFFIXES = (".xml", *JSON_SUFFIXES)
COLLECTION = re.compile(r"<collection\b")

LABEL = "type"
"""The infon that is an annotation's label; the others are its attributes."""

RELATION_LABELS = ("type", "relation")
"""The infons that are a relation's label: the first that is there."""

HEADS, TAILS = {"arg1", "head", "subject", "source"}, {"arg2", "tail", "object", "target"}
"""Roles of nodes, in lower case, that say which is which; others leave it to their order."""

MAX_GAP = 100_000
"""Characters that may lie between two passages; more is taken for a broken offset."""


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, begins as a collection of XML or has passages of JSON."""
    return any(
        ('"passages"' in beginning and '"offset"' in beginning) or COLLECTION.search(beginning)
        for beginning in beginnings_of(path, SUFFIXES)
    )


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.xml`, `.json` and `.jsonl` file of a folder, a document at a time.

    Args:
        path: the file or folder. What doesn't end in `.json` or `.jsonl` is XML.
        reading: encoding of JSON (XML says its own); counts annotations, and leaves out those whose
            text isn't at their locations. Passed over are annotations without a type or a place,
            infons that hold more than a word or a number, and relations without a type, of concepts
            instead of mentions, of other than two, or of what was not read.

    Yields:
        The documents, in the order of the files. Spans, relations and attributes of each are sorted,
        equal ones kept once.

    Raises:
        LongbioError: a file is broken, or a document has no id, or passages that overlap or lie far
            apart. Names file and line (in a JSON file that is one value, the document's number),
            never the text.
    """
    for file in files_of(path, SUFFIXES):
        is_json = kind_of(file) in JSON_SUFFIXES
        found = documents_of_json(file, reading.encoding) if is_json else documents_of_xml(file)
        for bioc, where in found:
            yield _document(bioc, where, reading)


def _document(bioc: BioCDocument, where: str, reading: Reading) -> Document:
    if not isinstance(bioc.id, (str, int)) or bioc.id == "":
        raise LongbioError("the document has no id", where=where, remedy="give it one")
    text = _text(bioc, where)
    parts = [bioc, *bioc.passages, *(s for passage in bioc.passages for s in passage.sentences)]

    spans_of: defaultdict[str, set[Span]] = defaultdict(set)
    attributes: set[Attribute] = set()
    for annotation in chain.from_iterable(part.annotations for part in parts):
        span = _span(annotation, text, where, reading)
        if span is not None:
            spans_of[str(annotation.id)].add(span)
            attributes.update(_attributes(annotation, span, reading))

    relations: set[Relation] = set()
    for each in chain.from_iterable(part.relations for part in parts):
        found = _relation(each, spans_of)
        if isinstance(found, Relation):
            relations.add(found)
        else:
            reading.passed_over[found] += 1

    return Document(
        str(bioc.id),
        text,
        tuple(sorted({span for spans in spans_of.values() for span in spans})),
        relations=tuple(sorted(relations)),
        attributes=tuple(sorted(attributes)),
    )


def _text(bioc: BioCDocument, where: str) -> str:
    laid: list[BioCPassage | BioCSentence] = []
    for passage in bioc.passages:
        laid += [passage] if passage.text else passage.sentences

    pieces: list[str] = []
    length = 0
    for each in sorted((each for each in laid if each.text), key=lambda each: each.offset):
        gap = each.offset - length
        if not 0 <= gap <= MAX_GAP:
            raise LongbioError(
                f"a passage begins at {each.offset}, and the one before ends at {length}",
                where=where,
                remedy="passages may not overlap, nor lie far apart",
            )
        pieces += ["\n" + " " * (gap - 1) if gap else "", each.text]
        length = each.offset + len(each.text)
    return "".join(pieces)


def _span(annotation: BioCAnnotation, text: str, where: str, reading: Reading) -> Span | None:
    label = annotation.infons.get(LABEL)
    if not annotation.locations or not isinstance(label, str) or not label:
        lacks = "type" if annotation.locations else "place"
        reading.passed_over[f"annotations without a {lacks}"] += 1
        return None
    fragments = [(place.offset, place.offset + place.length) for place in annotation.locations]
    fault = _fault(annotation.text or "", text, fragments)
    return Span(in_text_order(fragments), label) if reading.alignment.holds(fault, where) else None


def _fault(words: str, text: str, fragments: list[Fragment]) -> str | None:
    for start_char, end_char in fragments:
        if not 0 <= start_char <= end_char <= len(text):
            return f"an annotation is located outside a text of {len(text)} characters"
    start_char, end_char = fragments[0]
    covered = [word for start, end in fragments for word in text[start:end].split()]
    if all(start == end for start, end in fragments):
        return f"the annotation at offset {start_char} covers no character"
    if words and words.split() != covered:
        return f"the annotation disagrees with the text at offsets {start_char} {end_char}"
    return None


def _attributes(annotation: BioCAnnotation, span: Span, reading: Reading) -> Iterator[Attribute]:
    for name, value in annotation.infons.items():
        if name == LABEL:
            continue
        if isinstance(value, (dict, list)):
            reading.passed_over["infons that hold more than a word"] += 1
        else:
            yield Attribute(span, name, "" if value is None else str(value))


def _relation(relation: BioCRelation, spans_of: dict[str, set[Span]]) -> Relation | str:
    """The relation, or what it is counted as."""
    if not relation.nodes:
        return "relations between concepts"
    if len(relation.nodes) != 2:
        return "relations of other than two mentions"
    labels: list[Any] = [relation.infons.get(name) for name in RELATION_LABELS]
    label = next((each for each in labels if isinstance(each, str) and each), None)
    if label is None:
        return "relations without a type"
    first, second = (spans_of.get(str(node.refid), set()) for node in relation.nodes)
    if not len(first) == len(second) == 1:
        return "relations of what was not read"
    roles = [str(node.role).lower() for node in relation.nodes]
    turned = roles[0] in TAILS or roles[1] in HEADS
    return Relation(label, *second, *first) if turned else Relation(label, *first, *second)
