"""BioC, XML and JSON: passages laid at their offsets, and annotations located in the whole document.

    <passage><offset>0</offset><text>Naloxone and clonidine.</text>
      <annotation id="1"><infon key="type">Chemical</infon>
        <location offset="0" length="8"/><text>Naloxone</text></annotation></passage>

Files are parsed by the library `bioc`. The text is made of the passages (of their sentences, where a
passage has none of its own), each where its offset says; what lies between is a line feed and, if it
is longer, spaces. So offsets hold, however many characters there were between passages. Whether offsets
count characters, bytes or UTF-16 is found out over the file: not every annotation says its words.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from bioc import BioCAnnotation, BioCDocument, BioCPassage, BioCRelation, BioCSentence

from longbio.corpus.counting import CHARACTERS, Ruler, of_every_unit, said, unit_of, units_of
from longbio.corpus.files import kind_of
from longbio.corpus.fragments import Fragment, joined
from longbio.corpus.readers.bioc_files import JSON_SUFFIXES, documents_of_json, documents_of_xml
from longbio.corpus.readers.bioc_text import Filling, laid, text_of
from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.corpus.solid import Solid
from longbio.errors import LongbioError

SUFFIXES = (".xml", *JSON_SUFFIXES)
COLLECTION = re.compile(r"<collection\b")

LABEL = "type"
"""The infon that is an annotation's label; the others are its attributes."""

RELATION_LABELS = ("type", "relation")
"""The infons that are a relation's label: the first that is there."""

HEADS, TAILS = {"arg1", "head", "subject", "source"}, {"arg2", "tail", "object", "target"}
"""Roles of nodes, in lower case, that say which is which; others leave it to their order."""


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
        yield from _documents(file, reading)


def _documents(file: Path, reading: Reading) -> Iterator[Document]:
    unit, filling = None, Filling()
    for bioc, where in _parsed(file, reading):
        if _is_certain(bioc, where):
            yield _document(bioc, where, filling, CHARACTERS, reading)
            continue
        if unit is None:
            # The file is read once more, and only where its first unclear document stands.
            unit = unit_of(_votes(each, there) for each, there in _parsed(file, reading))
        yield _document(bioc, where, filling, unit, reading)


def _parsed(file: Path, reading: Reading) -> Iterator[tuple[BioCDocument, str]]:
    if kind_of(file) in JSON_SUFFIXES:
        return documents_of_json(file, reading.encoding)
    return documents_of_xml(file)


def _is_certain(bioc: BioCDocument, where: str) -> bool:
    """Whether a document is read alike whatever offsets count, or has every word where characters do."""
    annotations = _annotations(bioc)
    if len(_units(bioc)) == 1 or not annotations:
        return True
    return all(each.text for each in annotations) and (_agreeing(bioc, where, CHARACTERS) == len(annotations))


def _votes(bioc: BioCDocument, where: str) -> Counter[str]:
    """How many annotations have their words where they say, by unit; none where units don't differ."""
    units = _units(bioc)
    if len(units) == 1:
        return Counter()
    return of_every_unit({unit: _agreeing(bioc, where, unit) for unit in units})


def _agreeing(bioc: BioCDocument, where: str, unit: str) -> int:
    try:
        text = text_of(bioc, where, Filling(), unit)
    except LongbioError:
        return 0  # passages can't lie so
    ruler, solid = Ruler(text, unit), Solid(text)
    return sum(_fault(each, solid, ruler) is None for each in _annotations(bioc) if each.text)


def _units(bioc: BioCDocument) -> tuple[str, ...]:
    return units_of("".join(part.text for part in laid(bioc)))


def _annotations(bioc: BioCDocument) -> list[BioCAnnotation]:
    return [each for part in _parts(bioc) for each in part.annotations]


def _parts(bioc: BioCDocument) -> list[BioCDocument | BioCPassage | BioCSentence]:
    return [bioc, *bioc.passages, *(s for passage in bioc.passages for s in passage.sentences)]


def _document(bioc: BioCDocument, where: str, filling: Filling, unit: str, reading: Reading) -> Document:
    if not isinstance(bioc.id, (str, int)) or bioc.id == "":
        raise LongbioError("the document has no id", where=where, remedy="give it one")
    text = text_of(bioc, where, filling, unit)
    ruler, solid = Ruler(text, unit), Solid(text)
    if unit != CHARACTERS:
        reading.remarks.note(said(unit), where)

    spans_of: defaultdict[str, set[Span]] = defaultdict(set)
    attributes: set[Attribute] = set()
    for annotation in _annotations(bioc):
        span = _span(annotation, solid, ruler, where, reading)
        if span is not None:
            spans_of[str(annotation.id)].add(span)
            attributes.update(_attributes(annotation, span, where, reading))

    relations: set[Relation] = set()
    for each in chain.from_iterable(part.relations for part in _parts(bioc)):
        found = _relation(each, spans_of)
        if isinstance(found, Relation):
            relations.add(found)
        else:
            reading.passed_over.note(found, where)

    return Document(
        str(bioc.id),
        text,
        tuple(sorted({span for spans in spans_of.values() for span in spans})),
        relations=tuple(sorted(relations)),
        attributes=tuple(sorted(attributes)),
    )


def _span(
    annotation: BioCAnnotation, solid: Solid, ruler: Ruler, where: str, reading: Reading
) -> Span | None:
    label = annotation.infons.get(LABEL)
    if not annotation.locations or not isinstance(label, str) or not label:
        lacks = "type" if annotation.locations else "place"
        reading.passed_over.note(f"annotations without a {lacks}", where)
        return None
    if not reading.alignment.holds(_fault(annotation, solid, ruler), where):
        return None
    return Span(joined(_fragments(annotation, ruler), solid.text), label)


def _fragments(annotation: BioCAnnotation, ruler: Ruler) -> list[Fragment]:
    return [ruler.span(each.offset, each.offset + each.length) for each in annotation.locations]


def _fault(annotation: BioCAnnotation, solid: Solid, ruler: Ruler) -> str | None:
    text = solid.text
    fragments = _fragments(annotation, ruler)
    for start_char, end_char in fragments:
        if not 0 <= start_char <= end_char <= len(text):
            return f"an annotation is located outside a text of {len(text)} characters"
    if all(start == end for start, end in fragments):
        return "an annotation covers no character"
    said = annotation.text or ""
    if said.strip() and not solid.says(fragments, said):
        start_char, end_char = fragments[0]
        return f"the annotation disagrees with the text at offsets {start_char} {end_char}"
    return None


def _attributes(annotation: BioCAnnotation, span: Span, where: str, reading: Reading) -> Iterator[Attribute]:
    for name, value in annotation.infons.items():
        if name == LABEL:
            continue
        if isinstance(value, (dict, list)):
            reading.passed_over.note("infons that hold more than a word", where)
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
