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

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from longbio.corpus.objects import member, members, parse
from longbio.corpus.readers.mentions import pieces_of
from longbio.corpus.readers.squad import LOST
from longbio.corpus.readers.tables import score_of
from longbio.corpus.reading import Reading, files_of
from longbio.corpus.records import Attribute, Document, Question, Relation, Span
from longbio.corpus.rows import endings_of, first_lines, read_rows
from longbio.errors import LongbioError

ENDINGS = endings_of(".jsonl", ".ndjson")
MEMBERS = {field.name for field in fields(Document)}

Piece = tuple[int, int]


def recognises(path: Path) -> bool:
    """Whether the first line of a file, or of one of a folder's first, has an id, a text and mentions."""
    return any(_is_document(line, path) for line in first_lines(path, ENDINGS))


def _is_document(line: str, path: Path) -> bool:
    try:
        row = parse(line, "line 1", path)
    except LongbioError:
        return False
    if not {"id", "text", "spans"} <= row.keys() or not isinstance(row["spans"], list):
        return False
    # Others have `spans`, too: with a start and an end each, or beside other members.
    own = (isinstance(span, dict) and "fragments" in span for span in row["spans"])
    return all(own) if row["spans"] else row.keys() <= MEMBERS


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every such file of a folder, a line at a time.

    Args:
        path: the file or folder.
        reading: its encoding; counts mentions and answers. Those whose text is another are left
            out, with the relations and attributes of such mentions and the questions that have no
            answer left; members that documents don't have are passed over. Told of lines that can't
            be read, where it wants to be.

    Yields:
        The documents, in the order of the file. Spans are sorted by position; equal spans, relations
        and attributes are kept once.

    Raises:
        LongbioError: a line is no such object. Names file and line, never the text.
    """
    for file in files_of(path, ENDINGS):
        try:
            yield from _documents(file, reading)
        except LongbioError as error:
            reading.skip(error)


def _documents(file: Path, reading: Reading) -> Iterator[Document]:
    for row in read_rows(file, reading.encoding, failed=reading.failed):
        try:
            document = _document(row.cells, f"{file}, {row.where}, ", reading)
        except LongbioError as error:
            reading.skip(error)
            continue
        yield document


def _document(row: Mapping[str, Any], where: str, reading: Reading) -> Document:
    for unknown in row.keys() - MEMBERS:
        reading.passed_over.note(f"member {unknown[:40]!r} that isn't read", where.rstrip(", "))
    text = member(row, "text", str, where)
    spans = [_span(each, text, place, reading) for place, each in _members(row, "spans", where)]
    questions = [_question(each, text, place, reading) for place, each in _members(row, "questions", where)]
    labels = _optional(row, "labels", list, where)
    if labels is not None and not all(isinstance(label, str) for label in labels):
        raise LongbioError("'labels' is no list of texts", where=where)
    return Document(
        id=member(row, "id", str, where),
        text=text,
        spans=tuple(sorted({span for span in spans if span is not None})),
        units=tuple(
            _piece(unit, text, f"{where}.units") for unit in _optional(row, "units", list, where) or ()
        ),
        relations=tuple(dict.fromkeys(_relations(row, spans, where, reading))),
        attributes=tuple(dict.fromkeys(_attributes(row, spans, where, reading))),
        questions=tuple(question for question in questions if question is not None),
        query=_optional(row, "query", str, where),
        labels=None if labels is None else tuple(labels),
        score=score_of(row.get("score"), where),
        group=_optional(row, "group", str, where),
    )


def _members(row: Mapping[str, Any], name: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return members(row, name, where) if row.get(name) is not None else iter(())


def _optional(row: Mapping[str, Any], name: str, kind: type[Any], where: str) -> Any:
    return None if row.get(name) is None else member(row, name, kind, where)


def _piece(value: Any, text: str, where: str) -> Piece:
    is_pair = isinstance(value, list) and len(value) == 2 and all(type(each) is int for each in value)
    if not is_pair or not 0 <= value[0] < value[1] <= len(text):
        raise LongbioError("this is no pair of start and end in the text", where=where)
    return value[0], value[1]


def _fault(found: str, given: Mapping[str, Any], where: str) -> str | None:
    """How the text that is written beside offsets disagrees with what is there."""
    written = _optional(given, "text", str, where)
    return None if written in (None, found) else "the text written beside the offsets is not what is there"


def _span(given: Mapping[str, Any], text: str, where: str, reading: Reading) -> Span | None:
    listed: list[Any] = [list(pair) for pair in pieces_of(given) or ()] if "fragments" not in given else []
    pieces = [_piece(each, text, where) for each in listed or member(given, "fragments", list, where)]
    try:
        span = Span(tuple(pieces), member(given, "label", str, where))
    except ValueError:
        raise LongbioError("'fragments' are missing or out of order", where=where) from None
    return span if reading.alignment.holds(_fault(span.covered(text), given, where), where) else None


def _question(given: Mapping[str, Any], text: str, where: str, reading: Reading) -> Question | None:
    answers: list[Piece] = []
    listed = list(_members(given, "answers", where))
    for place, answer in listed:
        start, end = _piece(answer.get("fragment"), text, place)
        if reading.alignment.holds(_fault(text[start:end], answer, place), place):
            answers.append((start, end))
    if listed and not answers:
        reading.passed_over.note(LOST, where)
        return None
    return Question(member(given, "id", str, where), member(given, "text", str, where), tuple(answers))


def _relations(
    row: Mapping[str, Any], spans: list[Span | None], where: str, reading: Reading
) -> Iterator[Relation]:
    for place, each in _members(row, "relations", where):
        head, tail = (_pointed(each, name, spans, place) for name in ("head", "tail"))
        label = member(each, "label", str, place)
        if head is None or tail is None:
            reading.passed_over.note("relation of a mention that was left out", place)
        else:
            yield Relation(label, head, tail)


def _attributes(
    row: Mapping[str, Any], spans: list[Span | None], where: str, reading: Reading
) -> Iterator[Attribute]:
    for place, each in _members(row, "attributes", where):
        span, name = _pointed(each, "span", spans, place), member(each, "name", str, place)
        value = _optional(each, "value", str, place) or ""
        if span is None:
            reading.passed_over.note("attribute of a mention that was left out", place)
        else:
            yield Attribute(span, name, value)


def _pointed(given: Mapping[str, Any], name: str, spans: list[Span | None], where: str) -> Span | None:
    number = member(given, name, int, where)
    if not 0 <= number < len(spans):
        raise LongbioError(f"{name!r} is no mention's number", where=where)
    return spans[number]
