"""SQuAD 1.1 and 2.0: articles of paragraphs, each with questions and where their answers start.

    {"data": [{"title": "...", "paragraphs": [{"context": "...", "qas": [
        {"id": "1", "question": "...", "answers": [{"text": "...", "answer_start": 17}]}]}]}]}

Whether `answer_start` counts characters, bytes or UTF-16 is found out over the file. A question without
answers is one that the context doesn't answer; answers to one that is marked as impossible are passed over.

Rows of tables have the same, as `datasets` has it: `context`, `question` and `answers`:

    {"id": "1", "context": "...", "question": "...", "answers": {"text": ["..."], "answer_start": [17]}}
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longbio.corpus.counting import FileUnit, Ruler
from longbio.corpus.files import stem_of
from longbio.corpus.json_objects import identifier, member, members, parse_file
from longbio.corpus.readers.json_mentions import items_of
from longbio.corpus.reading import Reading, UniqueNames
from longbio.corpus.records import Document, Question

PARAGRAPHS = re.compile(r'"paragraphs"\s*:\s*\[')
"""Begins the questions of such a file."""

START = "answer_start"
LOST = "question whose answers are not where they say"


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document of each paragraph, named by its `document_id` or by title and number; each file is held in
    memory.

    A title is also the document's group: an article's paragraphs stay together. A question that has lost all
    of its answers is left out. Errors name the place, as `.data[0].paragraphs[1]`.
    """
    names = ParagraphNames()
    for file in files:
        paragraphs = list(paragraphs_of(file, reading))
        unit = FileUnit([_places_in(paragraph) for _, _, paragraph in paragraphs].copy)
        for where, title, paragraph in paragraphs:
            context = member(paragraph, "context", str, where)
            ruler = unit.ruler(*_places_in(paragraph))
            reading.note_unit(ruler.unit, where)
            name = names.of(identifier(paragraph.get("document_id")), title or stem_of(file))
            questions = [
                _question(qa, context, ruler, f"{name}/{number}", place, reading)
                for number, (place, qa) in enumerate(members(paragraph, "qas", where), start=1)
            ]
            yield Document(name, context, questions=tuple(filter(None, questions)), group=title)


def paragraphs_of(file: Path, reading: Reading) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """The paragraphs of a file, each with its place and its article's title."""
    for place, article in members(parse_file(file, reading.encoding), "data", f"{file}, "):
        for where, paragraph in members(article, "paragraphs", place):
            yield where, identifier(article.get("title")), paragraph


def _places_in(paragraph: Mapping[str, Any]) -> tuple[str, list[tuple[int, str]]]:
    """The context and its answers, of which any may be malformed: that comes up later."""
    context, inner = paragraph.get("context"), [paragraph]
    for name in ("qas", "answers"):
        lists = [members for owner in inner if isinstance(members := owner.get(name), list)]
        inner = [value for members in lists for value in members if isinstance(value, dict)]
    return context if isinstance(context, str) else "", answer_places(inner)


def answer_places(answers: Any) -> list[tuple[int, str]]:
    """Where the answers of a list, or of a row's cell, say that they begin, and their words; those that are
    malformed left out."""
    dicts = (answer for answer in _answers(answers) or () if isinstance(answer, dict))
    pairs = ((answer.get(START), answer.get("text")) for answer in dicts)
    return [(start, text) for start, text in pairs if type(start) is int and isinstance(text, str)]


def are_answers(cell: Any) -> bool:
    """Whether a row's cell holds answers with their starts, or says that there are none."""
    answers = _answers(cell)
    if answers is None or (isinstance(cell, dict) and START not in cell):
        return False
    return all(isinstance(answer, dict) and START in answer for answer in answers)


def question_of_row(
    name: str,
    text: str,
    cells: Mapping[str, Any],
    column: str,
    context: str,
    ruler: Ruler,
    where: str,
    reading: Reading,
) -> Question | None:
    """The question of a row, see `question_of`; `column` holds its answers."""
    answers = [(f"{where}.answers[{n}]", answer) for n, answer in enumerate(_answers(cells[column]) or ())]
    is_impossible = cells.get("is_impossible") is True
    question = question_of(name, text, answers, is_impossible, context, ruler, where, reading)
    return question and replace(question, answers=tuple(dict.fromkeys(question.answers)))


def _answers(cell: Any) -> list[Any] | None:
    if isinstance(cell, dict) and isinstance(cell.get("text"), str):
        return [cell]
    return items_of(cell)


def group_of(title: str | None, context: str) -> str:
    """What a split keeps together: an article, or else all questions to one text."""
    return title or hashlib.sha256(context.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class ParagraphNames:
    """Names of paragraphs, none given twice: questions without an id are called after them."""

    def __init__(self) -> None:
        self._names, self._numbers = UniqueNames(), Counter[str]()

    def of(self, name: str | None, title: str) -> str:
        """A paragraph's name; without one, title and number."""
        if name is None:
            self._numbers[title] += 1
            name = f"{title}/{self._numbers[title]}"
        return self._names.of(name)


def _question(
    qa: Mapping[str, Any], context: str, ruler: Ruler, fallback: str, where: str, reading: Reading
) -> Question | None:
    name, text = identifier(qa.get("id")) or fallback, member(qa, "question", str, where)
    answers = list(members(qa, "answers", where)) if qa.get("answers") is not None else []
    return question_of(name, text, answers, qa.get("is_impossible") is True, context, ruler, where, reading)


def question_of(
    name: str,
    text: str,
    answers: Sequence[tuple[str, Mapping[str, Any]]],
    is_impossible: bool,
    context: str,
    ruler: Ruler,
    where: str,
    reading: Reading,
) -> Question | None:
    """A question; None of one that has lost its answers, each of which comes with its place.

    Where the context doesn't answer it (`is_impossible`), answers that it has nevertheless are passed over.
    """
    if is_impossible:
        reading.passed_over.note("answer to an impossible question", where, len(answers))
        return Question(name, text)
    spans = [_answer_span(answer, context, ruler, place, reading) for place, answer in answers]
    there = tuple(span for span in spans if span is not None)
    if answers and not there:
        reading.passed_over.note(LOST, where)
        return None
    return Question(name, text, there)


def _answer_span(
    answer: Mapping[str, Any], context: str, ruler: Ruler, where: str, reading: Reading
) -> tuple[int, int] | None:
    """Where an answer stands; None of one that is left out, and counted."""
    start, text = ruler.char(member(answer, START, int, where)), member(answer, "text", str, where)
    end = start + len(text)
    fault = None
    if not 0 <= start < end <= len(context):
        fault = f"offsets {start} {end} are outside a context of {len(context)} characters, or cover none"
    elif context[start:end] != text:
        fault = f"the answer disagrees with the context at offsets {start} {end}"
    return (start, end) if reading.alignment.holds(fault, where) else None
