"""BRAT standoff: a `.txt` file and, beside it, an `.ann` file of offsets.

The format: https://brat.nlplab.org/standoff.html. Offsets are from 0 and end-exclusive; whether they
count characters, bytes or UTF-16, and a byte-order mark that begins the text, is found out for each
file. Fragments with nothing but white space between them are one: BRAT cuts mentions at line ends.

Read are mentions (T lines), relations (R) and attributes (A, and M as older files have it). What is
said of an event is said of its trigger; its arguments, normalisations, equivalences and notes are
passed over, and counted. n2c2 2018 comes so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from longbio.corpus.counting import CHARACTERS, Ruler, best, rulers, said
from longbio.corpus.file_names import TABLE, ids_of
from longbio.corpus.files import by_stem
from longbio.corpus.fragments import Fragment, joined
from longbio.corpus.readers.text import text_files
from longbio.corpus.reading import Reading, listed, read_markup, read_text
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.corpus.solid import Solid
from longbio.errors import LongbioError

SUFFIXES = (".ann", ".txt")
ENDINGS = (*SUFFIXES, TABLE)
BYTE_ORDER_MARK = "\ufeff"

OFFSETS = r"[0-9]{1,9} [0-9]{1,9}"
TEXT_BOUND = re.compile(
    rf"(?P<id>T\S+)\t(?P<label>\S+) (?P<offsets>{OFFSETS}(?:;{OFFSETS})*)\t(?P<column>.*)"
)
ARGUMENT = r"[^\s:]+:\S+"
RELATION = re.compile(rf"R\S+\t(?P<label>\S+)(?P<arguments>(?: {ARGUMENT})+)\s*")
ATTRIBUTE = re.compile(r"[AM]\S+\t(?P<name>\S+) (?P<id>\S+)(?: (?P<value>.*))?")
EVENT = re.compile(rf"(?P<id>E\S+)\t[^\s:]+:(?P<trigger>T\S+)(?P<arguments>(?: {ARGUMENT})*)\s*")
PASSED_OVER = {"E": "events", "N": "normalisations", "*": "equivalences", "#": "notes"}


def recognises(path: Path) -> bool:
    """Whether a folder holds `.ann` files."""
    return path.is_dir() and bool(listed(path, SUFFIXES[:1]))


@dataclass
class _Annotations:
    """What the lines of an `.ann` file say.

    Args:
        mentions: by their ids; one that was left out is not there.
        ids: of all lines, those passed over as well.
        triggers: the id of its trigger, by that of an event.
        text_bounds: (where, line) of each; they become `mentions` when all of them are known.
        relations: the same; read when all mentions are.
        attributes: the same.
    """

    mentions: defaultdict[str, set[Span]] = field(default_factory=lambda: defaultdict(set))
    ids: set[str] = field(default_factory=set)
    triggers: dict[str, str] = field(default_factory=dict)
    text_bounds: list[tuple[str, re.Match[str]]] = field(default_factory=list)
    relations: list[tuple[str, re.Match[str]]] = field(default_factory=list)
    attributes: list[tuple[str, re.Match[str]]] = field(default_factory=list)

    def mention(self, name: str, where: str) -> Span | None:
        """Whose id it is, or the trigger of the event whose it is; None of all that was not read."""
        name = self.triggers.get(name, name)
        spans = self.mentions.get(name, set())
        if name not in self.ids or len(spans) > 1:
            raise LongbioError(
                "this is about an id that " + ("stands for two mentions" if spans else "isn't there"),
                where=where,
                remedy="give every annotation an id of its own, and name it here",
            )
        return next(iter(spans), None)


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a folder of BRAT files.

    Args:
        path: a folder, read without its subfolders. A `.txt` file without an `.ann` is a document
            without spans, and counted.
        reading: counts mentions; those whose offsets and text column disagree with the text, white
            space apart, are left out, with the relations and attributes that are about them. Passed
            over, too: mentions of no character, relations of other than two.

    Yields:
        The documents, sorted by their files' names, which are their ids unless `names.jsonl` says others;
        spans, relations and attributes of each
        sorted, equal ones kept once. Fragments that overlap, or have nothing but white space between
        them, are joined, and those out of order are sorted. The head of a relation is its Arg1, or
        what comes first where it has other roles.

    Raises:
        LongbioError: an `.ann` has no `.txt`, a file is not UTF-8, a line is malformed, or is about
            an id that isn't there. The error names file and line, never the text.
    """
    text_of = by_stem(text_files(path))
    annotations_of = by_stem(listed(path, SUFFIXES[:1]))

    orphans = annotations_of.keys() - text_of.keys()
    if orphans:
        orphan = min(orphans)
        raise LongbioError(
            "annotations without their text",
            where=annotations_of[orphan],
            remedy=f"put {orphan}.txt beside it, or take the .ann away",
        )

    ids = ids_of(path)
    for stem, file in text_of.items():
        text = read_text(file, reading.encoding)
        if stem in annotations_of:
            yield _document(ids.get(stem, stem), text, annotations_of[stem], reading)
        else:
            reading.passed_over.note("notes without an .ann file beside them", file)
            yield Document(ids.get(stem, stem), text)


