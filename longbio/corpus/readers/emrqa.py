"""emrQA: SQuAD's form over notes in lines, several wordings a question, evidence beside answers.

    {"data": [{"title": "...", "paragraphs": [{"note_id": "7", "context": ["line 1\\n", "line 2"], "qas": [
        {"id": "1", "question": ["...", "..."], "answers": [{"answer_start": [2, 0], "text": "...",
         "evidence": "...", "evidence_start": 2, "answer_entity_type": "single"}]}]}]}]}

Lines count from 1, tokens of a line from 0. The document's text is the lines, with a line feed
behind each that doesn't end with one, the last excepted; or `context` as it is, where that is a text.

An answer is its `text`, which begins on its line (`answer_start`, or else `evidence_start`): there where its
token is, or the first time it comes, which is counted; whatever its case and white space. Where it isn't
there, or there is no `text`, the answer is the evidence, which begins on its line (`evidence_start`), and
without either of them that line: counted, too, where there was a `text`. An answer that isn't there either is
left out and counted. Answers of type `complex`, and others that hold lists, are passed over.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from longbio.corpus.files import stem_of
from longbio.corpus.json_objects import identifier, members
from longbio.corpus.readers.squad import LOST, PARAGRAPHS, ParagraphNames, paragraphs_of
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Question
from longbio.errors import LongbioError

NOT_SQUAD = re.compile(r'"(?:context|question|answer_start)"\s*:\s*\[|"note_id"\s*:')
"""What SQuAD doesn't hold."""

NOT_BLANK, STRIPPED = re.compile(r"\S+"), re.compile(r"\S(?:.*\S)?", re.DOTALL)
LINE = re.compile(r"[^\n]*\n|[^\n]+")

OTHER_TOKEN = "token that isn't where its answer is"
EVIDENCE = "answer that isn't on its line, for which its evidence is taken"


@dataclass(frozen=True)
class _Note:
    """A note's text and where its lines start and end, line ends left out."""

    text: str
    lines: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, context: Any, where: str) -> _Note:
        lines = LINE.findall(context) if isinstance(context, str) else context
        if not isinstance(lines, list):
            raise LongbioError("'context' is neither a text nor a list of lines", where=where)
        pieces: list[str] = []
        borders: list[tuple[int, int]] = []
        start = 0
        for number, line in enumerate(lines, start=1):
            if not isinstance(line, str):
                raise LongbioError(f"line {number} of the context is no text", where=where)
            borders.append((start, start + len(line.rstrip("\r\n"))))
            piece = line if line.endswith("\n") or number == len(lines) else f"{line}\n"
            pieces.append(piece)
            start += len(piece)
        return cls("".join(pieces), tuple(borders))

    def borders(self, line: int | None) -> tuple[int, int] | None:
        return self.lines[line - 1] if line is not None and 1 <= line <= len(self.lines) else None


