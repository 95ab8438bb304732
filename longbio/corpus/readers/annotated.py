"""Rows that bring annotations: which member holds which, under the names that are in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longbio.corpus.cells import is_written, value_in
from longbio.corpus.counting import CHARACTERS, FileUnit, said
from longbio.corpus.readers import asked, mentions, tagged
from longbio.corpus.readers.iob import TAG
from longbio.corpus.readers.mentions import (
    are_mentions,
    each_member,
    items_of,
    mentions_of,
    relations_of,
)
from longbio.corpus.reading import Reading
from longbio.corpus.records import Question, Relation, Span

USUAL: dict[str, tuple[str, ...]] = {
    "spans": ("entities", "spans", "annotations", "ents", "mentions", "labels", "label"),
    "tokens": ("tokens", "words"),
    "tags": ("ner_tags", "tags", "ner", "labels", "label"),
    "answers": ("answers", "answer"),
    "relations": ("relations",),
}
"""By what they hold: the members that may, the first that does."""

LABELS = ("label", "labels")
"""Members of mentions or tags that may hold labels of the text instead."""

MARKS = ("answer", "_task_hash", "_input_hash", "is_impossible", "title")
"""Other members that say how a row is meant."""

REJECTED = ("reject", "ignore")
"""What Prodigy writes as the `answer` of a task that shall not be learned from."""


@dataclass(frozen=True)
class Annotations:
    """What a row brings besides its text, query, labels and score.

    Args:
        text: as its words make it, where it comes in words; else as it was given.
        spans: mentions.
        units: the words.
        relations: between mentions.
        question: of the row, with its answers.
        asks: the row has answers, so its query is a question, though perhaps one that has lost them.
        read: the names of the members that were read.
    """

    text: str | None
    spans: tuple[Span, ...] = ()
    units: tuple[tuple[int, int], ...] = ()
    relations: tuple[Relation, ...] = ()
    question: Question | None = None
    asks: bool = False
    read: frozenset[str] = frozenset()


def is_rejected(cells: Mapping[str, Any]) -> bool:
    """Whether a row is a task that an annotator rejected or ignored. `cells` by lower-case names."""
    is_task = "_task_hash" in cells or "_input_hash" in cells or are_mentions(cells.get("spans"))
    return is_task and cells.get("answer") in REJECTED


NAMES = tuple(dict.fromkeys(name for names in USUAL.values() for name in names))


def as_lists(cells: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """Cells with the annotations that are written in them, see `corpus.cells`; what can't be read stays.

    A list of labels isn't such: it has other spellings, see `corpus.labels`.
    """
    found = dict(cells)
    for name in _written(cells, named):
        value = value_in(cells[name])
        if isinstance(value, list | dict) and (name not in LABELS or are_mentions(value)):
            found[name] = value
    return found


def note_unwritten(cells: Mapping[str, Any], named: Mapping[str, str], where: str, reading: Reading) -> None:
    """Count the cells that begin as annotations, and are none."""
    for name in _written(cells, named):
        reading.passed_over.note(f"cell of {name[:40]!r} that can't be read", where, name not in LABELS)


def _written(cells: Mapping[str, Any], named: Mapping[str, str]) -> list[str]:
    names = {*(named[field] for field in USUAL if field in named), *NAMES}
    return [name for name, cell in cells.items() if name in names and is_written(cell)]


def comes_in_words(cells: Mapping[str, Any], named: Mapping[str, str]) -> bool:
    """Whether a row has a list where its words may be, so that it needs no text."""
    names = [named["tokens"].lower()] if "tokens" in named else USUAL["tokens"]
    return any(isinstance(cells.get(name), list) for name in names)


def annotations_of(
    cells: Mapping[str, Any],
    named: Mapping[str, str],
    class_names: Mapping[str, Sequence[str]],
    text: str | None,
    query: str | None,
    unit: FileUnit,
    name: str,
    where: str,
    reading: Reading,
) -> Annotations:
    """What a row's annotations say.

    Args:
        cells: by lower-case names.
        named: lower-case members by what they hold, instead of `USUAL`.
        class_names: of columns whose numbers are classes, see `features.class_names`.
        text: of the row.
        query: its question, where it has answers.
        unit: of the file's offsets.
        name: of the question.
        where: the row's place.
        reading: counts mentions and answers, and what is passed over: other members that hold a list or
            an object are none of this function's.

    Raises:
        LongbioError: words and tags aren't as many, or a tag is none.
    """
    text, units, spans, read = _tagged(cells, named, class_names, text, where, reading)
    relations: tuple[Relation, ...] = ()
    ruler = unit.ruler(text or "", placed_in(cells, named))
    if ruler.unit != CHARACTERS:
        reading.remarks.note(said(ruler.unit), where)
    holder = _holder("spans", cells, named, are_mentions)
    if holder is not None and text is not None:
        found = mentions_of(cells[holder], text, ruler, f"{where}.{holder}", reading)
        spans = tuple(sorted({*spans, *found.spans}))
        read.append(holder)
        related = _holder("relations", cells, named, lambda cell: bool(items_of(cell)))
        if related is not None:
            relations = relations_of(cells[related], found, f"{where}.{related}", reading)
            read.append(related)
    answers = _holder("answers", cells, named, asked.are_answers) if query is not None else None
    question = None
    if answers is not None and query is not None:
        read.append(answers)
        question = asked.question_of(
            name,
            query,
            cells[answers],
            text or "",
            ruler,
            where,
            reading,
            is_impossible=cells.get("is_impossible") is True,
        )
    return Annotations(text, spans, units, relations, question, answers is not None, frozenset(read))


def placed_in(cells: Mapping[str, Any], named: Mapping[str, str]) -> list[tuple[int, str | None]]:
    """Where a row's mentions and answers say that they begin, and their words."""
    spans, answers = (
        _holder("spans", cells, named, are_mentions),
        _holder("answers", cells, named, asked.are_answers),
    )
    return [
        *(mentions.placed(cells[spans]) if spans is not None else ()),
        *(asked.placed(cells[answers]) if answers is not None else ()),
    ]


