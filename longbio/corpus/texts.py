"""Texts without annotations, streamed from whatever a corpus lies in.

Folders, plain text, JSON and JSON lines, CSV and TSV, Parquet; gz and zst around any of them but Parquet.
MIMIC's NOTEEVENTS.csv is read as it is: its columns are known, rows marked as errors are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longbio.corpus.file_text import read_lines
from longbio.corpus.files import corpus_files, folders_below, kind_of, refuse_empty, refuse_missing
from longbio.corpus.readers import READERS
from longbio.corpus.reading import PassedOver
from longbio.corpus.row_files import (
    ERROR_NAME,
    ROWS,
    TEXT_NAMES,
    columns_there,
    half_a_character,
    is_withdrawn,
    name_of,
    read_rows,
)
from longbio.errors import LongbioError

PLAIN = ".txt"

KINDS = (PLAIN, *ROWS)
"""Of files that are read, by their endings."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and whose it is.

    Args:
        text: the characters as they were read.
        group: what a split keeps together: a patient, say. None for nothing but its own copies.
    """

    text: str
    group: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read.

    Args:
        text: holds the text; None for the first of `TEXT_NAMES` that is there.
        group: holds what a split keeps together; None for each row apart.
    """

    text: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Texts that can be read more than once; see `read_texts`."""

    paths: tuple[Path, ...]
    columns: Columns = Columns()

    def __iter__(self) -> Iterator[Text]:
        return read_texts(self.paths, self.columns)

    def __bool__(self) -> bool:
        return bool(self.paths)


def read_texts(paths: Iterable[Path], columns: Columns | None = None) -> Iterator[Text]:
    """Stream texts, file by file in the order of their names; one text is in memory at a time.

    Args:
        paths: files and folders; folders are read with all that lies in them, but for hidden files, and
            JSON that doesn't begin with rows of text.
        columns: of tables.

    Raises:
        LongbioError: a path is missing, holds nothing to read, isn't UTF-8, is binary or damaged,
            or lacks a column. Names file and line, never the text.
    """
    columns = columns or Columns()
    for file in (file for path in paths for file in text_files(path)):
        if kind_of(file) == PLAIN:
            yield Text("".join(read_lines(file)))
            continue
        for row in read_rows(file, wanted=_columns_to_read(columns)):
            yield from text_of_row(row.cells, columns, file, row.where)


def text_files(path: Path) -> list[Path]:
    """The files of `KINDS` that `path` is or holds, sorted. Raises LongbioError where there are none."""
    if path.is_file():
        if kind_of(path) not in KINDS:
            raise LongbioError(
                f"files of kind {kind_of(path) or 'without ending'!r} aren't read",
                where=path,
                remedy=f"give one of {', '.join(KINDS)}, as it is or as .gz or .zst",
            )
        return [path]
    refuse_missing(path)
    refuse_empty(path)
    files = sorted(file for folder in (path, *folders_below(path)) for file in corpus_files(folder, KINDS))
    # Whatever else is JSON describes the corpus.
    files = [file for file in files if kind_of(file) != ".json" or READERS["json"].recognises(file)]
    if not files:
        raise LongbioError(
            "the folder holds nothing that can be read", where=path, remedy=f"give {', '.join(KINDS)}"
        )
    return files


def count_passed_over(paths: Iterable[Path]) -> PassedOver:
    """The files of folders that `read_texts` doesn't read, counted by their endings."""
    unread = PassedOver()
    for path in paths:
        if path.is_dir():
            unread.note_files(path, set(text_files(path)))
    return unread


def _columns_to_read(columns: Columns) -> set[str]:
    texts = TEXT_NAMES if columns.text is None else (columns.text.lower(),)
    return {*texts, ERROR_NAME, *([] if columns.group is None else [columns.group.lower()])}


def text_of_row(row: Mapping[str, Any], columns: Columns, source: str | Path, where: str) -> Iterator[Text]:
    """The text of a row of a table (`source`); none of one that is marked as an error. Raises LongbioError
    where a column is missing, or holds no text."""
    cells = {name.lower(): value for name, value in row.items()}
    if is_withdrawn(cells):
        return
    named = columns.text or next((name for name in TEXT_NAMES if name in cells), "text")
    for name in (named, columns.group or named):
        if name.lower() not in cells:
            raise LongbioError(
                f"{where} has no column {name!r}; {columns_there(row, source)}",
                where=source,
                remedy="name the column to read",
            )
    text = cells[named.lower()]
    if text is not None and not isinstance(text, str):
        raise LongbioError(f"{where} holds no text in column {named!r}", where=source)
    if text is not None and half_a_character(text):
        raise LongbioError(f"{where} holds half a character (a lone surrogate)", where=source)
    yield Text(text or "", None if columns.group is None else name_of(cells[columns.group.lower()]))
