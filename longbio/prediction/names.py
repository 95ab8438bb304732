"""File names of notes: their ids where those can be names."""

from __future__ import annotations

import hashlib
import re

LONGEST_BYTES = 200
"""Of a name without its ending: file systems allow 255."""

SAFE = re.compile(r"[^\W_][\w.,+=@ -]*")
UNSAFE = re.compile(r"[^\w.,+=@-]+")


class Names:
    """A name for each note, none given twice, also where case doesn't count; always the same names for
    the same notes in the same order."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def of(self, note_id: str) -> str:
        """The id itself, or, where it is no plain file name or taken, what is left of it and some digits
        of its hash."""
        name = note_id if _is_safe(note_id) else _made_of(note_id)
        chosen = name
        while chosen.casefold() in self._turns:
            self._turns[name.casefold()] += 1
            chosen = f"{name}.{self._turns[name.casefold()]}"
        self._turns[chosen.casefold()] = 1
        return chosen


def _is_safe(note_id: str) -> bool:
    is_short = len(note_id.encode()) <= LONGEST_BYTES
    return is_short and SAFE.fullmatch(note_id) is not None and not note_id.endswith((" ", "."))


def _made_of(note_id: str) -> str:
    plain = UNSAFE.sub("_", note_id).strip("_.")[:40] or "note"
    return f"{plain}-{hashlib.sha256(note_id.encode()).hexdigest()[:8]}"
