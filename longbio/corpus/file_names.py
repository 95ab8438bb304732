"""File names of documents: their ids where those can be names, and a table of those that can't."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from pathlib import Path

from longbio.corpus.file_text import number_lines, read_markup
from longbio.corpus.files import is_part
from longbio.corpus.json_objects import member, parse

TABLE = "names.jsonl"
"""Beside files, whose they are where the id is no file name: `{"id": "a/b", "file": "a_b-1c4d"}`."""

LONGEST_BYTES = 200
"""Of a name without its ending: file systems allow 255."""

SAFE = re.compile(r"[^\W_][\w.,+=@ -]*")
UNSAFE = re.compile(r"[^\w.,+=@-]+")
DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""What Windows takes for a device, whatever its ending."""


class FileNames:
    """A name for each document, none given twice, also where case or the writing of accents doesn't count;
    always the same names for the same documents in the same order."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def of(self, document_id: str) -> str:
        """The id itself, or, where it is no plain file name or taken, what is left of it and some digits
        of its hash."""
        name = document_id if _is_safe(document_id) else _make_name(document_id)
        chosen = name
        while _fold_name(chosen) in self._turns:
            self._turns[_fold_name(name)] += 1
            chosen = f"{name}.{self._turns[_fold_name(name)]}"
        self._turns[_fold_name(chosen)] = 1
        return chosen


def _fold_name(name: str) -> str:
    """What file systems that don't tell case or composed accents apart make of a name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_safe(document_id: str) -> bool:
    return (
        SAFE.fullmatch(document_id) is not None
        and len(document_id.encode()) <= LONGEST_BYTES
        and not document_id.endswith((" ", "."))
        and not DEVICE.fullmatch(document_id)
        # A README beside notes is none of them, and wouldn't be read.
        and is_part(Path(f"{document_id}.txt"))
    )


def _make_name(document_id: str) -> str:
    plain = UNSAFE.sub("_", document_id[:1000]).strip("_.-")[:40] or "note"
    plain = plain if is_part(Path(f"{plain}-.txt")) else f"note_{plain}"
    digits = hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digits}"


def row(document_id: str, name: str) -> str:
    """The line of a table that says whose a file is."""
    # Half a character, as names of files that are no UTF-8 have, can't be written.
    writable = document_id.encode("utf-8", "replace").decode()
    return json.dumps({"id": writable, "file": name}, ensure_ascii=False) + "\n"


def ids_of(folder: Path) -> dict[str, str]:
    """The ids in a folder's table, if any, by the names of files. Raises LongbioError if it is broken."""
    file = folder / TABLE
    ids: dict[str, str] = {}
    for where, line in number_lines(read_markup(file).split("\n") if file.is_file() else (), file):
        row = parse(line, where.removeprefix(f"{file}, "), file)
        ids[member(row, "file", str, where)] = member(row, "id", str, where)
    return ids
