"""Questions in rows, as `datasets` has SQuAD's: `context`, `question` and `answers`.

{"id": "1", "context": "...", "question": "...", "answers": {"text": ["..."], "answer_start": [17]}}
"""

from __future__ import annotations

import hashlib
from typing import Any

from longbio.corpus.counting import Ruler
from longbio.corpus.readers.mentions import items_of
from longbio.corpus.readers.squad import LOST, answer_span, placed_answers
from longbio.corpus.reading import Reading
from longbio.corpus.records import Question

START = "answer_start"


def are_answers(cell: Any) -> bool:
    """Whether a cell holds answers with their starts, or says that there are none."""
    items = _answers(cell)
    if isinstance(cell, dict) and START not in cell:
        return False
    return items is not None and all(isinstance(each, dict) and START in each for each in items)


def placed(cell: Any) -> list[tuple[int, str]]:
    """Where a cell's answers say that they begin, and their words."""
    return placed_answers(each for each in _answers(cell) or () if isinstance(each, dict))


def question_of(
    name: str,
    asked: str,
    cell: Any,
    context: str,
    ruler: Ruler,
    where: str,
    reading: Reading,
    *,
    is_impossible: bool,
) -> Question | None:
    """The question of a row; None of one that has lost its answers.

    Args:
        name: its id.
        asked: its text.
        cell: its answers, see `are_answers`.
        context: which holds them.
        ruler: of their offsets.
        where: the row's place.
        reading: counts answers, and those that aren't where they say.
        is_impossible: the row says that there is no answer; those that it has nevertheless are passed over.
    """
    given = _answers(cell) or []
    if is_impossible:
        reading.passed_over.note("answer to an impossible question", where, len(given))
        return Question(name, asked)
    places = ((f"{where}.answers[{number}]", each) for number, each in enumerate(given))
    found = [answer_span(each, context, ruler, place, reading) for place, each in places]
    answers = tuple(dict.fromkeys(span for span in found if span is not None))
    if given and not answers:
        reading.passed_over.note(LOST, where)
        return None
    return Question(name, asked, answers)


def group_of(title: str | None, context: str) -> str:
    """What a split keeps together: an article, or else all questions to one text."""
    return title or hashlib.sha256(context.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _answers(cell: Any) -> list[Any] | None:
    if isinstance(cell, dict) and isinstance(cell.get("text"), str):
        return [cell]
    return items_of(cell)
