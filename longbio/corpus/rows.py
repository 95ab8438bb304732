"""Files of lines and tables, streamed: CSV and TSV, JSON lines, Parquet; gz and zst around all but Parquet.

MIMIC's NOTEEVENTS.csv is read as it is: cells over many lines, rows marked as errors told apart.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from longbio.corpus import objects
from longbio.errors import LongbioError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

TEXT_NAMES = ("text", "note_text", "note", "content", "abstract")
"""Columns that hold the text when none is named, the first that is there; case doesn't matter."""

ERROR_NAME = "iserror"
"""MIMIC's mark of a note that physicians withdrew: such rows are left out."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Args:
        cells: by the names of their columns, as the table spells them.
        where: its place in the table, for errors.
    """

    cells: Mapping[str, Any]
    where: str


def kind_of(file: Path) -> str:
    """The ending of a file under its compression, which says how it is read."""
    endings = [ending.lower() for ending in file.suffixes]
    if endings and endings[-1] in COMPRESSIONS:
        endings.pop()
    return endings[-1] if endings else ""


def stem_of(file: Path) -> str:
    """A file's name without its ending and its compression's."""
    return Path(file.stem).stem if file.suffix.lower() in COMPRESSIONS else file.stem


def read_rows(file: Path, encoding: str = "utf-8", wanted: Collection[str] | None = None) -> Iterator[Row]:
    """Stream the rows of a table.

    Args:
        file: of a kind in `ROWS`, as it is or compressed.
        encoding: of CSV, TSV and JSON lines.
        wanted: lower-case names of the columns to read; None for all. Parquet leaves the others on
            disk, the rest gives them all the same.

    Raises:
        LongbioError: the file can't be read, is damaged, or a row is malformed. Names file and
            line, never what stands there.
    """
    if kind_of(file) not in ROWS:
        raise LongbioError(
            f"{kind_of(file) or 'a file without ending'!r} is no table that is read",
            where=file,
            remedy=f"give one of {', '.join(ROWS)}",
        )
    return ROWS[kind_of(file)](file, encoding, wanted)


def columns_there(names: Collection[str], source: str | Path) -> str:
    """Which columns a table has, for errors; counted where its first line may be a note, no header."""
    if isinstance(source, Path) and kind_of(source) in (".csv", ".tsv"):
        return f"its first line names {len(names)} others"
    return f"there are {', '.join(names) or 'none'}"


def is_withdrawn(cells: Mapping[str, Any]) -> bool:
    """Whether a row is marked as an error. `cells` by lower-case names."""
    return str(cells.get(ERROR_NAME) or "").strip().lower() in ("1", "1.0", "true", "t", "yes", "y")


def name_of(cell: Any) -> str | None:
    """The same name whatever the table's type: an id may be 7, 7.0 or "7". None for an empty cell."""
    if cell is None or cell != cell:
        return None
    named = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
    return named or None


def read_lines(file: Path, encoding: str = "utf-8", newline: str = "") -> Iterator[str]:
    r"""Lines with their ends as they are; a byte-order mark is left out.

    Args:
        file: as it is or compressed.
        encoding: of its text.
        newline: what ends a line: "\n" for that alone, "" for "\r" as well.

    Raises:
        LongbioError: the file is missing, not in that encoding, binary or damaged.
    """
    number = 0
    stream = text_stream(file, encoding, newline)
    try:
        for number, line in enumerate(stream, start=1):
            if "\0" in line:
                raise LongbioError(f"line {number} holds a zero byte: the file is binary", where=file)
            yield line
        return
    except UnicodeError:
        what = f"after line {number} there is a byte that is not {encoding.upper()}"
    except (OSError, EOFError) as error:
        what = f"the file can't be read to its end ({_said(error)})"
    # Raised outside the handler: the decoding error holds text, and must not be chained.
    raise LongbioError(
        what, where=file, remedy="save it again as UTF-8, or name its encoding; or fetch it again"
    )


def text_stream(
    file: Path, encoding: str = "utf-8", newline: str = "", errors: str = "strict"
) -> io.TextIOBase:
    """A file opened for its text, whatever its compression; a byte-order mark of UTF-8 is left out."""
    compression = COMPRESSIONS.get(file.suffix.lower())
    marked = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        stream = pyarrow.input_stream(str(file), compression=compression, buffer_size=1 << 20)
        return io.TextIOWrapper(stream, encoding=marked, newline=newline, errors=errors)
    except OSError as error:
        raise LongbioError(f"the file can't be opened ({error.strerror or error})", where=file) from error
    except LookupError:
        raise LongbioError(f"there is no encoding {encoding!r}", where="encoding") from None


def first_line(path: Path, endings: tuple[str, ...]) -> str:
    """The first line of the file that `path` is, or of a folder's first with such an ending.

    For finding out a format: empty where there is no such file or it can't be read, and bytes that
    are no UTF-8 are left out.
    """
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    for file in (each for each in files if each.is_file() and each.name.endswith(endings)):
        try:
            with text_stream(file, newline="\n", errors="ignore") as stream:
                return stream.readline()
        except (LongbioError, OSError, EOFError):
            return ""
    return ""


def endings_of(*kinds: str) -> tuple[str, ...]:
    """What the names of files of these kinds end in, as they are or compressed."""
    return tuple(kind + compression for kind in kinds for compression in ("", *COMPRESSIONS))


def _json_lines(file: Path, encoding: str, wanted: Collection[str] | None) -> Iterator[Row]:
    for number, line in enumerate(read_lines(file, encoding, "\n"), start=1):
        if line.strip():
            yield Row(objects.parse(line, f"line {number}", file), f"line {number}")


def _table(delimiter: str) -> Callable[[Path, str, Collection[str] | None], Iterator[Row]]:
    def read(file: Path, encoding: str, wanted: Collection[str] | None) -> Iterator[Row]:
        csv.field_size_limit(sys.maxsize)  # a note is longer than the 131,072 characters of old
        rows = csv.DictReader(read_lines(file, encoding), delimiter=delimiter, strict=True)
        try:
            names = [name.lower() for name in rows.fieldnames or () if name]
            if len(set(names)) < len(names):
                raise LongbioError("the header names a column twice", where=file)
            for row in rows:
                where = f"the row that ends in line {rows.line_num}"
                if None in row or None in row.values():
                    raise LongbioError(
                        f"{where} has not as many cells as the header",
                        where=file,
                        remedy="quote cells that hold delimiters or line ends",
                    )
                yield Row(row, where)
        except csv.Error as error:
            raise LongbioError(f"line {rows.line_num} can't be read ({error})", where=file) from None

    return read


def _parquet(file: Path, encoding: str, wanted: Collection[str] | None) -> Iterator[Row]:
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
                yield Row(row, f"row {number}")
        return
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        what = f"can't be read as Parquet ({_said(error)})"
    # Raised outside the handler: a decoding error holds text, and must not be chained.
    raise LongbioError(what, where=file)


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


ROWS: dict[str, Callable[[Path, str, Collection[str] | None], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".parquet": _parquet,
}
"""By the ending of the file."""
