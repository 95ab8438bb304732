"""What a user is told when the work can't be done: what, where, what to do."""

from __future__ import annotations

from pathlib import Path

MOST_CHARS = 299
"""Of a message: it is read in one look, whatever the files hold that it names."""

LEAST_CHARS = {"what": 90, "remedy": 90, "where": 110}
"""What is left at least of each part of a message that is too long. They are cut in this order, and in their
middle: a path ends with the file, and a list of names begins with what it is a list of."""


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
        super().__init__(_line({"what": what, "remedy": remedy, "where": where}))


def _line(parts: dict[str, str | Path | None]) -> str:
    """One line of the parts of a message, long ones shortened until it is short enough."""
    said = {name: one_line(str(part)) for name, part in parts.items() if part is not None}
    beyond = sum(len(part) + len(": ") for part in said.values()) - len(": ") - MOST_CHARS
    for name, least in LEAST_CHARS.items():
        if beyond > 0 and name in said:
            kept = shorten(said[name], max(least, len(said[name]) - beyond))
            beyond -= len(said[name]) - len(kept)
            said[name] = kept
    line = said["what"] if "where" not in said else f"{said['where']}: {said['what']}"
    return line if "remedy" not in said else f"{line}; {said['remedy']}"


def shorten(text: str, most_chars: int) -> str:
    """A text without its middle where it is longer than `most_chars`."""
    if len(text) <= most_chars:
        return text
    behind = most_chars // 2
    return f"{text[: most_chars - behind - 1]}…{text[len(text) - behind :]}"


def one_line(text: str) -> str:
    """A text on one line: what can't be printed, a line end or half a character, is a space."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
