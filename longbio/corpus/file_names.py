"""File names of documents: their ids where those can be names, and a table of those that can't."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from longbio.corpus.objects import member, parse
from longbio.corpus.reading import is_part, read_markup

TABLE = "names.jsonl"
"""Beside files, whose they are where the id is no file name: `{"id": "a/b", "file": "a_b-1c4d"}`."""

LONGEST_BYTES = 200
"""Of a name without its ending: file systems allow 255."""

SAFE = re.compile(r"[^\W_][\w.,+=@ -]*")
UNSAFE = re.compile(r"[^\w.,+=@-]+")


class FileNames:
    """A name for each document, none given twice, also where case doesn't count; always the same names for
    the same documents in the same order."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def of(self, document_id: str) -> str:
        """The id itself, or, where it is no plain file name or taken, what is left of it and some digits
        of its hash."""
        name = document_id if _is_safe(document_id) else _made_of(document_id)
        chosen = name
        while chosen.casefold() in self._turns:
            self._turns[name.casefold()] += 1
            chosen = f"{name}.{self._turns[name.casefold()]}"
        self._turns[chosen.casefold()] = 1
        return chosen


def _is_safe(document_id: str) -> bool:
    is_short = len(document_id.encode()) <= LONGEST_BYTES
    is_plain = SAFE.fullmatch(document_id) is not None and not document_id.endswith((" ", "."))
    # A README beside notes is none of them, and wouldn't be read.
    return is_short and is_plain and is_part(Path(f"{document_id}.txt"))


def _made_of(document_id: str) -> str:
    plain = UNSAFE.sub("_", document_id).strip("_.")[:40] or "note"
    plain = plain if is_part(Path(f"{plain}-.txt")) else f"note_{plain}"
    return f"{plain}-{hashlib.sha256(document_id.encode()).hexdigest()[:8]}"


def row(document_id: str, name: str) -> str:
    """The line of a table that says whose a file is."""
    return json.dumps({"id": document_id, "file": name}, ensure_ascii=False) + "\n"


def ids_of(folder: Path) -> dict[str, str]:
    """The ids that a folder's table holds, by the names of their files; none where there is no table.

    Raises:
        LongbioError: the table is broken.
    """
    file = folder / TABLE
    found: dict[str, str] = {}
    for number, line in enumerate(read_markup(file).split("\n") if file.is_file() else (), start=1):
        if line.strip():
            content, where = parse(line, f"line {number}", file), f"{file}, line {number}"
            found[member(content, "file", str, where)] = member(content, "id", str, where)
    return found
