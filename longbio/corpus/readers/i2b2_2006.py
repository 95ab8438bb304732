"""i2b2 2006, de-identification: one XML file of many records, identifiers tagged inside their texts.

    <RECORD ID="412">
    <TEXT>
    Seen by Dr. <PHI TYPE="DOCTOR">Smith</PHI> on <PHI TYPE="DATE">12/3</PHI>.
    </TEXT>
    </RECORD>

The text is what remains without the tags, XML's references (`&amp;`, ...) read, line ends line feeds.
Identifiers may be glued to words: a mention ends where its tag does.

The release is no well-formed XML, so no XML parser is asked. What begins as a tag of PHI does is one,
and is taken out of the text, by these rules, first to last:

- it opens a mention if a TYPE can be read in it, whatever stands or is missing around that;
- it closes one if it has a slash, or nothing but its name;
- one that opens a mention where one is open closes that, and opens its own unless it is its like and no
  closing tag comes next: then it was the closing tag;
- a tag that is neither, that closes nothing, or is never closed, is a mention that isn't where it says:
  left out and counted, as in all formats.

Tags that had to be mended so are counted among what is passed over.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from longbio.corpus.file_text import read_markup
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError

RECORD = re.compile(r"<RECORD\b[^<>]*>")
RECORD_ID = re.compile(r"\bID\s*=\s*[\"']([^\"'<>]+)[\"']")
TEXT_BEGINS, TEXT_ENDS = re.compile(r"<TEXT\s*>"), re.compile(r"</TEXT\s*>")

# Of a complete tag, any attributes; of another as little as possible, so that no text goes with it.
TAG = re.compile(
    r"<\s*PHI(?:\s+\w+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))+\s*>"
    r"|<\s*PHI\s*TYPE\s*+=?\s*+[\"']?(?P<type>[\w-]+)[\"']?\s*>?"
    r"|(?P<closes><\s*/+\s*PHI\b[^<>\n]*>?|<\s*PHI\s*>)"
    r"|<\s*PHI\b[^<>\n]*>?"
)
TYPE = re.compile(r"\bTYPE\s*=\s*(?:\"([^\"]+)\"|'([^']+)'|([\w-]+))")
WELL_FORMED = re.compile(r"<PHI(?:\s+\w+=\"[^\"<>]*\")+>|</PHI>")

MENDED = "PHI tags that were mended"

REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
REFERENCES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def looks_like(beginning: str) -> bool:
    """Whether a file begins with a record and has a tag of PHI."""
    return bool(RECORD.search(beginning) and TAG.search(beginning))


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document of each record, named by its id.

    Raises:
        LongbioError: as all readers; and a file holds no record, or a record has no ID, one that was there
            before, or no TEXT.
    """
    seen: set[str] = set()
    for file in files:
        content = read_markup(file, reading.encoding).replace("\r\n", "\n").replace("\r", "\n")
        records = list(RECORD.finditer(content))
        if not records:
            raise LongbioError("the file holds no RECORD", where=file, remedy="give the release's XML file")
        ends = [*(record.start() for record in records[1:]), len(content)]
        source = _Source(file, content, [end.start() for end in re.finditer("\n", content)])
        for record, end in zip(records, ends, strict=True):
            name, text = RECORD_ID.search(record[0]), _find_text(content, record.end(), end)
            if name is None or name[1] in seen or text is None:
                raise LongbioError(
                    "the record has no TEXT" if name and text is None else "the record has no ID of its own",
                    where=source.line(record.start()),
                    remedy="compare the file with the release",
                )
            seen.add(name[1])
            yield _document(name[1], text, source, reading)


@dataclass(frozen=True)
class _Source:
    """A file, what it holds, and where its lines end."""

    file: Path
    content: str
    line_ends: list[int]

    def line(self, position: int) -> str:
        """The place of a character, for people."""
        return f"{self.file}, line {bisect_left(self.line_ends, position) + 1}"


def _find_text(content: str, start: int, end: int) -> tuple[int, int] | None:
    """Where a record's text begins and ends; None where it has none."""
    # Two searches, not one: from each opening that is never closed, one would go to the end again.
    opening = TEXT_BEGINS.search(content, start, end)
    closing = TEXT_ENDS.search(content, opening.end(), end) if opening else None
    return (opening.end(), closing.start()) if opening and closing else None


@dataclass
class _Mentions:
    """The mentions of a record, and the open one: its start, its type, and the place of its tag."""

    reading: Reading
    spans: set[Span] = field(default_factory=set)
    opened: tuple[int, str, str] | None = None

    def leave_out(self, fault: str, where: str) -> None:
        self.reading.alignment.holds(fault, where)

    def close(self, end_char: int) -> None:
        """End the open mention before a character."""
        assert self.opened is not None
        (start_char, label, where), self.opened = self.opened, None
        if self.reading.alignment.holds(
            "a PHI tag holds no character" if start_char >= end_char else None, where
        ):
            self.spans.add(Span.of(start_char, end_char, label))


def _document(name: str, text: tuple[int, int], source: _Source, reading: Reading) -> Document:
    content, (position, end) = source.content, text
    pieces: list[str] = []
    length = 0
    mentions = _Mentions(reading)
    tags = list(TAG.finditer(content, position, end))
    for tag, following in zip_longest(tags, tags[1:]):
        piece = _read_references(content[position : tag.start()])
        pieces.append(piece)
        length += len(piece)
        position = tag.end()
        where = source.line(tag.start())
        kind, is_closing = _type(tag), bool(tag["closes"])
        if not WELL_FORMED.fullmatch(tag[0]):
            reading.passed_over.note(MENDED, where)

        like = mentions.opened[1] if mentions.opened else None
        if mentions.opened and not is_closing:
            if kind is None:
                mentions.leave_out("a PHI tag is not closed", mentions.opened[2])
                mentions.opened = None
            else:
                reading.passed_over.note(MENDED, mentions.opened[2])
                mentions.close(length - len(piece) + len(piece.rstrip()))
        if kind and (kind != like or (following is not None and following["closes"])):
            mentions.opened = length, kind, where
        elif is_closing and mentions.opened:
            mentions.close(length)
        elif not kind:
            mentions.leave_out("a PHI tag closes nothing, or has no type", where)
    if mentions.opened:
        mentions.leave_out("a PHI tag is not closed", mentions.opened[2])
    pieces.append(_read_references(content[position:end]))
    return Document(name, "".join(pieces), tuple(sorted(mentions.spans)))


def _type(tag: re.Match[str]) -> str | None:
    """What a tag says its mention is; None for one that opens none."""
    if tag["type"] or tag["closes"]:
        return tag["type"]
    said = TYPE.search(tag[0])
    return next(group for group in said.groups() if group).strip() if said else None


def _read_references(content: str) -> str:
    def character(reference: re.Match[str]) -> str:
        if reference[1]:
            return REFERENCES[reference[1]]
        code = int(reference[2]) if reference[2] else int(reference[3], 16)
        is_character = 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000
        return chr(code) if is_character else reference[0]

    return REFERENCE.sub(character, content)
