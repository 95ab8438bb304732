"""SQuAD 1.1 and 2.0: articles of paragraphs, each with questions and where their answers start.

    {"data": [{"title": "...", "paragraphs": [{"context": "...", "qas": [
        {"id": "1", "question": "...", "answers": [{"text": "...", "answer_start": 17}]}]}]}]}

Whether `answer_start` counts characters, bytes or UTF-16 is found out over the file. A question without
answers is one that the context doesn't answer; answers to one that is marked as impossible are passed
over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from longbio.corpus.counting import CHARACTERS, FileUnit, Ruler, said
from longbio.corpus.files import stem_of
from longbio.corpus.names import Names
from longbio.corpus.objects import identifier, member, members, parse
from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Document, Question
from longbio.corpus.rows import read_lines

SUFFIXES = (".json",)
PARAGRAPHS = re.compile(r'"paragraphs"\s*:\s*\[')

LOST = "question whose answers are not where they say"


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, begins with paragraphs."""
    return any(PARAGRAPHS.search(beginning) for beginning in beginnings_of(path, SUFFIXES))


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.json` file of a folder; each file is held in memory.

    Args:
        path: the file or folder.
        reading: its encoding; counts answers, and those that aren't in the context where they say,
            which are left out, and so is a question that has none left.

    Yields:
        A document of each paragraph, named by its `document_id` or by title and number. A title is
        also the document's group: an article's paragraphs stay together.

    Raises:
        LongbioError: a file is no such JSON. Names the place, as `.data[0].paragraphs[1]`, never
            the text.
    """
    names = ParagraphNames()
    for file in files_of(path, SUFFIXES):
        paragraphs = list(paragraphs_of(file, reading))
        unit = FileUnit([_placed(each) for _, _, each in paragraphs].copy)
        for where, title, paragraph in paragraphs:
            context = member(paragraph, "context", str, where)
            ruler = unit.ruler(*_placed(paragraph))
            if ruler.unit != CHARACTERS:
                reading.remarks.note(said(ruler.unit), where)
            name = names.of(identifier(paragraph.get("document_id")), title or stem_of(file))
            found = [
                _question(qa, context, ruler, f"{name}/{number}", place, reading)
                for number, (place, qa) in enumerate(members(paragraph, "qas", where), start=1)
            ]
            questions = tuple(question for question in found if question is not None)
            yield Document(name, context, questions=questions, group=title)


def paragraphs_of(file: Path, reading: Reading) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """The paragraphs of a file, each with its place and its article's title."""
    content = parse("".join(read_lines(file, reading.encoding)), "the file", file)
    for place, article in members(content, "data", f"{file}, "):
        for where, paragraph in members(article, "paragraphs", place):
            yield where, identifier(article.get("title")), paragraph


def _placed(paragraph: Mapping[str, Any]) -> tuple[str, list[tuple[int, str]]]:
    """The context and its answers, of which any may be malformed: that comes up later."""
    context, found = paragraph.get("context"), [paragraph]
    for name in ("qas", "answers"):
        lists = [given for each in found if isinstance(given := each.get(name), list)]
        found = [each for given in lists for each in given if isinstance(each, dict)]
    return context if isinstance(context, str) else "", placed_answers(found)


def placed_answers(answers: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Where answers say that they begin, and their words; those that are malformed left out."""
    pairs = ((each.get("answer_start"), each.get("text")) for each in answers)
    return [(start, text) for start, text in pairs if type(start) is int and isinstance(text, str)]


class ParagraphNames:
    """Names of paragraphs, none given twice: questions without an id are called after them."""

    def __init__(self) -> None:
        self._names, self._numbers = Names(), Counter[str]()

    def of(self, own: str | None, title: str) -> str:
        """A paragraph's own name; without one, title and number."""
        if own is None:
            self._numbers[title] += 1
            own = f"{title}/{self._numbers[title]}"
        return self._names.of(own)


def _question(
    qa: Mapping[str, Any], context: str, ruler: Ruler, fallback: str, where: str, reading: Reading
) -> Question | None:
    """A question; None for one that has lost its answers."""
    name, text = identifier(qa.get("id")) or fallback, member(qa, "question", str, where)
    given = list(members(qa, "answers", where)) if qa.get("answers") is not None else []
    if qa.get("is_impossible", False) is True:
        reading.passed_over.note("answer to an impossible question", where, len(given))
        return Question(name, text)

    found = [answer_span(answer, context, ruler, place, reading) for place, answer in given]
    answers = tuple(span for span in found if span is not None)
    if given and not answers:
        reading.passed_over.note(LOST, where)
        return None
    return Question(name, text, answers)


def answer_span(
    answer: Mapping[str, Any], context: str, ruler: Ruler, where: str, reading: Reading
) -> tuple[int, int] | None:
    """Where an answer stands; None of one that is left out, and counted."""
    start, text = ruler.char(member(answer, "answer_start", int, where)), member(answer, "text", str, where)
    end = start + len(text)
    fault = None
    if not 0 <= start < end <= len(context):
        fault = f"offsets {start} {end} are outside a context of {len(context)} characters, or cover none"
    elif context[start:end] != text:
        fault = f"the answer disagrees with the context at offsets {start} {end}"
    return (start, end) if reading.alignment.holds(fault, where) else None
