"""Single files: written atomically, read with an error a user understands, hashed."""

from __future__ import annotations

import errno
import functools
import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from longbio.errors import LongbioError

PARTIAL = ".partial-"
"""Followed by the number of the process that writes."""


def write_text_atomically(path: Path, text: str) -> None:
    """`write_bytes_atomically` of `text` in UTF-8; line ends are written as they are."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that a reader sees the old file or the new one, never a part.

    Raises LongbioError where the disk is full, OSError where the folder can't be written to.
    """
    _clear_leftovers(path)
    unfinished = partial_of(path)
    with name_full_disk(path):
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def partial_of(target: Path) -> Path:
    """The hidden name beside a target under which this process writes until all is written."""
    return target.with_name(f".{target.name}{PARTIAL}{os.getpid()}")


def writer_is_alive(leftover: Path) -> bool:
    """Whether the process whose number ends a hidden name may still run."""
    pid = leftover.name.rpartition("-")[2]
    if not pid.isdecimal():
        return True  # not a name of ours: leave it alone
    # In a container every process may have the same number, so our own means an earlier one.
    if int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # someone else's process, but a living one
    return True


# Once for each file: a folder of thousands isn't listed again whenever one of them is written.
@functools.lru_cache(maxsize=10_000)
def _clear_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{glob.escape(path.name)}{PARTIAL}*"):
        if leftover.is_file() and not writer_is_alive(leftover):
            leftover.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically, keys in the order they were inserted.

    Raises LongbioError where the disk is full, ValueError at NaN or an infinity.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomically(path, text + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises LongbioError where it is missing, unreadable, or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LongbioError("the file is missing", where=path) from None
    except OSError as error:
        raise LongbioError(f"the file can't be read ({error.strerror})", where=path) from error
    except json.JSONDecodeError as error:
        # The message is ours: json's own may quote the file, and the file may hold a note.
        raise LongbioError(f"the file is not valid JSON (line {error.lineno})", where=path) from None
    except UnicodeDecodeError:
        raise LongbioError("the file is not valid JSON (not UTF-8)", where=path) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class KnownHashes:
    """SHA-256 of large files, kept in a JSON file: a file whose size and time of change are the same isn't
    read again. Paths, which may name patients, are kept as hashes too."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.kept: dict[str, list[Any]] = read_json(file) if file.is_file() else {}
        self.known = dict(self.kept)

    def sha256_of(self, path: Path) -> str:
        """As the function of this name."""
        place, state = hashlib.sha256(os.path.abspath(path).encode()).hexdigest(), path.stat()
        size_and_time = [state.st_size, state.st_mtime_ns]
        if self.known.get(place, [])[:2] != size_and_time:
            self.known[place] = [*size_and_time, sha256_of(path)]
        return str(self.known[place][2])

    def save(self) -> None:
        """Keep what was learned."""
        if self.known != self.kept:
            write_json(self.file, self.known)


def sha256_of_folder(files: Iterable[Path]) -> str:
    """One SHA-256 over the names and contents of a folder's files, in any order; not of its own name."""
    lines = sorted(f"{sha256_of(path)}  {path.name}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def digest_of_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_path(path: Path) -> str:
    """SHA-256 of a file's content, or of names and contents of all files below a folder but hidden ones.

    A file that this process has hashed isn't read again until it changes. Raises LongbioError where one can't
    be read.
    """
    files = [path]
    if path.is_dir():
        below = sorted(file for file in path.rglob("*") if file.is_file())
        files = [file for file in below if not any(p.startswith(".") for p in file.relative_to(path).parts)]
    digest = hashlib.sha256()
    try:
        for file in files:
            state = file.stat()
            name = file.relative_to(path) if file != path else file.suffix
            digest.update(f"{name} {_hash_file(file, state.st_size, state.st_mtime_ns)}\n".encode())
    except OSError as error:
        raise LongbioError(f"the file can't be read ({error.strerror})", where=error.filename) from error
    return digest.hexdigest()


@functools.cache
def _hash_file(file: Path, size: int, changed_ns: int) -> str:
    return sha256_of(file)


@contextmanager
def name_full_disk(where: Path) -> Iterator[None]:
    """Turn "no space left on device" in the body into a `LongbioError` about `where`."""
    try:
        yield
    except Exception as error:
        if not _says_disk_is_full(error):
            raise
        raise LongbioError(
            "no space is left on the disk", where=where, remedy="free some or write elsewhere"
        ) from error


def _says_disk_is_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # What torch.save says when its archive can't be written to the end: no number at all.
    if "inline_container" in str(error) and "unexpected pos" in str(error):
        return True
    # safetensors and tokenizers are written in Rust and tell the error number in words only.
    return any(f"(os error {number})" in str(error) for number in (errno.ENOSPC, errno.EDQUOT))


def refuse_unless_new(file: Path, *, force: bool = False) -> None:
    """Raise LongbioError where a file is there and `force` isn't given, or its folder isn't there."""
    if file.exists() and not force:
        raise LongbioError("it is there already", where=file, remedy="choose another name, or add --force")
    if not file.absolute().parent.is_dir():
        raise LongbioError("its folder is not there", where=file, remedy="make the folder first")
