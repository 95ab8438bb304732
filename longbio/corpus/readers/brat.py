"""BRAT standoff: a `.txt` file and, beside it, an `.ann` file of character offsets.

The format: https://brat.nlplab.org/standoff.html. Offsets are 0-based and end-exclusive. Only
text-bound annotations (T lines) are read; relations, events, attributes, notes and the other
kinds are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.readers.text import text_files
from longbio.corpus.reading import Reading, read_markup, read_text
from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError

Fragment = tuple[int, int]

TEXT_BOUND = re.compile(r"T\S+\t(?P<label>\S+) (?P<offsets>[0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*)\t(?P<column>.*)")
PASSED_OVER = tuple("REAMN*#")

# The text column is one line: line ends inside a mention stand there as spaces.
ONE_LINE = str.maketrans("\r\n", "  ")


def recognises(path: Path) -> bool:
    """Whether a folder holds `.ann` files."""
    return path.is_dir() and any(path.glob("*.ann"))


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a folder of BRAT files.

    Args:
        path: a folder, read without its subfolders. A `.txt` file without an `.ann` is a document
            without spans.
        reading: counts mentions; those whose offsets and text column disagree with the text are
            left out.

    Yields:
        The documents, sorted by id (the file's stem); the spans of each sorted by position, equal
        ones kept once. Fragments that overlap are joined, and those out of order are sorted.

    Raises:
        LongbioError: an `.ann` has no `.txt`, a file is not UTF-8, or a line is malformed. The error
            names file and line, never the text.
    """
    text_of = {file.stem: file for file in text_files(path)}
    annotations_of = {file.stem: file for file in path.glob("*.ann")}

    orphans = annotations_of.keys() - text_of.keys()
    if orphans:
        orphan = min(orphans)
        raise LongbioError(
            "annotations without their text",
            where=annotations_of[orphan],
            remedy=f"put {orphan}.txt beside it, or take the .ann away",
        )

    for stem, file in text_of.items():
        yield _read_one(file, annotations_of.get(stem), reading)


def _read_one(text_file: Path, annotation_file: Path | None, reading: Reading) -> Document:
    text = read_text(text_file, reading.encoding)
    if annotation_file is None:
        return Document(id=text_file.stem, text=text)

    spans = set()
    # Not splitlines(): a mention may hold a character, such as U+2028, that it would split at.
    lines = read_markup(annotation_file, reading.encoding).split("\n")
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\r")
        if line and not line.startswith(PASSED_OVER):
            where = f"{annotation_file}, line {number}"
            label, fragments, column = _parse(line, where=where)
            if reading.alignment.holds(_fault(column, text, fragments), where):
                whole = _in_text_order(fragments)
                if not whole:
                    raise LongbioError(
                        "the annotation covers no character", where=where, remedy="remove the line"
                    )
                spans.add(Span(whole, label))
    return Document(id=text_file.stem, text=text, spans=tuple(sorted(spans)))


def _parse(line: str, *, where: str) -> tuple[str, list[Fragment], str]:
    """Label, fragments and text column of a T line."""
    match = TEXT_BOUND.fullmatch(line)
    if match is None:
        raise LongbioError(
            "this is no BRAT annotation",
            where=where,
            remedy="write T lines as ID, tab, label and offsets, tab, text",
        )
    pairs = (pair.split(" ") for pair in match["offsets"].split(";"))
    return match["label"], [(int(start), int(end)) for start, end in pairs], match["column"]


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


def _in_text_order(fragments: list[Fragment]) -> tuple[Fragment, ...]:
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