def _document(name: str, text: str, file: Path, reading: Reading) -> Document:
    found = _read_lines(file, reading)
    _read_mentions(found, text, file, reading)
    spans = {span for spans in found.mentions.values() for span in spans}
    return Document(
        name,
        text,
        tuple(sorted(spans)),
        relations=tuple(sorted(set(_relations(found, reading)))),
        attributes=tuple(sorted(set(_attributes(found, reading)))),
    )


def _read_lines(file: Path, reading: Reading) -> _Annotations:
    found = _Annotations()
    # Not splitlines(): a mention may hold a character, such as U+2028, that it would split at.
    for number, line in enumerate(read_markup(file, reading.encoding).split("\n"), start=1):
        line, where = line.removesuffix("\r"), f"{file}, line {number}"
        if not line.strip():
            continue
        found.ids.add(line.split("\t", 1)[0])
        if event := EVENT.fullmatch(line):
            found.triggers[event["id"]] = event["trigger"]
            reading.passed_over.note("arguments of events", where, event["arguments"].count(" "))
        elif line[0] in PASSED_OVER:
            reading.passed_over.note(PASSED_OVER[line[0]], where)
        elif line[0] == "R":
            found.relations.append((where, _parse(RELATION, line, where)))
        elif line[0] in "AM":
            found.attributes.append((where, _parse(ATTRIBUTE, line, where)))
        else:
            found.text_bounds.append((where, _parse(TEXT_BOUND, line, where)))
    return found


def _read_mentions(found: _Annotations, text: str, file: Path, reading: Reading) -> None:
    lines = []
    for where, line in found.text_bounds:
        offsets = [(int(start), int(end)) for start, end in _pairs(line["offsets"])]
        if all(start == end for start, end in offsets):
            reading.passed_over.note("mentions that cover no character", where)
        else:
            lines.append((where, line, offsets))

    solid = Solid(text)

    def fault(line: re.Match[str], offsets: list[Fragment], ruler: Ruler) -> str | None:
        return _fault(line["column"], solid, [ruler.span(start, end) for start, end in offsets])

    marks = (0, 1) if text.startswith(BYTE_ORDER_MARK) else (0,)
    ruler = best(
        rulers(text, marks),
        lambda each: sum(fault(line, offsets, each) is None for _, line, offsets in lines),
        len(lines),
    )
    if ruler.unit != CHARACTERS:
        reading.remarks.note(said(ruler.unit), file)
    for where, line, offsets in lines:
        if reading.alignment.holds(fault(line, offsets, ruler), where):
            fragments = joined((ruler.span(start, end) for start, end in offsets), text)
            found.mentions[line["id"]].add(Span(fragments, line["label"]))


def _pairs(offsets: str) -> Iterator[list[str]]:
    return (pair.split(" ") for pair in offsets.split(";"))


def _relations(found: _Annotations, reading: Reading) -> Iterator[Relation]:
    for where, line in found.relations:
        arguments = [argument.split(":", 1) for argument in line["arguments"].split()]
        mentions = [found.mention(name, where) for _, name in arguments]
        if len(mentions) != 2:
            reading.passed_over.note("relations of other than two mentions", where)
            continue
        first, second = mentions
        if first is None or second is None:
            reading.passed_over.note("relations of what was not read", where)
        elif arguments[0][0] == "Arg2":
            yield Relation(line["label"], second, first)
        else:
            yield Relation(line["label"], first, second)


def _attributes(found: _Annotations, reading: Reading) -> Iterator[Attribute]:
    for where, line in found.attributes:
        span = found.mention(line["id"], where)
        if span is None:
            reading.passed_over.note("attributes of what was not read", where)
        else:
            yield Attribute(span, line["name"], line["value"] or "")


def _parse(pattern: re.Pattern[str], line: str, where: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        raise LongbioError(
            "this is no BRAT annotation",
            where=where,
            remedy="write T lines as ID, tab, label and offsets, tab, text; see docs/formats.md",
        )
    return match


def _fault(column: str, solid: Solid, fragments: list[Fragment]) -> str | None:
    """How the text column disagrees with the text, fragment by fragment; None where it doesn't.

    White space isn't compared: tools write it as they like, and old ones none between fragments.
    """
    text = solid.text
    for start_char, end_char in fragments:
        if not 0 <= start_char <= end_char <= len(text):
            return f"offsets {start_char} {end_char} are outside a text of {len(text)} characters"
    column = "".join(column.split())
    position = 0
    for number, (start_char, end_char) in enumerate(fragments, start=1):
        is_longer = solid.length(start_char, end_char) > len(column) - position
        expected = "" if is_longer else "".join(solid.words(start_char, end_char))
        if is_longer or not column.startswith(expected, position):
            return (
                f"the text column disagrees with the text at offsets {start_char} {end_char} "
                f"(fragment {number} of {len(fragments)})"
            )
        position += len(expected)
    longer = len(column) - position
    return f"the text column is {longer} characters longer than its offsets" if longer else None
