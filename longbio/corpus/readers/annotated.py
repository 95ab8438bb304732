"""Rows that bring annotations: which member holds which, under the names that are in use.

In CSV they are written in cells, as JSON or as Python and NumPy print them:

    {"text": ["Tarva"], "answer_start": [0]}
    {'text': array(['Tarva'], dtype=object), 'answer_start': array([0])}
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from longbio.corpus.counting import FileUnit
from longbio.corpus.readers import iob, json_mentions, squad
from longbio.corpus.readers.json_mentions import are_mentions, items_of, mentions_of, relations_of
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Relation, Span

MEMBERS: dict[str, tuple[str, ...]] = {
    "spans": ("entities", "spans", "annotations", "ents", "mentions", "labels", "label"),
    "tokens": ("tokens", "words"),
    "tags": ("ner_tags", "tags", "ner", "labels", "label"),
    "answers": ("answers", "answer"),
    "relations": ("relations",),
}
"""By what they hold: the members that may, the first that does."""

NAMES = tuple(dict.fromkeys(name for names in MEMBERS.values() for name in names))

LABELS = ("label", "labels")
"""Members of mentions or tags that may hold labels of the text instead."""

MARKS = ("answer", "_task_hash", "_input_hash", "is_impossible", "title")
"""Other members that say how a row is meant."""

REJECTED = ("reject", "ignore")
"""What Prodigy writes as the `answer` of a task that shall not be learned from."""

MAX_CHARS = 1_000_000
"""Of a cell that is looked into for what is written in it."""


@dataclass(frozen=True)
class Table:
    """A file of rows, and what is known of all of them.

    Args:
        file: its place.
        named: lower-case columns by what they hold, as the reading names them instead of the usual ones.
        class_names: of columns whose numbers are classes, see `corpus.class_names`.
        unit: of the file's offsets.
        reading: counts mentions and answers, and what is passed over.
    """

    file: Path
    named: Mapping[str, str]
    class_names: Mapping[str, Sequence[str]]
    unit: FileUnit
    reading: Reading


def is_rejected(cells: Mapping[str, Any]) -> bool:
    """Whether a row is a task that an annotator rejected or ignored. `cells` by lower-case names."""
    is_task = "_task_hash" in cells or "_input_hash" in cells or are_mentions(cells.get("spans"))
    return is_task and cells.get("answer") in REJECTED


def as_lists(cells: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """Cells with the annotations that are written in them; what can't be read stays.

    A list of labels isn't such: it has other spellings, see `corpus.labels`.
    """
    values = {name: _read_cell(cells[name]) for name in _written_in_cells(cells, named)}
    return {**cells} | {
        name: value
        for name, value in values.items()
        if isinstance(value, list | dict) and (name not in LABELS or are_mentions(value))
    }


def note_unwritten(cells: Mapping[str, Any], table: Table, where: str) -> None:
    """Count the cells that begin as annotations, and are none."""
    for name in _written_in_cells(cells, table.named):
        what = f"cell of {name[:40]!r} that can't be read"
        table.reading.passed_over.note(what, where, name not in LABELS)


def _written_in_cells(cells: Mapping[str, Any], named: Mapping[str, str]) -> list[str]:
    """The members that may hold annotations, and begin as a list or an object."""
    names = {*(named[field] for field in MEMBERS if field in named), *NAMES}
    texts = [(name, cell) for name, cell in cells.items() if name in names and isinstance(cell, str)]
    return [name for name, cell in texts if cell.lstrip()[:1] in ("{", "[")]


def _read_cell(cell: str) -> Any:
    """The list or object that is written in a cell; None of what is none."""
    if len(cell) > MAX_CHARS:
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        return _value(ast.parse(cell.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Dict):
        keys = [_value(key) if key is not None else None for key in node.keys]
        if not all(isinstance(key, str) for key in keys):
            raise ValueError("a member without a name")
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(element) for element in node.elts]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "array"
        and node.args
    ):
        return _value(node.args[0])
    value = ast.literal_eval(node)
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError("no value that JSON has")
    return value


def comes_in_words(cells: Mapping[str, Any], named: Mapping[str, str]) -> bool:
    """Whether a row has a list where its words may be, so that it needs no text."""
    names = [named["tokens"].lower()] if "tokens" in named else MEMBERS["tokens"]
    return any(isinstance(cells.get(name), list) for name in names)


def annotations_of(
    cells: Mapping[str, Any], table: Table, text: str | None, query: str | None, name: str, where: str
) -> tuple[Document, set[str]]:
    """The document of a row with what its annotations say, and the names of the members that were read.

    Where it has answers, its query is a question, though perhaps one that has lost them; else it stays.
    Raises LongbioError where words and tags aren't as many, or a tag is none. `cells` by lower-case names.
    """
    named, reading = table.named, table.reading
    text, units, spans, read = _read_tagged(cells, table, text, where)
    relations: tuple[Relation, ...] = ()
    ruler = table.unit.ruler(text or "", places_in(cells, named))
    reading.note_unit(ruler.unit, where)
    holder = _find_holder("spans", cells, named, are_mentions)
    if holder is not None and text is not None:
        mentions = mentions_of(cells[holder], text, ruler, f"{where}.{holder}", reading)
        spans = tuple(sorted({*spans, *mentions.spans}))
        read.add(holder)
        related = _find_holder("relations", cells, named, lambda cell: bool(items_of(cell)))
        if related is not None:
            relations = relations_of(cells[related], mentions, f"{where}.{related}", reading)
            read.add(related)
    answers = _find_holder("answers", cells, named, squad.are_answers) if query is not None else None
    document = Document(name, text or "", spans, units, relations, query=query)
    if answers is None or query is None:
        return document, read
    question = squad.question_of_row(name, query, cells, answers, document.text, ruler, where, reading)
    questions = () if question is None else (question,)
    return replace(document, questions=questions, query=None), {*read, answers}


def places_in(cells: Mapping[str, Any], named: Mapping[str, str]) -> list[tuple[int, str | None]]:
    """Where a row's mentions and answers say that they begin, and their words."""
    spans = _find_holder("spans", cells, named, are_mentions)
    answers = _find_holder("answers", cells, named, squad.are_answers)
    return [
        *(json_mentions.places_of(cells[spans]) if spans is not None else ()),
        *(squad.answer_places(cells[answers]) if answers is not None else ()),
    ]


