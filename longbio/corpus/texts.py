"""Texts without annotations, streamed from whatever a corpus lies in.

Folders, plain text, JSON lines, CSV and TSV, Parquet; gz and zst around any of them but Parquet.
MIMIC's NOTEEVENTS.csv is read as it is: its columns are known, rows marked as errors are left out.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from longbio.errors import LongbioError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

TEXT_NAMES = ("text", "note_text", "note", "content", "abstract")
"""Columns that hold the text when none is named, the first that is there; case doesn't matter."""

ERROR_NAME = "iserror"
"""MIMIC's mark of a note that physicians withdrew: such rows are left out."""


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
        paths: files and folders; folders are read with all that lies in them.
        columns: of tables.

    Raises:
        LongbioError: a path is missing, holds nothing to read, isn't UTF-8, is binary or damaged,
            or lacks a column. Names file and line, never the text.
    """
    columns = columns or Columns()
    for path in paths:
        for file in text_files(path):
            yield from READERS[kind_of(file)](file, columns)


def text_files(path: Path) -> list[Path]:
    """The files that `path` is or holds, those this module reads, sorted.

    Raises:
        LongbioError: there is nothing there, or nothing that can be read.
    """
    if path.is_file():
        if kind_of(path) not in READERS:
            raise LongbioError(
                f"files of kind {kind_of(path) or 'without ending'!r} aren't read",
                where=path,
                remedy=f"give one of {', '.join(READERS)}, as it is or as .gz or .zst",
            )
        return [path]
    if not path.is_dir():
        raise LongbioError("there is no such file or folder", where=path, remedy="check the path")
    found = sorted(file for file in path.rglob("*") if file.is_file() and kind_of(file) in READERS)
    if not found:
        raise LongbioError(
            "the folder holds nothing that can be read", where=path, remedy=f"give {', '.join(READERS)}"
        )
    return found


def kind_of(file: Path) -> str:
    """The ending of a file under its compression, which says how it is read."""
    endings = [ending.lower() for ending in file.suffixes]
    if endings and endings[-1] in COMPRESSIONS:
        endings.pop()
    return endings[-1] if endings else ""


def _lines(file: Path) -> Iterator[str]:
    """Lines with their ends as they are; a byte-order mark is left out."""
    stream = io.TextIOWrapper(_bytes(file), encoding="utf-8-sig", newline="")
    number = 0
    try:
        for number, line in enumerate(stream, start=1):
            if "\0" in line:
                raise LongbioError(f"line {number} holds a zero byte: the file is binary", where=file)
            yield line
        return
    except UnicodeDecodeError:
        what = f"after line {number} there is a byte that is not UTF-8"
    except (OSError, EOFError) as error:
        what = f"the file can't be read to its end ({str(error).splitlines()[0]})"
    # Raised outside the handler: the decoding error holds text, and must not be chained.
    raise LongbioError(what, where=file, remedy="save it again as UTF-8, or fetch it again")


def _bytes(file: Path) -> Any:
    compression = COMPRESSIONS.get(file.suffix.lower())
    try:
        return pyarrow.input_stream(str(file), compression=compression, buffer_size=1 << 20)
    except OSError as error:
        raise LongbioError(f"the file can't be opened ({error.strerror or error})", where=file) from error


def _plain(file: Path, columns: Columns) -> Iterator[Text]:
    yield Text("".join(_lines(file)))


def _json_lines(file: Path, columns: Columns) -> Iterator[Text]:
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise LongbioError(f"line {number} is no JSON object", where=file)
        yield from text_of_row(row, columns, file, f"line {number}")


def _table(delimiter: str) -> Callable[[Path, Columns], Iterator[Text]]:
    def read(file: Path, columns: Columns) -> Iterator[Text]:
        csv.field_size_limit(sys.maxsize)  # a note is longer than the 131,072 characters of old
        rows = csv.DictReader(_lines(file), delimiter=delimiter, strict=True)
        try:
            for row in rows:
                if None in row or None in row.values():
                    raise LongbioError(
                        f"the row that ends in line {rows.line_num} has not as many cells as the header",
                        where=file,
                        remedy="quote cells that hold delimiters or line ends",
                    )
                yield from text_of_row(row, columns, file, f"the row that ends in line {rows.line_num}")
        except csv.Error as error:
            raise LongbioError(f"line {rows.line_num} can't be read ({error})", where=file) from None

    return read


def _parquet(file: Path, columns: Columns) -> Iterator[Text]:
    try:
        table = pyarrow.parquet.ParquetFile(file)
        names = table.schema_arrow.names
        wanted = [name for name in names if name.lower() in _wanted(columns)]
        if not wanted:
            raise LongbioError(
                f"there is no column of text; there are {', '.join(names) or 'none'}",
                where=file,
                remedy="name the column to read",
            )
        number = 0
        for batch in table.iter_batches(batch_size=256, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield from text_of_row(row, columns, file, f"row {number}")
    except (OSError, pyarrow.ArrowException) as error:
        raise LongbioError(f"can't be read as Parquet ({str(error).splitlines()[0]})", where=file) from None


def _wanted(columns: Columns) -> set[str]:
    texts = TEXT_NAMES if columns.text is None else (columns.text.lower(),)
    return {*texts, ERROR_NAME, *([] if columns.group is None else [columns.group.lower()])}


def text_of_row(row: Mapping[str, Any], columns: Columns, source: str | Path, where: str) -> Iterator[Text]:
    """The text of a row of a table; none of one that is marked as an error.

    Args:
        row: cells by the names of their columns.
        columns: which to read.
        source: the table.
        where: the row's place in it, for errors.

    Raises:
        LongbioError: a column is missing, or holds no text.
    """
    cells = {name.lower(): value for name, value in row.items()}
    if str(cells.get(ERROR_NAME) or "").strip().lower() in ("1", "1.0", "true", "t", "yes", "y"):
        return
    named = columns.text or next((name for name in TEXT_NAMES if name in cells), "text")
    for name in (named, columns.group or named):
        if name.lower() not in cells:
            raise LongbioError(
                f"{where} has no column {name!r}; it has {', '.join(row) or 'none'}",
                where=source,
                remedy="name the column to read",
            )
    text = cells[named.lower()]
    if text is not None and not isinstance(text, str):
        raise LongbioError(f"{where} holds no text in column {named!r}", where=source)
    if text is not None and _has_half_a_character(text):
        raise LongbioError(f"{where} holds half a character (a lone surrogate)", where=source)
    yield Text(text or "", None if columns.group is None else _group(cells[columns.group.lower()]))


def _has_half_a_character(text: str) -> bool:
    """JSON can escape what UTF-8 can't write."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _group(cell: Any) -> str | None:
    """The same name whatever the table's type: an id may be 7, 7.0 or "7"."""
    if cell is None or cell != cell:
        return None
    named = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
    return named or None


READERS: dict[str, Callable[[Path, Columns], Iterator[Text]]] = {
    ".txt": _plain,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".parquet": _parquet,
}
"""By the ending of the file."""
