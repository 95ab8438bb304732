"""File names of notes: their ids where those can be names that are read back."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from longbio.corpus.files import is_part

LONGEST_BYTES = 200
"""Of a name without its ending: file systems allow 255."""

SAFE = re.compile(r"[^\W_][\w.,+=@ -]*")
UNSAFE = re.compile(r"[^\w.,+=@-]+")
DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""What Windows takes for a device, whatever its ending."""


class FileNames:
    """A name for each note, none given twice, also where case or the writing of accents doesn't count; always
    the same names for the same notes in the same order."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def of(self, note_id: str) -> str:
        """The id itself, or, where it is no plain file name, tells about a corpus (`README`) or is taken,
        what is left of it and some digits of its hash."""
        name = note_id if _is_safe(note_id) else _made_of(note_id)
        chosen = name
        while _seen_as(chosen) in self._turns:
            self._turns[_seen_as(name)] += 1
            chosen = f"{name}.{self._turns[_seen_as(name)]}"
        self._turns[_seen_as(chosen)] = 1
        return chosen


def _seen_as(name: str) -> str:
    """What file systems that don't tell case or composed accents apart make of a name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_safe(note_id: str) -> bool:
    return (
        SAFE.fullmatch(note_id) is not None
        and len(note_id.encode()) <= LONGEST_BYTES
        and not note_id.endswith((" ", "."))
        and not DEVICE.fullmatch(note_id)
        and is_part(Path(f"{note_id}.txt"))
    )


def _made_of(note_id: str) -> str:
    plain = UNSAFE.sub("_", note_id[:1000]).strip("_.-")[:40] or "note"
    # Digits behind a README are still one.
    plain = plain if is_part(Path(f"{plain}-0.txt")) else f"note-{plain}"
    digits = hashlib.sha256(note_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digits}"