def _read_tagged(
    cells: Mapping[str, Any], table: Table, text: str | None, where: str
) -> tuple[str | None, tuple[iob.Place, ...], tuple[Span, ...], set[str]]:
    """Text, words and mentions of a row with words, and what was read; the text alone of another."""
    tokens = _find_holder("tokens", cells, table.named, iob.are_words)
    if tokens is None:
        return text, (), (), set()
    words: list[str] = cells[tokens]
    tags = _find_holder("tags", cells, table.named, lambda cell: iob.are_tags(cell, words))
    if tags is None and text is not None:
        return text, (), (), set()
    text, places = iob.place_words(words, text)
    units = tuple(place for place in places if place[0] < place[1])
    if tags is None:
        return text, units, (), {tokens}
    spans = iob.spans_of(cells[tags], table.class_names.get(tags), places, tags, where, table.reading)
    return text, units, spans, {tokens, tags}


def _find_holder(
    field: str, cells: Mapping[str, Any], named: Mapping[str, str], holds: Callable[[Any], bool]
) -> str | None:
    names = (named[field],) if field in named else MEMBERS[field]
    return next((name for name in names if name in cells and holds(cells[name])), None)


def note_unread(cells: Mapping[str, Any], read: set[str], where: str, reading: Reading) -> None:
    """Count the members that hold a list or an object with something in it, and weren't read."""
    for name, cell in cells.items():
        if isinstance(cell, list | dict) and cell and name not in read:
            reading.passed_over.note(f"member {name[:40]!r} that isn't read", where)
