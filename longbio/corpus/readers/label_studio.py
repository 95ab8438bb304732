"""Label Studio's JSON export: tasks, with what annotators marked in them.

    [{"id": 1, "data": {"text": "Tarva helps."}, "annotations": [{"was_cancelled": false, "result": [
        {"id": "a", "type": "labels", "value": {"start": 0, "end": 5, "text": "Tarva", "labels": ["Drug"]}},
        {"type": "choices", "value": {"choices": ["well"]}},
        {"type": "relation", "from_id": "a", "to_id": "b", "labels": ["treats"]}]}]}]

Of several annotations of a task the one marked as ground truth is read, or else the first that wasn't
cancelled. Tasks of which all were cancelled are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from longbio.corpus.counting import FileUnit
from longbio.corpus.files import stem_of
from longbio.corpus.json_objects import identifier
from longbio.corpus.readers.json_mentions import mentions_of, places_of, relations_of
from longbio.corpus.readers.tables import FIELDS
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.corpus.row_files import Row, documents_of, name_of, readable_rows
from longbio.errors import LongbioError

ANNOTATIONS = ("annotations", "completions")
"""What tasks have; the second in exports of old."""

TASK = re.compile(r'\s*\[\s*\{.*"(?:annotations|completions)"\s*:\s*\[.*"result"\s*:\s*\[', re.DOTALL)
"""How tasks with their results begin."""


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document of each task: `labels` are its mentions, `choices` its labels, `relation` the relations of
    mentions; each file is held in memory.

    Passed over are tasks that were cancelled or have no annotation, and results of other kinds.
    """

    def reader_of(file: Path, first: Row) -> Callable[[Row], Document | None]:
        unit = FileUnit(partial(_places_in_file, file, reading))
        return lambda row: _document(row, unit, file, reading)

    return documents_of(files, reading, reader_of)


def _document(row: Row, unit: FileUnit, file: Path, reading: Reading) -> Document | None:
    task, where = row.cells, f"{file}, {row.where}"
    cells = _data(task)
    text = _text(cells)
    if text is None:
        raise LongbioError("the task has no text in its data", where=where)
    done, kept = _annotations(task)
    if done and not kept:
        reading.passed_over.note("task that was cancelled", where)
        return None
    reading.passed_over.note("annotation of a task that has another", where, max(0, len(kept) - 1))
    reading.passed_over.note("task without an annotation", where, not kept)
    results = _results(kept)
    items = _items(results)
    ruler = unit.ruler(text, places_of(items))
    reading.note_unit(ruler.unit, where)
    for result in results:
        if result.get("type") not in ("choices", "relation") and not _is_mention(result):
            reading.passed_over.note(f"result of the type {str(result.get('type'))[:40]!r}", where)
    mentions = mentions_of(items, text, ruler, f"{where}.result", reading)
    related = [result for result in results if result.get("type") == "relation"]
    group = next((cells[name] for name in FIELDS["group"] if name in cells), None)
    return Document(
        identifier(task.get("id")) or f"{stem_of(file)}-{row.number:06}",
        text,
        mentions.spans,
        relations=relations_of(related, mentions, f"{where}.result", reading),
        labels=_labels(results),
        group=None if isinstance(group, list | dict) else name_of(group),
    )


def _data(task: Mapping[str, Any]) -> dict[str, Any]:
    data = task.get("data")
    return {name.lower(): cell for name, cell in data.items()} if isinstance(data, dict) else {}


def _annotations(task: Mapping[str, Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Those of a task, and of them what wasn't cancelled, that which is read first."""
    done: list[Any] = next((task[name] for name in ANNOTATIONS if isinstance(task.get(name), list)), [])
    made = (annotation for annotation in done if isinstance(annotation, dict))
    kept = [annotation for annotation in made if annotation.get("was_cancelled") is not True]
    return done, sorted(kept, key=lambda annotation: annotation.get("ground_truth") is not True)


def _results(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = kept[0].get("result") if kept else []
    return [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []


def _places_in_file(file: Path, reading: Reading) -> Iterator[tuple[str, list[tuple[int, str | None]]]]:
    """The texts of a file, and where their mentions say that they begin."""
    for row in readable_rows(file, reading.encoding):
        text = _text(_data(row.cells))
        if text is not None and not text.isascii():
            yield text, places_of(_items(_results(_annotations(row.cells)[1])))


def _text(cells: Mapping[str, Any]) -> str | None:
    """Under one of the usual names, or the only text that there is."""
    named = [cells[name] for name in FIELDS["text"] if isinstance(cells.get(name), str)]
    texts = named or [cell for cell in cells.values() if isinstance(cell, str)]
    return texts[0] if named or len(texts) == 1 else None


def _items(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mentions among results, with their ids."""
    return [{"id": result.get("id"), **result["value"]} for result in results if _is_mention(result)]


def _is_mention(result: Mapping[str, Any]) -> bool:
    return result.get("type") == "labels" and isinstance(result.get("value"), dict)


def _labels(results: list[dict[str, Any]]) -> tuple[str, ...] | None:
    values = [result.get("value") for result in results if result.get("type") == "choices"]
    choices = [value.get("choices") for value in values if isinstance(value, dict)]
    names = [name for names in choices if isinstance(names, list) for name in names if isinstance(name, str)]
    return tuple(dict.fromkeys(names)) if choices else None
