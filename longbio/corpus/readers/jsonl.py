"""longbio's own JSON lines: all that the records hold, a document a line.

    {"id": "7", "text": "no fever today",
     "spans": [{"fragments": [[3, 8]], "label": "Problem", "text": "fever"}],
     "units": [[0, 2], [3, 8]], "relations": [{"label": "same", "head": 0, "tail": 0}],
     "attributes": [{"span": 0, "name": "Negation", "value": ""}],
     "questions": [{"id": "q1", "text": "Fever?", "answers": [{"fragment": [3, 8], "text": "fever"}]}],
     "query": null, "labels": ["well"], "score": null, "group": "patient 1"}

Relations and attributes name mentions by their number in `spans`, from 0. The `text` of a mention
or an answer may be left out; where it stands it is checked. All but `id` and `text` may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from longbio.corpus.json_objects import member, members, optional, parse
from longbio.corpus.readers.json_mentions import pieces_of
from longbio.corpus.readers.squad import LOST
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Question, Relation, Span
from longbio.corpus.row_files import Row, documents_of, score_of
from longbio.errors import LongbioError

MEMBERS = {field.name for field in fields(Document)}

Place = tuple[int, int]


def looks_like(first_line: str) -> bool:
    """Whether the first line of a file has an id, a text and mentions."""
    try:
        row = parse(first_line, "line 1", Path())
    except LongbioError:
        return False
    if not {"id", "text", "spans"} <= row.keys() or not isinstance(row["spans"], list):
        return False
    # Others have `spans`, too: with a start and an end each, or beside other members.
    ours = (isinstance(span, dict) and "fragments" in span for span in row["spans"])
    return all(ours) if row["spans"] else row.keys() <= MEMBERS


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document a line.

    Mentions and answers whose text is another are left out, with the relations and attributes of such
    mentions and the questions that have no answer left; members that documents don't have are passed over.
    Lines that can't be read are skipped, where the reading wants to go on.
    """

    def reader_of(file: Path, first: Row) -> Callable[[Row], Document]:
        return lambda row: _document(row.cells, f"{file}, {row.where}, ", reading)

    return documents_of(files, reading, reader_of)


def _document(row: Mapping[str, Any], where: str, reading: Reading) -> Document:
    for unknown in row.keys() - MEMBERS:
        reading.passed_over.note(f"member {unknown[:40]!r} that isn't read", where.rstrip(", "))
    text = member(row, "text", str, where)
    spans = [_span(item, text, place, reading) for place, item in _members(row, "spans", where)]
    questions = [_question(item, text, place, reading) for place, item in _members(row, "questions", where)]
    labels = optional(row, "labels", list, where)
    if labels is not None and not all(isinstance(label, str) for label in labels):
        raise LongbioError("'labels' is no list of texts", where=where)
    return Document(
        id=member(row, "id", str, where),
        text=text,
        spans=tuple(sorted({span for span in spans if span is not None})),
        units=tuple(
            _place(unit, text, f"{where}.units") for unit in optional(row, "units", list, where) or ()
        ),
        relations=tuple(dict.fromkeys(_relations(row, spans, where, reading))),
        attributes=tuple(dict.fromkeys(_attributes(row, spans, where, reading))),
        questions=tuple(question for question in questions if question is not None),
        query=optional(row, "query", str, where),
        labels=None if labels is None else tuple(labels),
        score=score_of(row.get("score"), where),
        group=optional(row, "group", str, where),
    )


def _members(row: Mapping[str, Any], name: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return members(row, name, where) if row.get(name) is not None else iter(())


def _place(value: Any, text: str, where: str) -> Place:
    is_pair = isinstance(value, list) and len(value) == 2 and all(type(end) is int for end in value)
    if not is_pair or not 0 <= value[0] < value[1] <= len(text):
        raise LongbioError("this is no pair of start and end in the text", where=where)
    return value[0], value[1]


def _fault(covered: str, item: Mapping[str, Any], where: str) -> str | None:
    """How the text that is written beside offsets disagrees with what is there."""
    written = optional(item, "text", str, where)
    return None if written in (None, covered) else "the text written beside the offsets is not what is there"


def _span(item: Mapping[str, Any], text: str, where: str, reading: Reading) -> Span | None:
    listed: list[Any] = [list(pair) for pair in pieces_of(item) or ()] if "fragments" not in item else []
    pieces = [_place(pair, text, where) for pair in listed or member(item, "fragments", list, where)]
    try:
        span = Span(tuple(pieces), member(item, "label", str, where))
    except ValueError:
        raise LongbioError("'fragments' are missing or out of order", where=where) from None
    return span if reading.alignment.holds(_fault(span.text_in(text), item, where), where) else None


def _question(item: Mapping[str, Any], text: str, where: str, reading: Reading) -> Question | None:
    answers: list[Place] = []
    listed = list(_members(item, "answers", where))
    for place, answer in listed:
        start, end = _place(answer.get("fragment"), text, place)
        if reading.alignment.holds(_fault(text[start:end], answer, place), place):
            answers.append((start, end))
    if listed and not answers:
        reading.passed_over.note(LOST, where)
        return None
    return Question(member(item, "id", str, where), member(item, "text", str, where), tuple(answers))


def _relations(
    row: Mapping[str, Any], spans: list[Span | None], where: str, reading: Reading
) -> Iterator[Relation]:
    for place, item in _members(row, "relations", where):
        head, tail = (_numbered_span(item, name, spans, place) for name in ("head", "tail"))
        label = member(item, "label", str, place)
        if head is not None and tail is not None:
            yield Relation(label, head, tail)
        else:
            reading.passed_over.note("relation of a mention that was left out", place)


def _attributes(
    row: Mapping[str, Any], spans: list[Span | None], where: str, reading: Reading
) -> Iterator[Attribute]:
    for place, item in _members(row, "attributes", where):
        span, name = _numbered_span(item, "span", spans, place), member(item, "name", str, place)
        value = optional(item, "value", str, place) or ""
        if span is not None:
            yield Attribute(span, name, value)
        else:
            reading.passed_over.note("attribute of a mention that was left out", place)


def _numbered_span(item: Mapping[str, Any], name: str, spans: list[Span | None], where: str) -> Span | None:
    number = member(item, name, int, where)
    if not 0 <= number < len(spans):
        raise LongbioError(f"{name!r} is no mention's number", where=where)
    return spans[number]
