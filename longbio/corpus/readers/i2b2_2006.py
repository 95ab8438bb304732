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
- a tag that is neither, that closes nothing, or is never closed, is a mention that isn't where it says:
  left out and counted, as in all formats.

Tags that had to be mended so are counted among what is passed over.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from longbio.corpus.reading import Reading, beginnings_of, files_of, read_markup
from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError

SUFFIXES = (".xml",)
RECORD = re.compile(r"<RECORD\b[^<>]*>")
RECORD_ID = re.compile(r"\bID\s*=\s*[\"']([^\"'<>]+)[\"']")
TEXT_BEGINS, TEXT_ENDS = re.compile(r"<TEXT\s*>"), re.compile(r"</TEXT\s*>")

# Of a tag that has all its signs, any attributes; else as little as can be, lest the text go with it.
TAG = re.compile(
    r"<\s*PHI(?:\s+\w+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))+\s*>"
    r"|<\s*PHI\s*TYPE\s*+=?\s*+[\"']?(?P<type>[\w-]+)[\"']?\s*>?"
    r"|(?P<closes><\s*/+\s*PHI\b[^<>\n]*>?|<\s*PHI\s*>)"
    r"|<\s*PHI\b[^<>\n]*>?"
)
TYPE = re.compile(r"\bTYPE\s*=\s*(?:\"([^\"]+)\"|'([^']+)'|([\w-]+))")
WELL_FORMED = re.compile(r"<PHI(?:\s+\w+=\"[^\"<>]*\")+>|</PHI>")

REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
REFERENCES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, begins with a record and has a tag of PHI."""
    return any(
        RECORD.search(beginning) and TAG.search(beginning) for beginning in beginnings_of(path, SUFFIXES)
    )


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.xml` file of a folder.

    Args:
        path: the file or folder.
        reading: counts mentions; those whose tags don't make a pair are left out. What is passed
            over: "PHI tags that were mended".

    Yields:
        The documents, named by their records' ids, in the order of the file.

    Raises:
        LongbioError: a file is in another encoding or holds no record, or a record has no ID, one
            that was there before, or no TEXT. Names file and line, never the text.
    """
    seen: set[str] = set()
    for file in files_of(path, SUFFIXES):
        content = read_markup(file, reading.encoding).replace("\r\n", "\n").replace("\r", "\n")
        records = list(RECORD.finditer(content))
        if not records:
            raise LongbioError("the file holds no RECORD", where=file, remedy="give the release's XML file")
        ends = [*(record.start() for record in records[1:]), len(content)]
        source = _Source(file, content, [found.start() for found in re.finditer("\n", content)])
        for record, end in zip(records, ends, strict=True):
            name, text = RECORD_ID.search(record[0]), _text(content, record.end(), end)
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


def _text(content: str, start: int, end: int) -> tuple[int, int] | None:
    """Where a record's text begins and ends; None where it has none."""
    # Two searches, not one: from each opening that is never closed, one would go to the end again.
    opening = TEXT_BEGINS.search(content, start, end)
    closing = TEXT_ENDS.search(content, opening.end(), end) if opening else None
    return (opening.end(), closing.start()) if opening and closing else None


def _document(name: str, text: tuple[int, int], source: _Source, reading: Reading) -> Document:
    content, (position, end) = source.content, text
    pieces: list[str] = []
    length = 0
    spans: set[Span] = set()
    opened: tuple[int, str, int] | None = None
    """Where the open mention starts, its type, and where its tag stands in the file."""

    def leave_out(fault: str, tag_position: int) -> None:
        reading.alignment.holds(fault, source.line(tag_position))

    for tag in TAG.finditer(content, position, end):
        pieces.append(_read_references(content[position : tag.start()]))
        length += len(pieces[-1])
        position = tag.end()
        if not WELL_FORMED.fullmatch(tag[0]):
            reading.passed_over["PHI tags that were mended"] += 1

        if not tag["closes"] and opened:
            leave_out("a PHI tag is not closed", opened[2])
            opened = None
        if kind := _type(tag):
            opened = length, kind, tag.start()
        elif not tag["closes"] or not opened:
            leave_out("a PHI tag closes nothing, or has no type", tag.start())
        else:
            start, label, tag_position = opened
            opened = None
            if start == length:
                leave_out("a PHI tag holds no character", tag_position)
            elif reading.alignment.holds(None, str(source.file)):
                spans.add(Span.of(start, length, label))
    if opened:
        leave_out("a PHI tag is not closed", opened[2])
    pieces.append(_read_references(content[position:end]))
    return Document(name, "".join(pieces), tuple(sorted(spans)))


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
