"""Folders that appear whole or not at all (POSIX file systems).

Beside a target `name` two hidden names are used: `.name.partial-<pid>` while a process writes,
and `.name.replaced-<pid>` for the instant in which an old folder makes room for the new one.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longbio.artifacts.atomic_files import PARTIAL, name_full_disk, partial_of, writer_is_alive
from longbio.errors import LongbioError

BYTES_PER_MB = 1_000_000


@contextmanager
def staged_folder(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the body ends, and vanishes if it raises.

    What a killed process left behind is cleared away first. With `force` a `target` that holds something is
    replaced; it stays until the new one is whole.

    Raises:
        LongbioError: as `refuse_unless_free`, or the disk is full.
    """
    target = Path(os.path.abspath(target))  # the target's own name, also for "." and "a/.."
    refuse_unless_free(target, force=force)
    staged = partial_of(target)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(target)
        refuse_unless_free(target, force=force)  # once more: an old folder may be back
        staged.mkdir()
    except OSError as error:
        what, remedy = f"the folder can't be made ({error.strerror})", "choose a place you can write to"
        raise LongbioError(what, where=target, remedy=remedy) from error

    try:
        with name_full_disk(target):
            yield staged
            _settle(staged)
        _put_in_place(staged, target, force=force)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def refuse_unless_free(target: Path, *, force: bool = False) -> None:
    """Raise LongbioError, before long work begins, where no folder may be written to `target`: it is a file,
    or holds something and `force` is off, or holds the home or working folder, or can't be written to."""
    target = Path(os.path.abspath(target))
    if any(folder.is_relative_to(target) for folder in (Path.home(), Path.cwd())):
        what = "the folder holds your home or working folder"
        raise LongbioError(what, where=target, remedy="name a folder of its own")
    if target.is_dir():
        if not force and any(target.iterdir()):
            remedy = "name another one, or replace it with --force"
            raise LongbioError("the folder is not empty", where=target, remedy=remedy)
    elif target.exists() or target.is_symlink():
        raise LongbioError("is not a folder", where=target, remedy="name another place")
    refuse_unless_writable(target if target.is_dir() else target.parent)


def refuse_unless_writable(folder: Path) -> None:
    """Raise LongbioError unless `folder` can be written to, or can be made; nothing is made."""
    existing = _existing(folder)
    if not existing.is_dir():
        raise LongbioError("is not a folder", where=existing, remedy=f"name another place than {folder}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise LongbioError(
            "the folder can't be written to", where=existing, remedy="choose a place you can write to"
        )


def require_free_space(folder: Path, needed_bytes: int) -> None:
    """Raise LongbioError unless the disk of `folder`, which need not exist yet, has this much room."""
    free_bytes = shutil.disk_usage(_existing(folder)).free
    if free_bytes < needed_bytes:
        raise LongbioError(
            f"{needed_bytes / BYTES_PER_MB:,.0f} MB are needed"
            f" and {free_bytes / BYTES_PER_MB:,.0f} MB are free",
            where=folder,
            remedy="free some space or write elsewhere",
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())


def _settle(folder: Path) -> None:
    """Push a folder's contents to the disk, so that a power cut can't leave empty files."""
    # safetensors writes files only their owner can read; the folder's mode holds the umask.
    file_mode = folder.stat().st_mode & 0o666
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(file_mode)
                _fsync(path)
        _fsync(Path(parent))


def _put_in_place(staged: Path, target: Path, *, force: bool) -> None:
    aside = target.with_name(f".{target.name}.replaced-{os.getpid()}")
    try:
        if force and target.exists():
            target.rename(aside)
        try:
            staged.rename(target)
        except BaseException:
            if aside.exists():
                aside.rename(target)
            raise
        _fsync(target.parent)
    except OSError as error:
        what = f"the finished folder can't be put in place ({error.strerror})"
        remedy = "name a place where nothing stands and nothing is mounted"
        raise LongbioError(what, where=target, remedy=remedy) from error
    _remove(aside)


def _clear_leftovers(target: Path) -> None:
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.replaced-*"):
        if not writer_is_alive(leftover):
            # Killed between the two renames: the old folder is still the user's only one.
            if target.exists():
                _remove(leftover)
            else:
                leftover.rename(target)

    for leftover in target.parent.glob(f".{glob.escape(target.name)}{PARTIAL}*"):
        if leftover.is_dir() and not writer_is_alive(leftover):
            _remove(leftover)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
