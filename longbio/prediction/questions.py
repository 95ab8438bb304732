"""Questions that are asked of every note: a line each, or a row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.file_text import read_markup
from longbio.corpus.files import kind_of
from longbio.corpus.records import Question
from longbio.corpus.row_files import ROWS, name_of, read_rows
from longbio.errors import LongbioError

TEXT_NAMES = ("question", "text", "query")
"""Columns that hold the question, the first that is there; case doesn't matter."""


def read_questions(file: Path, encoding: str = "utf-8") -> tuple[Question, ...]:
    """The questions of a file.

    JSON lines and tables have a column `question` or `text` and perhaps `id`; anything else is plain text, a
    question a line.

    Raises:
        LongbioError: it can't be read, holds no question, or an id twice.
    """
    if not file.is_file():
        raise LongbioError("there is no such file", where=file, remedy="give a file of questions")
    questions = tuple(_rows(file, encoding) if kind_of(file) in ROWS else _lines(file, encoding))
    if not questions:
        raise LongbioError("the file holds no question", where=file)
    (name, times), *_ = Counter(question.id for question in questions).most_common(1)
    if times > 1:
        raise LongbioError(f"the question id {name!r} is there twice", where=file)
    return questions


def _lines(file: Path, encoding: str) -> Iterator[Question]:
    lines = [line.strip() for line in read_markup(file, encoding).splitlines()]
    for number, line in enumerate(filter(None, lines), start=1):
        yield Question(f"q{number}", line)


def _rows(file: Path, encoding: str) -> Iterator[Question]:
    for row in read_rows(file, encoding):
        cells = {name.lower(): cell for name, cell in row.cells.items()}
        text = next((cells[name] for name in TEXT_NAMES if name in cells), None)
        if not isinstance(text, str) or not text.strip():
            raise LongbioError(
                f"{row.where} holds no question",
                where=file,
                remedy=f"name its column {' or '.join(map(repr, TEXT_NAMES))}",
            )
        yield Question(name_of(cells.get("id")) or f"q{row.number}", text.strip())