def looks_like(beginning: str) -> bool:
    """Whether a file begins with paragraphs of lines."""
    return bool(PARAGRAPHS.search(beginning) and NOT_SQUAD.search(beginning))


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document of each note; each file is held in memory.

    Every wording of a question is a question of its own, named `<id>-0`, `<id>-1`, ... One that has lost all
    of its answers is left out. Errors name the place, as `.data[0].paragraphs[1]`.
    """
    names = ParagraphNames()
    for file in files:
        for where, title, paragraph in paragraphs_of(file, reading):
            note = _Note.of(paragraph.get("context"), where)
            name = names.of(identifier(paragraph.get("note_id")), title or stem_of(file))
            questions = tuple(
                question
                for number, (place, qa) in enumerate(members(paragraph, "qas", where), start=1)
                for question in _questions(qa, note, f"{name}/{number}", place, reading)
            )
            yield Document(name, note.text, questions=questions)


def _questions(
    qa: Mapping[str, Any], note: _Note, fallback: str, where: str, reading: Reading
) -> Iterator[Question]:
    """The wordings of a question; none of one that has lost its answers."""
    wordings = qa.get("question")
    wordings = [wordings] if isinstance(wordings, str) else wordings
    if not isinstance(wordings, list) or not all(isinstance(wording, str) for wording in wordings):
        raise LongbioError("'question' is no list of texts", where=where)

    spans = [_span(answer, note, place, reading) for place, answer in members(qa, "answers", where)]
    answers = tuple(span for span in spans if span is not None)
    if spans and not answers:
        reading.passed_over.note(LOST, where)
        return
    name = identifier(qa.get("id")) or fallback
    for number, wording in enumerate(wordings):
        yield Question(f"{name}-{number}", wording, answers)


def _span(answer: Mapping[str, Any], note: _Note, where: str, reading: Reading) -> tuple[int, int] | None:
    text, evidence = answer.get("text") or "", answer.get("evidence") or ""
    if answer.get("answer_entity_type") == "complex" or isinstance(text, list) or isinstance(evidence, list):
        reading.passed_over.note("complex answer", where)
        return None
    if not isinstance(text, str) or not isinstance(evidence, str):
        raise LongbioError("'text' or 'evidence' is no text", where=where)

    line, token = _place(answer.get("answer_start"))
    evidence_line, _ = _place(answer.get("evidence_start"))
    line, evidence_line = line or evidence_line, evidence_line or line
    span = _find_on_line(text, note, line)
    if span is not None and line is not None and token is not None:
        here = _find_at_token(text, note, line, token)
        reading.passed_over.note(OTHER_TOKEN, where, here is None)
        span = here or span
    if span is None and (evidence.strip() or not text.strip()):
        span = _find_evidence(evidence, note, evidence_line)
        reading.passed_over.note(EVIDENCE, where, span is not None and bool(text.strip()))
    fault = None if span else f"neither the answer nor its evidence is on line {line or evidence_line}"
    return span if reading.alignment.holds(fault, where) else None


def _place(value: Any) -> tuple[int | None, int | None]:
    """Line and token; None for what is missing, as in answers that are evidence alone."""
    numbers = value if isinstance(value, list) else [value]
    line, token = ([n if type(n) is int else None for n in numbers] + [None, None])[:2]
    return line, token


def _find_on_line(text: str, note: _Note, line: int | None) -> tuple[int, int] | None:
    """Where a text first begins on a line; it may go on behind it."""
    borders = note.borders(line)
    return _find_within(text, note, line, borders) if line and borders and text.strip() else None


def _find_at_token(text: str, note: _Note, line: int, token: int) -> tuple[int, int] | None:
    """Where a text is that begins in a line's token; None where it doesn't."""
    tokens = [match.span() for match in NOT_BLANK.finditer(note.text, *note.lines[line - 1])]
    return _find_within(text, note, line, tokens[token]) if 0 <= token < len(tokens) else None


def _find_within(text: str, note: _Note, line: int, borders: tuple[int, int]) -> tuple[int, int] | None:
    """The first place of a text that begins within some borders on a line, and may end on another."""
    start, end = borders
    # Over as many lines as hold its words.
    beyond, stop = len(text.split()), note.lines[line - 1][1]
    while beyond > 0 and line < len(note.lines):
        first, stop = note.lines[line]
        beyond, line = beyond - len(note.text[first:stop].split()), line + 1
    return next((span for span in occurrences(text, note.text, start, stop) if span[0] < end), None)


def _find_evidence(evidence: str, note: _Note, line: int | None) -> tuple[int, int] | None:
    """Where the evidence is that begins on a line; the line itself where there is none."""
    if evidence.strip():
        return _find_on_line(evidence, note, line)
    borders = note.borders(line)
    whole = STRIPPED.search(note.text, *borders) if borders else None
    return whole.span() if whole else None


def occurrences(words: str, text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Where some words stand, from left to right, none overlapping.

    Whatever their case and the white space between them; the first and the last may be a part of a word of
    the text. A pattern of the words would try them at each place of the text; this takes linear time.

    Args:
        words: what is looked for; nothing is found of white space alone.
        text: where, from `start` to `end`; to the text's end when None.

    Yields:
        (start_char, end_char) in the text.
    """
    wanted = " ".join(_fold(word) for word in words.split())
    if not wanted:
        return
    pieces = [match.span() for match in NOT_BLANK.finditer(text, start, len(text) if end is None else end)]
    # The same words with one space between: offsets in it are those of the text, but for the spaces.
    folded = " ".join(_fold(text[first:last]) for first, last in pieces)
    begins = list(accumulate((last - first + 1 for first, last in pieces), initial=0))

    def in_text(place: int) -> int:
        number = bisect_right(begins, place) - 1
        return pieces[number][0] + place - begins[number]

    place = folded.find(wanted)
    while place >= 0:
        yield in_text(place), in_text(place + len(wanted) - 1) + 1
        place = folded.find(wanted, place + len(wanted))


def _fold(word: str) -> str:
    """In lower case, character by character: a few letters have two in it."""
    lower = word.lower()
    return lower if len(lower) == len(word) else "".join(c if len(c.lower()) > 1 else c.lower() for c in word)
