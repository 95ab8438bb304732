"""Files of a corpus by their names, whatever their case and their compression, and what they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow

from longbio.errors import LongbioError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

ABOUT = re.compile(r"(?:README|LICEN[CS]E|CHANGELOG|COPYING)(?![A-Z]).*\.(?:txt|ann)", re.IGNORECASE)
"""Names of files that tell about a corpus, and are no notes of it."""

SNIFFED_FILES = 32
"""Of a folder, the files of a kind whose beginnings are looked at to find out its format."""

PACKED_BESIDE = "__MACOSX"
"""What macOS packs beside the files of an archive: hidden files, in a folder that isn't."""


def name_of(file: Path) -> str:
    """A file's name without the ending of its compression."""
    return file.stem if file.suffix.lower() in COMPRESSIONS else file.name


def kind_of(file: Path) -> str:
    """The ending of a file under its compression, in lower case: how it is read."""
    return Path(name_of(file)).suffix.lower()


def stem_of(file: Path) -> str:
    """A file's name without its ending and its compression's."""
    return Path(name_of(file)).stem


def ends_in(file: Path, endings: tuple[str, ...]) -> bool:
    """Whether a file's name has one of some endings (in lower case), in any case, compressed or not."""
    return name_of(file).lower().endswith(endings)


def is_part(file: Path) -> bool:
    """Whether a file may be a part of a corpus, by its name: it isn't hidden, nor `ABOUT` the corpus.

    Hidden ones are other programs' (macOS leaves a `._note.txt` beside a `note.txt`).
    """
    return not file.name.startswith(".") and not ABOUT.fullmatch(name_of(file))


def by_stem(files: Iterable[Path]) -> dict[str, Path]:
    """Files by their stems. Raises LongbioError where two have one."""
    files_by_stem: dict[str, Path] = {}
    for file in files:
        other = files_by_stem.setdefault(stem_of(file), file)
        if other is not file:
            raise LongbioError(
                f"{other.name} beside it has the same name", where=file, remedy="take one of them away"
            )
    return files_by_stem


@contextmanager
def open_file(file: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed. Raises LongbioError where it can't be read, or is damaged."""
    compression = COMPRESSIONS.get(file.suffix.lower())
    try:
        if compression is None:
            with file.open("rb") as stream:
                yield stream
        else:
            with pyarrow.input_stream(str(file), compression=compression) as stream:
                yield stream
    except OSError as error:
        raise LongbioError(f"the file can't be read ({error.strerror or error})", where=file) from error


def folders_below(path: Path) -> list[Path]:
    """The folders below one, at any depth, sorted, none below a file; without hidden ones and links. Raises
    LongbioError where one can't be read."""

    def refuse(error: OSError) -> None:
        raise LongbioError(f"the folder can't be read ({error.strerror})", where=error.filename) from error

    folders: list[Path] = []
    if path.is_file():
        return folders
    for place, names, _ in os.walk(path, onerror=refuse):
        names[:] = [name for name in names if not name.startswith(".") and name != PACKED_BESIDE]
        folders += [Path(place, name) for name in names if not Path(place, name).is_symlink()]
    return sorted(folders)


def files_in(folder: Path) -> list[Path]:
    """The files of a folder itself, sorted, without hidden ones. Raises LongbioError if it can't be read."""
    try:
        return sorted(file for file in folder.iterdir() if not file.name.startswith(".") and file.is_file())
    except OSError as error:
        raise LongbioError(f"the folder can't be read ({error.strerror})", where=folder) from error


def linked_folders(folder: Path) -> list[Path]:
    """The links to folders that a folder holds, sorted; hidden ones are left out."""
    links = (path for path in folder.iterdir() if path.is_symlink() and path.is_dir())
    return sorted(link for link in links if not link.name.startswith("."))


def corpus_files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """The parts of a corpus in a folder itself whose names end so, sorted by name; raises as `files_in`."""
    return [file for file in files_in(folder) if ends_in(file, endings) and is_part(file)]


def files_of(path: Path, endings: tuple[str, ...]) -> list[Path]:
    """The file that `path` is, whatever its name, or the `corpus_files` of a folder. Raises LongbioError
    where there is nothing, or no such file."""
    if path.is_file():
        return [path]
    refuse_missing(path)
    files = corpus_files(path, endings)
    if not files:
        refuse_empty(path)
        raise LongbioError(f"the folder holds no {' or '.join(endings)} file", where=path)
    return files


def first_files(path: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files that tell a format: the one that `path` is, if it ends so, or a folder's first."""
    if path.is_dir():
        return corpus_files(path, endings)[:SNIFFED_FILES]
    return [path] if path.is_file() and ends_in(path, endings) else []


def refuse_missing(path: Path) -> None:
    """Raises LongbioError where there is nothing at a path."""
    if not os.path.exists(path):  # which takes a name that is too long for one that isn't there
        raise LongbioError("there is no such file or folder", where=path, remedy="check the path")


def refuse_empty(path: Path) -> None:
    """Raises LongbioError where a folder holds no file at any depth; hidden ones don't count."""
    if path.is_dir() and not any(files_in(folder) for folder in (path, *folders_below(path))):
        raise LongbioError("the folder is empty", where=path, remedy="check the path")