def _tagged(
    cells: Mapping[str, Any],
    named: Mapping[str, str],
    class_names: Mapping[str, Sequence[str]],
    text: str | None,
    where: str,
    reading: Reading,
) -> tuple[str | None, tuple[tuple[int, int], ...], tuple[Span, ...], list[str]]:
    """Text, words and mentions of a row with words, and what was read; the text alone of another."""
    tokens = _holder("tokens", cells, named, tagged.are_words)
    if tokens is None:
        return text, (), (), []
    words: list[str] = cells[tokens]
    tags = _holder("tags", cells, named, lambda cell: _are_tags(cell, words))
    if tags is None and text is not None:
        return text, (), (), []
    text, places = tagged.laid(words, text)
    units = tuple(place for place in places if place[0] < place[1])
    if tags is None:
        return text, units, (), [tokens]
    spans = tagged.spans_of(cells[tags], class_names.get(tags), places, tags, where, reading)
    return text, units, spans, [tokens, tags]


def _holder(
    what: str, cells: Mapping[str, Any], named: Mapping[str, str], holds: Callable[[Any], bool]
) -> str | None:
    names = (named[what],) if what in named else USUAL[what]
    return next((name for name in names if name in cells and holds(cells[name])), None)


def _are_tags(cell: Any, words: Sequence[str]) -> bool:
    if not isinstance(cell, list) or not cell:
        return False
    if all(isinstance(each, str) for each in cell):
        return all(TAG.fullmatch(each) for each in cell)
    return len(cell) == len(words) and all(type(each) is int for each in cell)


def note_unread(cells: Mapping[str, Any], read: frozenset[str], where: str, reading: Reading) -> None:
    """Count the members that hold a list or an object, and weren't read."""
    for name in each_member(cells):
        if name not in read:
            reading.passed_over.note(f"member {name[:40]!r} that isn't read", where)
