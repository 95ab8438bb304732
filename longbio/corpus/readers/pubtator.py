"""PubTator: titles and abstracts in one file, each followed by its mentions.

    227508|t|Naloxone reverses the effect of clonidine.
    227508|a|In unanesthetized rats ...
    227508<TAB>0<TAB>8<TAB>Naloxone<TAB>Chemical<TAB>D009270

Offsets count the title, one character between it and the abstract, and the abstract. Here that
character is a line feed. Whether they count characters, bytes or UTF-16 is found out for each document.
A concept id is the mention's attribute `identifier`, as in PubTator's BioC. The seventh field of
composite mentions is passed over, and so are relations, which stand between concept ids (four or five
fields, the second no number).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from longbio.corpus.counting import CHARACTERS, Ruler, best, rulers, said
from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Attribute, Document, Span
from longbio.corpus.rows import read_lines
from longbio.corpus.solid import Solid
from longbio.errors import LongbioError

TITLE = re.compile(r"[^|\t\n]+\|t\|")
PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
OFFSET = re.compile(r"[0-9]{1,9}")
MENTION_FIELDS = (5, 6, 7)
RELATION_FIELDS = (4, 5)

IDENTIFIER = "identifier"
"""The attribute that holds a concept id, or what a corpus has in its place: "-1" where it knows none."""

SUFFIXES = (".txt", ".pubtator")


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, begins as PubTator does."""
    return any(TITLE.match(beginning.lstrip()) for beginning in beginnings_of(path, SUFFIXES))


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.txt` and `.pubtator` file of a folder, a document at a time.

    Args:
        path: the file or folder.
        reading: counts mentions; those that aren't in their text as they say are left out.
            What is passed over: "relations between concepts", "composite mentions".

    Yields:
        The documents, in the order of the files. Spans and attributes are sorted, equal ones kept once.

    Raises:
        LongbioError: a file is not UTF-8, or a line is malformed. The error names file and line,
            never the text.
    """
    for file in files_of(path, SUFFIXES):
        yield from _read_file(file, reading)


@dataclass
class _Lines:
    """The lines of a document: its passages, by t and a, and its mentions, each with its place."""

    name: str
    passages: dict[str, str] = field(default_factory=dict)
    mentions: list[tuple[list[str], str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return f"{self.passages['t']}\n{self.passages.get('a', '')}"


def _read_file(file: Path, reading: Reading) -> Iterator[Document]:
    found = _Lines("")
    for number, line in enumerate(read_lines(file, reading.encoding, "\n"), start=1):
        line, where = line.removesuffix("\n").removesuffix("\r"), f"{file}, line {number}"
        if passage := PASSAGE.fullmatch(line):
            if passage[2] == "t":
                if found.passages:
                    yield _document(found, file, reading)
                found = _Lines(passage[1])
            if (
                passage[1] != found.name
                or passage[2] in found.passages
                or (passage[2] == "a" and found.mentions)
            ):
                raise _malformed(where)
            found.passages[passage[2]] = passage[3]
        elif line.strip():
            fields = line.split("\t")
            if not found.passages or fields[0] != found.name:
                raise _malformed(where)
            if len(fields) in RELATION_FIELDS and not OFFSET.fullmatch(fields[1]):
                reading.passed_over.note("relations between concepts", where)
            else:
                found.mentions.append((_checked(fields, where), where))
    if found.passages:
        yield _document(found, file, reading)


def _checked(fields: list[str], where: str) -> list[str]:
    """The fields of a mention."""
    if len(fields) not in MENTION_FIELDS or not all(OFFSET.fullmatch(each) for each in fields[1:3]):
        raise _malformed(where)
    if not fields[4]:
        raise _malformed(where)
    return fields


def _document(found: _Lines, file: Path, reading: Reading) -> Document:
    text = found.text
    solid = Solid(text)

    def fault(fields: list[str], ruler: Ruler) -> str | None:
        start, end = ruler.span(int(fields[1]), int(fields[2]))
        if not 0 <= start < end <= len(text):
            return f"offsets {start} {end} are outside a text of {len(text)} characters, or cover none"
        if not solid.says([(start, end)], fields[3]):
            return f"the mention disagrees with the text at offsets {start} {end}"
        return None

    ruler = best(
        rulers(text),
        lambda each: sum(fault(fields, each) is None for fields, _ in found.mentions),
        len(found.mentions),
    )
    if ruler.unit != CHARACTERS:
        reading.remarks.note(said(ruler.unit), file)
    spans, attributes = set[Span](), set[Attribute]()
    for fields, where in found.mentions:
        reading.passed_over.note("composite mentions", where, len(fields) == max(MENTION_FIELDS))
        if reading.alignment.holds(fault(fields, ruler), where):
            span = Span.of(*ruler.span(int(fields[1]), int(fields[2])), fields[4])
            spans.add(span)
            if fields[5:] and fields[5].strip():
                attributes.add(Attribute(span, IDENTIFIER, fields[5].strip()))
    return Document(found.name, text, tuple(sorted(spans)), attributes=tuple(sorted(attributes)))


def _malformed(where: str) -> LongbioError:
    return LongbioError(
        "this is no PubTator line",
        where=where,
        remedy="write id|t|title, id|a|abstract, and mentions as id, start, end, text, type, with tabs",
    )
