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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from longbio.corpus.counting import Ruler, rulers
from longbio.corpus.file_names import TABLE, ids_of
from longbio.corpus.file_text import number_lines, read_markup, read_text
from longbio.corpus.files import by_stem, corpus_files
from longbio.corpus.fragments import Fragment, join_fragments
from longbio.corpus.readers.locating import MentionsById, Solid, locate_mentions
from longbio.corpus.readers.text import text_files
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.errors import LongbioError

ENDINGS = (".ann", ".txt", TABLE)
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
    return path.is_dir() and bool(corpus_files(path, (".ann",)))


Line = tuple[str, re.Match[str]]
"""Its place, and what it says."""


@dataclass
class _Lines:
    """What the lines of an `.ann` file say: `ids` of all of them, triggers by the ids of their events."""

    ids: set[str] = field(default_factory=set)
    triggers: dict[str, str] = field(default_factory=dict)
    mentions: list[Line] = field(default_factory=list)
    relations: list[Line] = field(default_factory=list)
    attributes: list[Line] = field(default_factory=list)


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a folder of BRAT files, without its subfolders.

    A `.txt` file without an `.ann` is a document without spans, and counted. Mentions whose text column
    disagrees with the text, white space apart, are left out, with the relations and attributes that are about
    them. Passed over, too: mentions of no character, relations of other than two.

    Yields:
        The documents, sorted by their files' names, which are their ids unless `names.jsonl` says others.
        Fragments that overlap, or have nothing but white space between them, are joined, and those out of
        order are sorted. The head of a relation is its Arg1, or what comes first where it has other roles.

    Raises:
        LongbioError: as all readers; and an `.ann` has no `.txt`, or a line is about an id that isn't there.
    """
    text_of = by_stem(text_files(path))
    annotations_of = by_stem(corpus_files(path, (".ann",)))

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
        name, text = ids.get(stem, stem), read_text(file, reading.encoding)
        if stem in annotations_of:
            yield _document(name, text, annotations_of[stem], reading)
        else:
            reading.passed_over.note("notes without an .ann file beside them", file)
            yield Document(name, text)


def _document(name: str, text: str, file: Path, reading: Reading) -> Document:
    lines = _read_lines(file, reading)
    mentions = _mentions(lines, text, file, reading)
    mentions.relations.update(_relations(lines, mentions, reading))
    mentions.attributes.update(_attributes(lines, mentions, reading))
    return mentions.document(name, text)


def _read_lines(file: Path, reading: Reading) -> _Lines:
    lines = _Lines()
    # Not splitlines(): a mention may hold a character, such as U+2028, that it would split at.
    for where, line in number_lines(read_markup(file, reading.encoding).split("\n"), file):
        lines.ids.add(line.split("\t", 1)[0])
        if event := EVENT.fullmatch(line):
            lines.triggers[event["id"]] = event["trigger"]
            reading.passed_over.note("arguments of events", where, event["arguments"].count(" "))
        elif line[0] in PASSED_OVER:
            reading.passed_over.note(PASSED_OVER[line[0]], where)
        elif line[0] == "R":
            lines.relations.append((where, _parse(RELATION, line, where)))
        elif line[0] in "AM":
            lines.attributes.append((where, _parse(ATTRIBUTE, line, where)))
        else:
            lines.mentions.append((where, _parse(TEXT_BOUND, line, where)))
    return lines


def _mentions(lines: _Lines, text: str, file: Path, reading: Reading) -> MentionsById:
    written = []
    for where, line in lines.mentions:
        pairs = (pair.split(" ") for pair in line["offsets"].split(";"))
        offsets = [(int(start), int(end)) for start, end in pairs]
        if all(start == end for start, end in offsets):
            reading.passed_over.note("mentions that cover no character", where)
        else:
            written.append(((line, offsets), where))

    solid = Solid(text)

    def fault(mention: tuple[re.Match[str], list[Fragment]], ruler: Ruler) -> str | None:
        line, offsets = mention
        return _fault(line["column"], solid, [ruler.span(start, end) for start, end in offsets])

    marks = (0, 1) if text.startswith(BYTE_ORDER_MARK) else (0,)
    ruler, located = locate_mentions(written, rulers(text, marks), fault, reading)
    reading.note_unit(ruler.unit, file)
    mentions = MentionsById()
    for line, offsets in located:
        fragments = join_fragments((ruler.span(start, end) for start, end in offsets), text)
        mentions.spans[line["id"]].add(Span(fragments, line["label"]))
    return mentions


def _mention(name: str, lines: _Lines, mentions: MentionsById, where: str) -> Span | None:
    """The mention with this id, or the trigger of the event that has it; None of what was not read."""
    name = lines.triggers.get(name, name)
    spans = mentions.spans.get(name, set())
    if name not in lines.ids or len(spans) > 1:
        raise LongbioError(
            "this is about an id that " + ("stands for two mentions" if spans else "isn't there"),
            where=where,
            remedy="give every annotation an id of its own, and name it here",
        )
    return next(iter(spans), None)


def _relations(lines: _Lines, mentions: MentionsById, reading: Reading) -> Iterator[Relation]:
    for where, line in lines.relations:
        arguments = [argument.split(":", 1) for argument in line["arguments"].split()]
        ends = [_mention(name, lines, mentions, where) for _, name in arguments]
        if len(ends) != 2:
            reading.passed_over.note("relations of other than two mentions", where)
            continue
        head, tail = reversed(ends) if arguments[0][0] == "Arg2" else ends
        if head is None or tail is None:
            reading.passed_over.note("relations of what was not read", where)
        else:
            yield Relation(line["label"], head, tail)


def _attributes(lines: _Lines, mentions: MentionsById, reading: Reading) -> Iterator[Attribute]:
    for where, line in lines.attributes:
        span = _mention(line["id"], lines, mentions, where)
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
