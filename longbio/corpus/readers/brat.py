"""BRAT standoff: a `.txt` file and, beside it, an `.ann` file of character offsets.

The format: https://brat.nlplab.org/standoff.html. Offsets are 0-based and end-exclusive; whether they
count a byte-order mark that begins the text is found out for each file. Read are
mentions (T lines), relations (R) and attributes (A, and M as older files have it). Events,
normalisations, equivalences and notes are passed over, and counted. n2c2 2018 comes so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from longbio.corpus.files import by_stem
from longbio.corpus.readers.text import text_files
from longbio.corpus.reading import Reading, listed, read_markup, read_text
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.errors import LongbioError

SUFFIXES = (".ann", ".txt")
BYTE_ORDER_MARK = "\ufeff"

Fragment = tuple[int, int]

OFFSETS = r"[0-9]{1,9} [0-9]{1,9}"
TEXT_BOUND = re.compile(
    rf"(?P<id>T\S+)\t(?P<label>\S+) (?P<offsets>{OFFSETS}(?:;{OFFSETS})*)\t(?P<column>.*)"
)
RELATION = re.compile(r"R\S+\t(?P<label>\S+) (?P<role>[^\s:]+):(?P<first>\S+) [^\s:]+:(?P<second>\S+)\s*")
ATTRIBUTE = re.compile(r"[AM]\S+\t(?P<name>\S+) (?P<id>\S+)(?: (?P<value>.*))?")
PASSED_OVER = {"E": "events", "N": "normalisations", "*": "equivalences", "#": "notes"}

# The text column is one line: line ends inside a mention stand there as spaces.
ONE_LINE = str.maketrans("\r\n", "  ")


def recognises(path: Path) -> bool:
    """Whether a folder holds `.ann` files."""
    return path.is_dir() and bool(listed(path, SUFFIXES[:1]))


@dataclass
class _Annotations:
    """What the lines of an `.ann` file say.

    Args:
        mentions: by their ids; one that was left out is not there.
        ids: of all lines, those passed over as well.
        text_bounds: (where, line) of each; they become `mentions` when all of them are known.
        relations: the same; read when all mentions are.
        attributes: the same.
    """

    mentions: defaultdict[str, set[Span]] = field(default_factory=lambda: defaultdict(set))
    ids: set[str] = field(default_factory=set)
    text_bounds: list[tuple[str, re.Match[str]]] = field(default_factory=list)
    relations: list[tuple[str, re.Match[str]]] = field(default_factory=list)
    attributes: list[tuple[str, re.Match[str]]] = field(default_factory=list)

    def mention(self, name: str, where: str) -> Span | None:
        """Whose id it is; None where that was left out or is no mention."""
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
            without spans.
        reading: counts mentions; those whose offsets and text column disagree with the text are
            left out, with the relations and attributes that are about them.

    Yields:
        The documents, sorted by id (the file's stem); spans, relations and attributes of each
        sorted, equal ones kept once. Fragments that overlap are joined, and those out of order are
        sorted. The head of a relation is its Arg1, or what comes first where it has other roles.

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

    for stem, file in text_of.items():
        text = read_text(file, reading.encoding)
        if stem in annotations_of:
            yield _document(stem, text, annotations_of[stem], reading)
        else:
            yield Document(stem, text)


def _document(name: str, text: str, file: Path, reading: Reading) -> Document:
    found = _read_lines(file, reading)
    _read_mentions(found, text, reading)
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
        if line[0] in PASSED_OVER:
            reading.passed_over[PASSED_OVER[line[0]]] += 1
        elif line[0] == "R":
            found.relations.append((where, _parse(RELATION, line, where)))
        elif line[0] in "AM":
            found.attributes.append((where, _parse(ATTRIBUTE, line, where)))
        else:
            found.text_bounds.append((where, _parse(TEXT_BOUND, line, where)))
    return found


def _read_mentions(found: _Annotations, text: str, reading: Reading) -> None:
    shift = _shift([line for _, line in found.text_bounds], text)
    for where, line in found.text_bounds:
        fragments = _fragments(line, shift)
        if reading.alignment.holds(_fault(line["column"], text, fragments), where):
            whole = in_text_order(fragments)
            if not whole:
                raise LongbioError(
                    "the annotation covers no character", where=where, remedy="remove the line"
                )
            found.mentions[line["id"]].add(Span(whole, line["label"]))


def _shift(lines: list[re.Match[str]], text: str) -> int:
    """How many characters too small a file's offsets are: 1 where a byte-order mark wasn't counted."""
    if not text.startswith(BYTE_ORDER_MARK):
        return 0

    def agreeing(shift: int) -> int:
        return sum(_fault(line["column"], text, _fragments(line, shift)) is None for line in lines)

    return max((0, 1), key=agreeing)


def _fragments(line: re.Match[str], shift: int) -> list[Fragment]:
    pairs = (pair.split(" ") for pair in line["offsets"].split(";"))
    return [(int(start) + shift, int(end) + shift) for start, end in pairs]


def _relations(found: _Annotations, reading: Reading) -> Iterator[Relation]:
    for where, line in found.relations:
        first, second = found.mention(line["first"], where), found.mention(line["second"], where)
        if first is None or second is None:
            reading.passed_over["relations of what was not read"] += 1
        elif line["role"] == "Arg2":
            yield Relation(line["label"], second, first)
        else:
            yield Relation(line["label"], first, second)


def _attributes(found: _Annotations, reading: Reading) -> Iterator[Attribute]:
    for where, line in found.attributes:
        span = found.mention(line["id"], where)
        if span is None:
            reading.passed_over["attributes of what was not read"] += 1
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


def _fault(column: str, text: str, fragments: list[Fragment]) -> str | None:
    """How the text column disagrees with the text, fragment by fragment; None where it doesn't."""
    for start_char, end_char in fragments:
        if not start_char <= end_char <= len(text):
            return f"offsets {start_char} {end_char} are outside a text of {len(text)} characters"
    column = column.translate(ONE_LINE)
    position = 0
    for number, (start_char, end_char) in enumerate(fragments, start=1):
        joint = "" if number == 1 else " "
        expected = joint + text[start_char:end_char].translate(ONE_LINE)
        if not column.startswith(expected, position):
            return (
                f"the text column disagrees with the text at offsets {start_char} {end_char} "
                f"(fragment {number} of {len(fragments)})"
            )
        position += len(expected)
    longer = len(column) - position
    return f"the text column is {longer} characters longer than its offsets" if longer else None


def in_text_order(fragments: list[Fragment]) -> tuple[Fragment, ...]:
    """The same characters as sorted fragments, none empty and none overlapping.

    Published corpora hold a few such lines (CRAFT has two among 99,623), written by tools that
    moved one end of a fragment.
    """
    ordered: list[Fragment] = []
    for start_char, end_char in sorted(fragments):
        if start_char == end_char:
            continue
        if ordered and start_char < ordered[-1][1]:
            ordered[-1] = (ordered[-1][0], max(ordered[-1][1], end_char))
        else:
            ordered.append((start_char, end_char))
    return tuple(ordered)
