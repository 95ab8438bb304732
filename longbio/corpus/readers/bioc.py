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
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from bioc import BioCAnnotation, BioCDocument, BioCPassage, BioCRelation, BioCSentence

from longbio.corpus.counting import CHARACTERS, Ruler, length, of_every_unit, unit_of, units_of
from longbio.corpus.files import kind_of
from longbio.corpus.fragments import Fragment, join_fragments
from longbio.corpus.readers.bioc_documents import documents_of_json, documents_of_xml
from longbio.corpus.readers.locating import MentionsById, Solid
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Span
from longbio.errors import LongbioError

ENDINGS = (".xml", ".json", ".jsonl")
COLLECTION = re.compile(r"<collection\b")

MAX_GAP = 100_000
"""Characters that may lie between two passages; more is taken for a broken offset."""

MAX_BLANKS = 1_000_000
"""Characters by which what lies between passages may outgrow the passages, in all of a file."""

LABEL = "type"
"""The infon that is an annotation's label; the others are its attributes."""

RELATION_LABELS = ("type", "relation")
"""The infons that are a relation's label: the first that is there."""

HEADS, TAILS = {"arg1", "head", "subject", "source"}, {"arg2", "tail", "object", "target"}
"""Roles of nodes, in lower case, that say which is which; others leave it to their order."""


def looks_like(beginning: str) -> bool:
    """Whether a file begins as a collection of XML, or has passages of JSON."""
    return ('"passages"' in beginning and '"offset"' in beginning) or bool(COLLECTION.search(beginning))


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document at a time; what doesn't end in `.json` or `.jsonl` is XML, which says its own encoding.

    Passed over are annotations without a type or a place, infons that hold more than a word or a number,
    and relations without a type, of concepts instead of mentions, of other than two, or of what was not read.

    Raises:
        LongbioError: as all readers; and a document has no id, or passages that overlap or lie far apart.
    """
    for file in files:
        unit, filling = None, _Filling()
        for bioc, where in _parse(file, reading):
            if _is_certain(bioc, where):
                yield _document(bioc, where, filling, CHARACTERS, reading)
                continue
            if unit is None:
                # The file is read once more, and only where its first unclear document stands.
                unit = unit_of(_votes(other, place) for other, place in _parse(file, reading))
            yield _document(bioc, where, filling, unit, reading)


def _parse(file: Path, reading: Reading) -> Iterator[tuple[BioCDocument, str]]:
    if kind_of(file) in ENDINGS[1:]:
        return documents_of_json(file, reading.encoding)
    return documents_of_xml(file)


@dataclass
class _Filling:
    """How much of a file's texts is passages, and how much was filled in between them."""

    characters: int = 0
    blanks: int = 0

    def add(self, passage: str, gap: int, where: str) -> None:
        self.characters += len(passage)
        self.blanks += gap
        if self.blanks > self.characters + MAX_BLANKS:
            raise LongbioError(
                f"{self.blanks:,} characters lie between passages, and {self.characters:,} in them",
                where=where,
                remedy="give passages the offsets that they have in the document",
            )


def _text_of(bioc: BioCDocument, where: str, filling: _Filling, unit: str) -> str:
    """The passages at their offsets, which count a unit, with blanks between them."""
    pieces: list[str] = []
    end = 0
    for part in sorted(_parts_with_text(bioc), key=lambda part: part.offset):
        gap = part.offset - end
        if not 0 <= gap <= MAX_GAP:
            raise LongbioError(
                f"a passage begins at {part.offset}, and the one before ends at {end}",
                where=where,
                remedy="passages may not overlap, nor lie far apart",
            )
        filling.add(part.text, gap, where)
        pieces += ["\n" + " " * (gap - 1) if gap else "", part.text]
        end = part.offset + length(part.text, unit)
    return "".join(pieces)


def _parts_with_text(bioc: BioCDocument) -> list[BioCPassage | BioCSentence]:
    """The passages, or sentences, that a document's text is made of."""
    parts: list[BioCPassage | BioCSentence] = []
    for passage in bioc.passages:
        parts += [passage] if passage.text else passage.sentences
    return [part for part in parts if part.text]


