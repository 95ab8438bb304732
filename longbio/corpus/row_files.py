"""Files of lines and tables, streamed: CSV and TSV, JSON lines, Parquet; gz and zst around all but Parquet.
JSON that is one list is held in memory.

MIMIC's NOTEEVENTS.csv is read as it is: cells over many lines, rows marked as errors told apart.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from longbio.corpus import delimited, json_objects
from longbio.corpus.file_text import first_line_of, read_lines
from longbio.corpus.files import kind_of
from longbio.corpus.reading import Reading, go_on
from longbio.corpus.records import Document
from longbio.errors import LongbioError

TEXT_NAMES = ("text", "note_text", "note", "content", "abstract")
"""Columns that hold the text when none is named, the first that is there; case doesn't matter."""

LISTS = ("data", "annotations", "documents", "examples", "rows")
"""Members that hold the rows of a JSON file which is one object."""

WHOLE = re.compile(r"[0-9]+\.0")
"""A whole number as pandas writes it in a column that has gaps."""

TRUE = ("1", "1.0", "true", "t", "yes", "y")
"""How tables write that something is so, in lower case."""

ERROR_NAME = "iserror"
"""MIMIC's mark of a note that physicians withdrew: such rows are left out."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its cells by the names of their columns, as the table spells them; its place, for
    errors; and its number from 1, in which those that can't be read count."""

    cells: Mapping[str, Any]
    where: str
    number: int


Failed = Callable[[LongbioError], None] | None
"""Told of a row that can't be read; without it the reading stops there."""


def read_rows(
    file: Path, encoding: str = "utf-8", wanted: Collection[str] | None = None, failed: Failed = None
) -> Iterator[Row]:
    """Stream the rows of a table.

    Args:
        file: of a kind in `ROWS`, as it is or compressed.
        encoding: of CSV, TSV and JSON.
        wanted: lower-case names of the columns to read; None for all. Parquet leaves the others on
            disk, the rest gives them all the same.
        failed: told of each malformed row of CSV, TSV and JSON, behind which the reading goes on; and how
            many lines went with it, see `delimited`.

    Raises:
        LongbioError: the file can't be read, is damaged, or, without `failed`, a row is malformed.
            Names file and line, never what stands there.
    """
    if kind_of(file) not in ROWS:
        raise LongbioError(
            f"{kind_of(file) or 'a file without ending'!r} is no table that is read",
            where=file,
            remedy=f"give one of {', '.join(ROWS)}",
        )
    return ROWS[kind_of(file)](file, encoding, wanted, failed)


def columns_there(names: Collection[str], source: str | Path) -> str:
    """Which columns a table has, for errors; counted where its first line may be a note, no header."""
    if isinstance(source, Path) and kind_of(source) in (".csv", ".tsv"):
        return f"its first line names {len(names)} others"
    return f"there are {', '.join(names) or 'none'}"


def is_withdrawn(cells: Mapping[str, Any]) -> bool:
    """Whether a row is marked as an error. `cells` by lower-case names."""
    return str(cells.get(ERROR_NAME) or "").strip().lower() in TRUE


def name_of(cell: Any) -> str | None:
    """The same name whatever the table's type: an id may be 7, 7.0, "7" or "7.0". None for an empty cell."""
    named = value_of(cell)
    return named if named is None or not WHOLE.fullmatch(named) else named.removesuffix(".0")


def value_of(cell: Any) -> str | None:
    """A value as it is written, but for numbers that tables keep as 7.0. None for an empty cell."""
    if cell is None or cell != cell:
        return None
    named = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
    return named or None


def score_of(cell: Any, where: str) -> float | None:
    """The number in a cell; None for an empty one. Raises LongbioError where it holds no finite number."""
    if name_of(cell) is None:
        return None
    try:
        score = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise LongbioError("the score is no number", where=where)
    return score


def documents_of(
    files: Iterable[Path],
    reading: Reading,
    reader_of: Callable[[Path, Row], Callable[[Row], Document | None]],
    wanted: Collection[str] | None = None,
) -> Iterator[Document]:
    """The documents of the rows of files; files and rows that can't be read are skipped, see `Reading`.

    `reader_of` a file and its first row gives what makes a document of each, None of one that has none; it
    raises LongbioError for what is the fault of the file, not of its rows. `wanted` as of `read_rows`.
    """
    for file in files:
        try:
            read = None
            for row in read_rows(file, reading.encoding, wanted, reading.failed):
                read = read or reader_of(file, row)
                try:
                    document = read(row)
                except LongbioError as error:
                    reading.skip(error)
                    continue
                if document is not None:
                    yield document
        except LongbioError as error:
            reading.skip(error)


