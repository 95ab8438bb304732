"""How files are read, and what was left out on the way."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from longbio.corpus.alignment import Alignment
from longbio.corpus.files import (
    COMPRESSIONS,
    ends_in,
    files_in,
    folders_below,
    is_part,
    kind_of,
    linked_folders,
    opened,
    refuse_empty,
)
from longbio.errors import LongbioError, one_line, shortened

PIECE_BYTES = 1 << 10
"""Of a compressed file's beginning, read at once: what comes before a damage is known to so much."""

TOLD_KINDS = 20
"""Kinds of what was passed over that are told; results hold all of them."""

TOLD_CHARS = 130
"""Of what was passed over, and of its place."""

SNIFFED_FILES = 32
"""Of a folder, the files of a kind whose beginnings are looked at to find out its format."""


class PassedOver(Counter[str]):
    """How many things there are of each kind, and where the first of each stands; never its words."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, str] = {}

    def note(self, what: str, where: str | Path, count: int = 1) -> None:
        """Count things, most often those that are not read.

        Args:
            what: their kind, in words for people.
            where: the place of the first of them: file, line.
            count: how many they are; nothing is noted of none.
        """
        if count:
            self[what] += count
            self.places.setdefault(what, str(where))

    def note_files(self, folder: Path, read: set[Path]) -> None:
        """Count, by their endings, the files of a folder and of those below it that aren't read, and links to
        other folders, which aren't followed. Hidden ones don't count."""
        for each in (folder, *folders_below(folder)):
            for file in files_in(each):
                if file not in read:
                    kind = kind_of(file)
                    self.note(f"{kind} file" if kind else "file without ending", file)
            for link in linked_folders(each):
                self.note("linked folder", link)

    def told(self) -> list[str]:
        """A line for each kind, the first `TOLD_KINDS`: how many, what, and where the first stands."""

        def short(text: str) -> str:
            return shortened(one_line(text), TOLD_CHARS)

        lines = [
            f"{count:,} {short(what)}"
            + (f" (the first: {short(self.places[what])})" if what in self.places else "")
            for what, count in islice(self.items(), TOLD_KINDS)
        ]
        more = sum(islice(self.values(), TOLD_KINDS, None))
        return [*lines, f"{more:,} of {len(self) - TOLD_KINDS:,} more kinds"] if more else lines


@dataclass
class Reading:
    """What a reader is told, and what it tells.

    Args:
        encoding: of the files.
        columns: the name of a table's column by the field of `Document` that it holds:
            `{"text": "NOTE", "group": "SUBJECT_ID"}`. What isn't named is looked for under the
            usual names.
        alignment: counts the mentions that were checked, and those that were left out.
        passed_over: how many things of each kind the records have no place for, and were not
            read, with the place of the first of each.
        remarks: how many things of each kind were read, but otherwise than files of their format say,
            such as offsets that count bytes; with the place of the first of each.
        failed: told of a file or row that can't be read, by readers of plain text, tables and JSON
            lines, which then go on behind it. None to stop there.
    """

    encoding: str = "utf-8"
    columns: Mapping[str, str] = field(default_factory=dict)
    alignment: Alignment = field(default_factory=Alignment)
    passed_over: PassedOver = field(default_factory=PassedOver)
    remarks: PassedOver = field(default_factory=PassedOver)
    failed: Callable[[LongbioError], None] | None = None

    def skip(self, error: LongbioError) -> None:
        """Tell of what can't be read; raises it where nobody wants to go on."""
        go_on(error, self.failed)

    def counted(self) -> dict[str, Any]:
        """What was checked, left out and passed over, with the places; ready for JSON."""
        return {
            "mentions_checked": self.alignment.mentions,
            "left_out": [f"{where}: {fault}" for fault, where in self.alignment.faults],
            "passed_over": dict(self.passed_over),
            "passed_over_at": dict(self.passed_over.places),
            "remarks": dict(self.remarks),
            "remarks_at": dict(self.remarks.places),
        }


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

    Args:
        file: as it is or compressed.
        encoding: of its text.

    Raises:
        LongbioError: the file can't be read, or isn't in this encoding. The error names the byte,
            never the text around it.
    """
    with opened(file) as stream:
        content = stream.read()
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
        remedy="save the file again as UTF-8, or name its encoding: cp1252, most often (not latin-1)",
    )


def read_markup(file: Path, encoding: str = "utf-8") -> str:
    """`read_text` of a file that isn't a note itself: a byte-order mark is left out."""
    return read_text(file, encoding).removeprefix("\ufeff")


def listed(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The parts of a corpus in a folder, not in its subfolders, whose names end so; sorted by name.

    Args:
        folder: where.
        suffixes: in lower case; names may have them in any case, compressed or not.

    Raises:
        LongbioError: the folder can't be read.
    """
    return [file for file in files_in(folder) if ends_in(file, suffixes) and is_part(file)]


def files_of(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The file that `path` is, or those that are `listed` of a folder.

    Args:
        path: a file, whatever its name, or a folder.
        suffixes: what names end in, in a folder.

    Raises:
        LongbioError: there is nothing at `path`, or no such file in the folder.
    """
    if path.is_file():
        return [path]
    refuse_missing(path)
    files = listed(path, suffixes)
    if not files:
        refuse_empty(path)
        raise LongbioError(f"the folder holds no {' or '.join(suffixes)} file", where=path)
    return files


def refuse_missing(path: Path) -> None:
    """Raises LongbioError where there is nothing at a path."""
    if not os.path.exists(path):  # which takes a name that is too long for one that isn't there
        raise LongbioError("there is no such file or folder", where=path, remedy="check the path")


def sniffed(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files whose beginnings tell a format: the one that `path` is, or a folder's first."""
    if path.is_dir():
        return listed(path, suffixes)[:SNIFFED_FILES]
    return [path] if path.is_file() and ends_in(path, suffixes) else []


def beginnings_of(path: Path, suffixes: tuple[str, ...], characters: int = 1 << 14) -> Iterator[str]:
    """The first characters of each of the files that are `sniffed`.

    For finding out a format: bytes that are no UTF-8 are left out.
    """
    for file in sniffed(path, suffixes):
        content = b""
        try:
            with opened(file) as stream:
                while len(content) < characters and (piece := stream.read(PIECE_BYTES)):
                    content += piece
        except LongbioError:
            # What a damaged file holds before its damage may tell; who reads it says what is wrong.
            if file.suffix.lower() not in COMPRESSIONS:
                raise
        yield content.decode("utf-8", errors="ignore").removeprefix("\ufeff")
