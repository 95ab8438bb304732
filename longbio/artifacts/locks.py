"""What one process makes at a time (POSIX)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longbio.errors import LongbioError


@contextmanager
def hold_lock(target: Path, *, wait: bool = False) -> Iterator[None]:
    """Let no other process make the same folder or file meanwhile; the lock ends with the process.

    What is locked is an empty file `.<name>.lock` beside the target, which need not be there.

    Args:
        target: a folder or a file; the folder that holds it is made.
        wait: until another process that makes it is done; else that is an error.

    Raises:
        LongbioError: another process makes it, or there can't be a file beside it.
    """
    target = Path(os.path.abspath(target))
    file = target.with_name(f".{target.name}.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LongbioError(f"the folder can't be made ({error.strerror})", where=target) from error
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LongbioError(f"it can't be opened to be locked ({error.strerror})", where=file) from error
        _lock(descriptor, target, wait=wait)
        # The last owner may have deleted the file between the two.
        if file.exists() and os.path.samestat(os.fstat(descriptor), file.stat()):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int, where: Path, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LongbioError(
            "another process is writing there", where=where, remedy="wait for it, or choose another place"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise LongbioError(f"it can't be locked ({error.strerror})", where=where) from error