def readable_rows(file: Path, encoding: str, wanted: Collection[str] | None = None) -> Iterator[Row]:
    """The rows of a file that can be read: who makes documents of them says what is wrong with others."""
    with suppress(LongbioError):
        yield from read_rows(file, encoding, wanted, lambda error: None)


def _json_lines(file: Path, encoding: str, wanted: Collection[str] | None, failed: Failed) -> Iterator[Row]:
    number = 0
    lines = read_lines(file, encoding, "\n", damaged=failed is not None)
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        number += 1
        where = f"line {line_number}"
        try:
            _refuse_damaged(line, where, file, encoding)
            cells = json_objects.as_object(json_objects.parse_value(line, where, file), where, file)
        except LongbioError as error:
            go_on(error, failed)
            continue
        yield Row(cells, where, number)


def _json(file: Path, encoding: str, wanted: Collection[str] | None, failed: Failed) -> Iterator[Row]:
    """A file that is one list, or an object that holds one; or else lines, as `datasets` writes them."""
    text = "".join(read_lines(file, encoding))
    lines = (line.strip() for line in text.split("\n"))
    if "\n" in text.strip() and _is_json(next(line for line in lines if line)):
        yield from _json_lines(file, encoding, wanted, failed)
        return
    content = json_objects.parse_value(text, "the file", file)
    within = [name for name in LISTS if isinstance(content, dict) and isinstance(content.get(name), list)]
    listed = content[within[0]] if within else content if isinstance(content, list) else [content]
    path = f".{within[0]}" if within else "."
    for number, item in enumerate(listed, start=1):
        where = f"{path}[{number - 1}]"
        try:
            row = {"text": item} if isinstance(item, str) else json_objects.as_object(item, where, file)
        except LongbioError as error:
            go_on(error, failed)
            continue
        yield Row(row, where, number)


def _is_json(text: str) -> bool:
    """Whether a text is a whole object or list of JSON."""
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _table(
    delimiter: str, file: Path, encoding: str, wanted: Collection[str] | None, failed: Failed
) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # a note is longer than the 131,072 characters of old
    rows = delimited.rows_of(read_lines(file, encoding, damaged=failed is not None), delimiter)
    header = next(rows, None)
    if header is None:
        return
    if isinstance(header, delimited.Broken):
        raise _unreadable(header, file)
    names = [name.lower() for name in header.cells if name]
    if len(set(names)) < len(names):
        raise LongbioError("the header names a column twice", where=file)
    for number, row in enumerate(rows, start=1):
        try:
            if isinstance(row, delimited.Broken):
                raise _unreadable(row, file)
            where = f"the row that ends in line {row.last_line}"
            _refuse_damaged("".join(row.cells), where, file, encoding)
        except LongbioError as error:
            go_on(error, failed)
        else:
            yield Row(dict(zip(header.cells, row.cells, strict=True)), where, number)


def _unreadable(row: delimited.Broken, file: Path) -> LongbioError:
    lost = f", and {row.lost:,} lines behind it are lost with it" if row.lost else ""
    return LongbioError(
        f"the row that begins in line {row.line} can't be read ({row.what}){lost}",
        where=file,
        remedy="quote cells that hold delimiters or line ends, and close the quotes",
    )


def _refuse_damaged(text: str, where: str, file: Path, encoding: str) -> None:
    """Raises LongbioError for a zero byte, or for a byte that `read_lines` let pass as half a character."""
    if "\0" in text:
        raise LongbioError(f"{where} holds a zero byte", where=file)
    if half_a_character(text):
        raise LongbioError(
            f"{where} holds a byte that is not {encoding.upper()}",
            where=file,
            remedy="save it again as UTF-8, or name its encoding: cp1252, say",
        )


def half_a_character(text: str) -> bool:
    """Whether a text holds what UTF-8 can't write: a lone surrogate."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _parquet(file: Path, encoding: str, wanted: Collection[str] | None, failed: Failed) -> Iterator[Row]:
    try:
        table = pyarrow.parquet.ParquetFile(file)
        names = table.schema_arrow.names
        read = [name for name in names if wanted is None or name.lower() in wanted]
        if not read:
            raise LongbioError(
                f"there is no column of text; {columns_there(names, file)}",
                where=file,
                remedy="name the column to read",
            )
        number = 0
        for batch in table.iter_batches(batch_size=256, columns=read):
            for row in batch.to_pylist():
                number += 1
                yield Row(row, f"row {number}", number)
        return
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        fault = f"can't be read as Parquet ({first_line_of(error)})"
    # Raised outside the handler: a decoding error holds text, and must not be chained.
    raise LongbioError(fault, where=file)


ROWS: dict[str, Callable[[Path, str, Collection[str] | None, Failed], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": partial(_table, ","),
    ".tsv": partial(_table, "\t"),
    ".parquet": _parquet,
}
"""By the ending of the file."""
