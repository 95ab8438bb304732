"""BLURB's tables of sentences and abstracts, as its scripts lay them out; quotes are plain characters.

    docid.e1.e2<TAB>sentence<TAB>CPR:3                       ChemProt; DDI and GAD likewise
    index<TAB>sentence1<TAB>sentence2<TAB>score              BIOSSES
    id<TAB>question<TAB>snippets<TAB>yes                     BioASQ
    0_0,1_1,2_0,...,9_0<TAB>sentence<TAB>pmid_s0             HoC, a sentence a row

With a header or without. Sentences of HoC become abstracts, with a space between them in the order
of their numbers; an abstract has the labels that any of its sentences has, "0" to "9".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from longbio.corpus.file_text import read_lines
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.corpus.row_files import score_of
from longbio.errors import LongbioError

HEADERS = {
    ("index", "sentence", "label"): "classes",
    ("index", "sentence1", "sentence2", "score"): "similarity",
    ("id", "question", "snippets", "label"): "answers",
    ("id", "question", "snippets", "answer"): "answers",
    ("labels", "sentence", "index"): "abstracts",
}
"""The layout by the header. Others' tables of sentences are none of these: theirs are quoted, and may
name patients."""

CELLS = {
    "classes": ("id", "text", "label"),
    "similarity": ("id", "query", "text", "score"),
    "answers": ("id", "query", "text", "label"),
    "abstracts": ("labels", "sentence", "index"),
}
"""What the cells of a row are."""

CLASS = re.compile(r"[01]|false|CPR:[0-9]+|DDI-\w+")
MASK = re.compile(r"@[A-Z][A-Z-]*\$")
"""What stands for an entity, in all sentences that have such a class."""

FLAGS = re.compile(r"[0-9]{1,2}_[01](?:,[0-9]{1,2}_[01])*")
SENTENCE = re.compile(r"(?P<abstract>.+)_s(?P<number>[0-9]{1,9})")
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def looks_like(first_line: str) -> bool:
    """Whether the first line of a file is a header or a row of these."""
    return _layout(_cells(first_line)) is not None


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document of each row, or of each abstract of HoC.

    Raises:
        LongbioError: as all readers; and the first line is neither a header nor a row that is known, or a
            row is not like it.
    """
    for file in files:
        yield from _read_file(file, reading)


def _read_file(file: Path, reading: Reading) -> Iterator[Document]:
    rows = _rows(file, reading)
    where, first = next(rows, ("", []))
    if not first:
        return
    layout = _layout(first)
    if layout is None:
        raise LongbioError(
            "this is neither a header nor a row of BLURB's", where=where, remedy="name another format"
        )
    body = rows if _lower(first) in HEADERS else chain([(where, first)], rows)
    rows = _refuse_unlike(body, len(CELLS[layout]))
    if layout == "abstracts":
        yield from _abstracts(rows)
        return
    for where, cells in rows:
        row = dict(zip(CELLS[layout], cells, strict=True))
        if row.get("label") == "":
            raise LongbioError("the row has no label", where=where)
        labels = (row["label"],) if "label" in row else None
        score = score_of(row.get("score"), where)
        yield Document(row["id"], row["text"], query=row.get("query"), labels=labels, score=score)


def _rows(file: Path, reading: Reading) -> Iterator[tuple[str, list[str]]]:
    """Lines that aren't empty, cut at their tabs, each with its place."""
    for number, line in enumerate(read_lines(file, reading.encoding, "\n"), start=1):
        if line.strip("\r\n"):
            yield f"{file}, line {number}", _cells(line)


def _cells(line: str) -> list[str]:
    return line.removesuffix("\n").removesuffix("\r").split("\t")


def _refuse_unlike(rows: Iterable[tuple[str, list[str]]], width: int) -> Iterator[tuple[str, list[str]]]:
    for where, cells in rows:
        if len(cells) != width or not cells[0]:
            raise LongbioError(
                f"there are {len(cells)} cells, the first {'empty' if not cells[0] else 'filled'}, "
                f"in a table of {width}",
                where=where,
            )
        yield where, cells


def _lower(cells: list[str]) -> tuple[str, ...]:
    return tuple(cell.strip().lower() for cell in cells)


def _layout(cells: list[str]) -> str | None:
    """Which table a first row belongs to; None for another's."""
    if _lower(cells) in HEADERS:
        return HEADERS[_lower(cells)]
    if len(cells) == 3 and FLAGS.fullmatch(cells[0]) and SENTENCE.fullmatch(cells[2]):
        return "abstracts"
    if len(cells) == 3 and CLASS.fullmatch(cells[2]) and MASK.search(cells[1]):
        return "classes"
    if len(cells) == 4 and cells[3] in ("yes", "no"):
        return "answers"
    if len(cells) == 4 and cells[0].isdecimal() and NUMBER.fullmatch(cells[3]):
        return "similarity"
    return None


def _abstracts(rows: Iterator[tuple[str, list[str]]]) -> Iterator[Document]:
    sentences: dict[str, list[tuple[int, str]]] = {}
    labels: dict[str, set[str]] = {}
    for where, (flags, sentence, index) in rows:
        place = SENTENCE.fullmatch(index)
        if place is None or not FLAGS.fullmatch(flags):
            raise LongbioError("this is no row of labels, sentence and pmid_s#", where=where)
        name = place["abstract"]
        sentences.setdefault(name, []).append((int(place["number"]), sentence))
        there = (flag.split("_")[0] for flag in flags.split(",") if flag.endswith("_1"))
        labels.setdefault(name, set()).update(there)
    for name, numbered in sentences.items():
        text = " ".join(sentence for _, sentence in sorted(numbered, key=lambda pair: pair[0]))
        yield Document(name, text, labels=tuple(sorted(labels[name], key=int)))
