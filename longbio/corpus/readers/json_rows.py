"""JSON files of rows: a list of notes, of spaCy's pairs, or of what `datasets` and annotation tools export.

    [{"text": "no fever", "label": "well"}, ...]
    [["no fever", {"entities": [[3, 8, "Sign"]]}], ...]
    {"data": [{"context": "...", "question": "...", "answers": {...}}, ...]}

Rows are those of a table, see `tables`; a file is held in memory, unless it has a row on each line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.readers import annotated, tables
from longbio.corpus.reading import Reading, files_of, sniffed
from longbio.corpus.records import Document
from longbio.corpus.rows import LISTS, beginning_of, endings_of
from longbio.errors import LongbioError

ENDINGS = endings_of(".json")

_NAMES = "|".join((*tables.USUAL["text"], *annotated.USUAL["tokens"]))
ROWS = re.compile(rf'\s*(?:\[|\{{"(?:{"|".join(LISTS)})"\s*:\s*\[|(?=\{{))', re.IGNORECASE)
"""How a list of rows begins, or a single row."""

NAMED = re.compile(rf'"(?:{_NAMES})"\s*:', re.IGNORECASE)
PAIR = re.compile(r'\s*(?:\{.{0,400}?"annotations"\s*:\s*)?\[\s*\[\s*"', re.DOTALL)
TEXTS = re.compile(r'\s*\[\s*"')


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, begins with rows that have a text or words."""
    return any(_holds_rows(file) for file in sniffed(path, ENDINGS))


def _holds_rows(file: Path) -> bool:
    try:
        beginning = beginning_of(file)
    except LongbioError:
        return False
    named = ROWS.match(beginning) is not None and NAMED.search(beginning) is not None
    return named or PAIR.match(beginning) is not None or TEXTS.match(beginning) is not None


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.json` file of a folder; see `tables.read`.

    Args:
        path: the file or folder.
        reading: see `tables.read`.

    Raises:
        LongbioError: see `tables.read`.
    """
    return tables.read_tables(files_of(path, ENDINGS), reading)
