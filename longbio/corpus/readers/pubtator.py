"""PubTator: titles and abstracts in one file, each followed by its mentions.

    227508|t|Naloxone reverses the effect of clonidine.
    227508|a|In unanesthetized rats ...
    227508<TAB>0<TAB>8<TAB>Naloxone<TAB>Chemical<TAB>D009270

Offsets count the title, one character between it and the abstract, and the abstract. Here that character is a
line feed. Whether they count characters, bytes or UTF-16 is found out for each document. A concept id is the
mention's attribute `identifier`, as in PubTator's BioC. The seventh field of composite mentions is passed
over, and so are relations, which stand between concept ids (four or five fields, the second no number).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from longbio.corpus.counting import Ruler, rulers
from longbio.corpus.file_text import number_lines, read_lines
from longbio.corpus.readers.locating import MentionsById, Solid, locate_mentions
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Span
from longbio.errors import LongbioError

TITLE = re.compile(r"[^|\t\n]+\|t\|")
PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
OFFSET = re.compile(r"[0-9]{1,9}")
MENTION_FIELDS = (5, 6, 7)
RELATION_FIELDS = (4, 5)

IDENTIFIER = "identifier"
"""The attribute that holds a concept id, or what a corpus has in its place: "-1" where it knows none."""


def looks_like(beginning: str) -> bool:
    """Whether a file begins as PubTator does."""
    return TITLE.match(beginning.lstrip()) is not None


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document at a time. Passed over are "relations between concepts" and "composite mentions"."""
    for file in files:
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
    lines = _Lines("")
    for where, line in number_lines(read_lines(file, reading.encoding, "\n"), file):
        if passage := PASSAGE.fullmatch(line):
            name, kind, text = passage.groups()
            if kind == "t":
                if lines.passages:
                    yield _document(lines, file, reading)
                lines = _Lines(name)
            if name != lines.name or kind in lines.passages or (kind == "a" and lines.mentions):
                raise _malformed(where)
            lines.passages[kind] = text
            continue
        fields = line.split("\t")
        if not lines.passages or fields[0] != lines.name:
            raise _malformed(where)
        if len(fields) in RELATION_FIELDS and not OFFSET.fullmatch(fields[1]):
            reading.passed_over.note("relations between concepts", where)
            continue
        is_placed = all(OFFSET.fullmatch(offset) for offset in fields[1:3])
        if len(fields) not in MENTION_FIELDS or not is_placed or not fields[4]:
            raise _malformed(where)
        lines.mentions.append((fields, where))
    if lines.passages:
        yield _document(lines, file, reading)


def _document(lines: _Lines, file: Path, reading: Reading) -> Document:
    text = lines.text
    solid = Solid(text)

    def fault(fields: list[str], ruler: Ruler) -> str | None:
        start, end = ruler.span(int(fields[1]), int(fields[2]))
        if not 0 <= start < end <= len(text):
            return f"offsets {start} {end} are outside a text of {len(text)} characters, or cover none"
        if not solid.says([(start, end)], fields[3]):
            return f"the mention disagrees with the text at offsets {start} {end}"
        return None

    ruler, located = locate_mentions(lines.mentions, rulers(text), fault, reading)
    reading.note_unit(ruler.unit, file)
    for fields, where in lines.mentions:
        reading.passed_over.note("composite mentions", where, len(fields) == max(MENTION_FIELDS))
    mentions = MentionsById()
    for fields in located:
        span = Span.of(*ruler.span(int(fields[1]), int(fields[2])), fields[4])
        mentions.spans[None].add(span)
        if fields[5:] and fields[5].strip():
            mentions.attributes.add(Attribute(span, IDENTIFIER, fields[5].strip()))
    return mentions.document(lines.name, text)


def _malformed(where: str) -> LongbioError:
    return LongbioError(
        "this is no PubTator line",
        where=where,
        remedy="write id|t|title, id|a|abstract, and mentions as id, start, end, text, type, with tabs",
    )
