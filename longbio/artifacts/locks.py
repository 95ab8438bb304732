"""Folders in which one process works at a time (POSIX)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longbio.errors import LongbioError


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """While it is entered, no other process gets in; the system lets go of it when the process ends.

    Args:
        folder: which is there.
        wait: until the other process is done; else that is an error.

    Raises:
        LongbioError: another process works there, or the folder can't be opened.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise LongbioError(f"the folder can't be opened ({error.strerror})", where=folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LongbioError(
            "another process is writing there", where=folder, remedy="wait for it, or choose another folder"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise LongbioError(f"the folder can't be locked ({error.strerror})", where=folder) from error
    try:
        yield
    finally:
        os.close(descriptor)
