"""How files are read, and what was left out on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from longbio.corpus.alignment import Alignment
from longbio.errors import LongbioError


@dataclass
class Reading:
    """What a reader is told, and what it tells.

    Args:
        encoding: of the files.
        columns: the name of a table's column by the field of `Document` that it holds:
            `{"text": "NOTE", "group": "SUBJECT_ID"}`. What isn't named is looked for under the
            usual names.
        alignment: counts the mentions that were checked, and those that were left out.
        passed_over: how many things of each kind the records have no place for, and were not read.
        failed: told of a file or row that can't be read, by readers of plain text, tables and JSON
            lines, which then go on behind it. None to stop there.
    """

    encoding: str = "utf-8"
    columns: Mapping[str, str] = field(default_factory=dict)
    alignment: Alignment = field(default_factory=Alignment)
    passed_over: Counter[str] = field(default_factory=Counter)
    failed: Callable[[LongbioError], None] | None = None

    def skip(self, error: LongbioError) -> None:
        """Tell of what can't be read; raises it where nobody wants to go on."""
        go_on(error, self.failed)


def go_on(error: LongbioError, failed: Callable[[LongbioError], None] | None) -> None:
    """Tell `failed` of an error; raises it when there is nobody to tell."""
    if failed is None:
        raise error
    failed(error)


def named_columns(given: Iterable[str]) -> dict[str, str]:
    """Columns by field, from `text=NOTE`.

    Raises:
        LongbioError: one isn't of that form.
    """
    pairs = [each.partition("=") for each in given]
    if not all(field and sign and column for field, sign, column in pairs):
        raise LongbioError("a column is named as FIELD=COLUMN", where="--column", remedy="text=NOTE, say")
    return {field: column for field, _, column in pairs}


def read_text(file: Path, encoding: str = "utf-8") -> str:
    """The characters of a note's file, with its line ends as they are on disk, every one counted.

    Raises:
        LongbioError: the file can't be read, or isn't in this encoding. The error names the byte,
            never the text around it.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LongbioError(f"the file can't be read ({error.strerror})", where=file) from error
    # Decoding bytes, unlike text mode, leaves CRLF alone: offsets count both its characters.
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        byte = error.start
    except LookupError:
        raise LongbioError(f"there is no encoding {encoding!r}", where="encoding") from None

    # Raised outside the handler: the decoding error holds the whole text, and must not be chained.
    raise LongbioError(
        f"byte {byte} is not {encoding.upper()}",
        where=file,
        remedy="save the file again as UTF-8, or name its encoding: latin-1, cp1252, ...",
    )


def read_markup(file: Path, encoding: str = "utf-8") -> str:
    """`read_text` of a file that isn't a note itself: a byte-order mark is left out."""
    return read_text(file, encoding).removeprefix("\ufeff")


def files_of(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The file that `path` is, or the files of a folder (not of its subfolders), sorted by name.

    Args:
        path: a file, whatever its ending, or a folder.
        suffixes: what names end in, in a folder.

    Raises:
        LongbioError: there is nothing at `path`, or no such file in the folder.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise LongbioError("there is no such file or folder", where=path, remedy="check the path")
    try:
        files = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(suffixes))
    except OSError as error:
        raise LongbioError(f"the folder can't be read ({error.strerror})", where=path) from error
    if not files:
        raise LongbioError(f"the folder holds no {' or '.join(suffixes)} file", where=path)
    return files


def beginning_of(path: Path, suffixes: tuple[str, ...], characters: int = 1 << 14) -> str:
    """The first characters of the file that `path` is, or of a folder's first; empty for none.

    For finding out a format: bytes that are no UTF-8 are left out.
    """
    try:
        for file in _candidates(path, suffixes):
            with file.open("rb") as opened:
                return opened.read(characters).decode("utf-8", errors="ignore").removeprefix("\ufeff")
    except OSError as error:
        raise LongbioError(f"it can't be read ({error.strerror})", where=path) from error
    return ""


def _candidates(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    if path.is_file() and path.name.endswith(suffixes):
        yield path
    elif path.is_dir():
        yield from sorted(f for f in path.iterdir() if f.is_file() and f.name.endswith(suffixes))[:1]