def _is_certain(bioc: BioCDocument, where: str) -> bool:
    """Whether a document is read alike whatever offsets count, or has every word where characters do."""
    annotations = _annotations(bioc)
    if len(_units(bioc)) == 1 or not annotations:
        return True
    return all(annotation.text for annotation in annotations) and _count_agreeing(
        bioc, where, CHARACTERS
    ) == len(annotations)


def _votes(bioc: BioCDocument, where: str) -> Counter[str]:
    """How many annotations have their words where they say, by unit; none where units don't differ."""
    units = _units(bioc)
    if len(units) == 1:
        return Counter()
    return of_every_unit({unit: _count_agreeing(bioc, where, unit) for unit in units})


def _count_agreeing(bioc: BioCDocument, where: str, unit: str) -> int:
    try:
        text = _text_of(bioc, where, _Filling(), unit)
    except LongbioError:
        return 0  # passages can't lie so
    ruler, solid = Ruler(text, unit), Solid(text)
    worded = (annotation for annotation in _annotations(bioc) if annotation.text)
    return sum(_fault(annotation, solid, ruler) is None for annotation in worded)


def _units(bioc: BioCDocument) -> tuple[str, ...]:
    return units_of("".join(part.text for part in _parts_with_text(bioc)))


def _annotations(bioc: BioCDocument) -> list[BioCAnnotation]:
    return [annotation for part in _parts(bioc) for annotation in part.annotations]


def _parts(bioc: BioCDocument) -> list[BioCDocument | BioCPassage | BioCSentence]:
    return [bioc, *bioc.passages, *(s for passage in bioc.passages for s in passage.sentences)]


def _document(bioc: BioCDocument, where: str, filling: _Filling, unit: str, reading: Reading) -> Document:
    if not isinstance(bioc.id, (str, int)) or bioc.id == "":
        raise LongbioError("the document has no id", where=where, remedy="give it one")
    text = _text_of(bioc, where, filling, unit)
    ruler, solid = Ruler(text, unit), Solid(text)
    reading.note_unit(unit, where)
    mentions = MentionsById()
    for annotation in _annotations(bioc):
        span = _span(annotation, solid, ruler, where, reading)
        if span is not None:
            mentions.spans[str(annotation.id)].add(span)
            mentions.attributes.update(_attributes(annotation, span, where, reading))
    for relation in chain.from_iterable(part.relations for part in _parts(bioc)):
        _relate(relation, mentions, where, reading)
    return mentions.document(str(bioc.id), text)


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
    return Span(join_fragments(_fragments(annotation, ruler), solid.text), label)


def _fragments(annotation: BioCAnnotation, ruler: Ruler) -> list[Fragment]:
    return [ruler.span(place.offset, place.offset + place.length) for place in annotation.locations]


def _fault(annotation: BioCAnnotation, solid: Solid, ruler: Ruler) -> str | None:
    text = solid.text
    fragments = _fragments(annotation, ruler)
    for start_char, end_char in fragments:
        if not 0 <= start_char <= end_char <= len(text):
            return f"an annotation is located outside a text of {len(text)} characters"
    if all(start == end for start, end in fragments):
        return "an annotation covers no character"
    words = annotation.text or ""
    if words.strip() and not solid.says(fragments, words):
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


def _relate(relation: BioCRelation, mentions: MentionsById, where: str, reading: Reading) -> None:
    """Add a relation, or count why not."""
    labels: list[Any] = [relation.infons.get(name) for name in RELATION_LABELS]
    label = next((label for label in labels if isinstance(label, str) and label), None)
    if not relation.nodes:
        reading.passed_over.note("relations between concepts", where)
    elif len(relation.nodes) != 2:
        reading.passed_over.note("relations of other than two mentions", where)
    elif label is None:
        reading.passed_over.note("relations without a type", where)
    else:
        first, second = relation.nodes
        if str(first.role).lower() in TAILS or str(second.role).lower() in HEADS:
            first, second = second, first
        mentions.relate(label, str(first.refid), str(second.refid), where, reading)
