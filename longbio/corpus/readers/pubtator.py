"""PubTator: titles and abstracts in one file, each followed by its mentions.

    227508|t|Naloxone reverses the effect of clonidine.
    227508|a|In unanesthetized rats ...
    227508<TAB>0<TAB>8<TAB>Naloxone<TAB>Chemical<TAB>D009270

Offsets count the title, one character between it and the abstract, and the abstract. Here that
character is a line feed. Concept ids are passed over; so are the seventh field of composite mentions,
and relations, which stand between concept ids (four or five fields, the second no number), and these
two are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Document, Span
from longbio.corpus.rows import read_lines
from longbio.errors import LongbioError

TITLE = re.compile(r"[^|\t\n]+\|t\|")
PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
OFFSET = re.compile(r"[0-9]{1,9}")
MENTION_FIELDS = (5, 6, 7)
RELATION_FIELDS = (4, 5)

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
        The documents, in the order of the files. Spans are sorted by position, equal ones kept once.

    Raises:
        LongbioError: a file is not UTF-8, or a line is malformed. The error names file and line,
            never the text.
    """
    for file in files_of(path, SUFFIXES):
        yield from _read_file(file, reading)


def _read_file(file: Path, reading: Reading) -> Iterator[Document]:
    passages: dict[str, str] = {}
    name, text, spans = "", "", set[Span]()

    for number, line in enumerate(read_lines(file, reading.encoding, "\n"), start=1):
        line, where = line.removesuffix("\n").removesuffix("\r"), f"{file}, line {number}"
        if passage := PASSAGE.fullmatch(line):
            if passage[2] == "t":
                if passages:
                    yield _document(name, passages, spans)
                name, passages, spans = passage[1], {}, set()
            if passage[1] != name or passage[2] in passages or (passage[2] == "a" and spans):
                raise _malformed(where)
            passages[passage[2]] = passage[3]
            text = _text_of(passages)
        elif line.strip():
            fields = line.split("\t")
            if not passages or fields[0] != name:
                raise _malformed(where)
            span = _mention(fields, text, where, reading)
            if span is not None:
                spans.add(span)
    if passages:
        yield _document(name, passages, spans)


def _document(name: str, passages: dict[str, str], spans: set[Span]) -> Document:
    return Document(name, _text_of(passages), tuple(sorted(spans)))


def _text_of(passages: dict[str, str]) -> str:
    return f"{passages['t']}\n{passages.get('a', '')}"


def _mention(fields: list[str], text: str, where: str, reading: Reading) -> Span | None:
    """The span of a line; None for a relation, and for a mention that isn't where it says."""
    if len(fields) in RELATION_FIELDS and not OFFSET.fullmatch(fields[1]):
        reading.passed_over["relations between concepts"] += 1
        return None
    if len(fields) not in MENTION_FIELDS or not all(OFFSET.fullmatch(field) for field in fields[1:3]):
        raise _malformed(where)
    start, end, label = int(fields[1]), int(fields[2]), fields[4]
    if not label:
        raise _malformed(where)
    if len(fields) == max(MENTION_FIELDS):
        reading.passed_over["composite mentions"] += 1
    fault = None
    if not 0 <= start < end <= len(text):
        fault = f"offsets {start} {end} are outside a text of {len(text)} characters, or cover none"
    elif text[start:end].replace("\n", " ") != fields[3].replace("\n", " "):
        fault = f"the mention disagrees with the text at offsets {start} {end}"
    return Span.of(start, end, label) if reading.alignment.holds(fault, where) else None


def _malformed(where: str) -> LongbioError:
    return LongbioError(
        "this is no PubTator line",
        where=where,
        remedy="write id|t|title, id|a|abstract, and mentions as id, start, end, text, type, with tabs",
    )
