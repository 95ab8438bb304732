"""What a user is told when the work can't be done: what, where, what to do."""

from __future__ import annotations

from pathlib import Path


class LongbioError(Exception):
    """Something outside the code is wrong and a user can mend it.

    The command line prints `str(error)` as one line and exits with 1. Programming mistakes are
    no `LongbioError`: they stay `ValueError`, `TypeError` or `AssertionError`.

    Args:
        what: the fact, in lower case and without a full stop ("weights are missing").
        where: the file, folder, line or setting it concerns. Never a piece of a note's text.
        remedy: what to do about it, in the imperative ("convert the model again").
    """

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        line = what if where is None else f"{where}: {what}"
        super().__init__(line if remedy is None else f"{line}; {remedy}")
