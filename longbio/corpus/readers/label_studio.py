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
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from longbio.corpus.counting import CHARACTERS, FileUnit, said
from longbio.corpus.files import stem_of
from longbio.corpus.objects import identifier
from longbio.corpus.readers.mentions import mentions_of, placed, relations_of
from longbio.corpus.readers.tables import USUAL
from longbio.corpus.reading import Reading, files_of, sniffed
from longbio.corpus.records import Document
from longbio.corpus.rows import Row, beginning_of, endings_of, name_of, read_rows
from longbio.errors import LongbioError

ENDINGS = endings_of(".json")
ANNOTATIONS = ("annotations", "completions")
"""What tasks have; the second in exports of old."""

TASK = re.compile(r'\s*\[\s*\{.*"(?:annotations|completions)"\s*:\s*\[.*"result"\s*:\s*\[', re.DOTALL)
UNANNOTATED = "task without an annotation"


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, begins with tasks and their results."""
    return any(_holds_tasks(file) for file in sniffed(path, ENDINGS))


def _holds_tasks(file: Path) -> bool:
    try:
        return TASK.match(beginning_of(file)) is not None
    except LongbioError:
        return False


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.json` file of a folder; each file is held in memory.

    Args:
        path: the file or folder.
        reading: its encoding; counts mentions, those that aren't where they say, tasks that were
            cancelled or have no annotation, and results of other kinds.

    Yields:
        A document of each task: `labels` are its mentions, `choices` its labels, `relation` the relations
        of mentions.

    Raises:
        LongbioError: a task has no text. Names the task by its place, never the text.
    """
    for file in files_of(path, ENDINGS):
        unit = FileUnit(partial(_placed, file, reading))
        try:
            for row in read_rows(file, reading.encoding, failed=reading.failed):
                try:
                    document = _document(row, unit, file, reading)
                except LongbioError as error:
                    reading.skip(error)
                    continue
                if document is not None:
                    yield document
        except LongbioError as error:
            reading.skip(error)


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
    reading.passed_over.note("annotation of a task that has another", where, len(kept) - 1 if kept else 0)
    if not kept:
        reading.passed_over.note(UNANNOTATED, where)
    results = _results(kept)
    items = _items(results)
    ruler = unit.ruler(text, placed(items))
    if ruler.unit != CHARACTERS:
        reading.remarks.note(said(ruler.unit), where)
    for each in results:
        if each.get("type") not in ("choices", "relation") and not _is_mention(each):
            reading.passed_over.note(f"result of the type {str(each.get('type'))[:40]!r}", where)
    mentions = mentions_of(items, text, ruler, f"{where}.result", reading)
    related = [each for each in results if each.get("type") == "relation"]
    group = next((cells[name] for name in USUAL["group"] if name in cells), None)
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
    kept = [each for each in done if isinstance(each, dict) and each.get("was_cancelled") is not True]
    return done, sorted(kept, key=lambda each: each.get("ground_truth") is not True)


def _results(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = kept[0].get("result") if kept else []
    return [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []


def _placed(file: Path, reading: Reading) -> Iterator[tuple[str, list[tuple[int, str | None]]]]:
    """The texts of a file, and where their mentions say that they begin."""
    try:
        for row in read_rows(file, reading.encoding, failed=lambda error: None):
            text = _text(_data(row.cells))
            if text is not None and not text.isascii():
                yield text, placed(_items(_results(_annotations(row.cells)[1])))
    except LongbioError:
        return  # who reads its documents says what is wrong


def _text(cells: Mapping[str, Any]) -> str | None:
    """Under one of the usual names, or the only text that there is."""
    named = [cells[name] for name in USUAL["text"] if isinstance(cells.get(name), str)]
    texts = named or [cell for cell in cells.values() if isinstance(cell, str)]
    return texts[0] if named or len(texts) == 1 else None


def _items(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mentions among results, with their ids."""
    return [{"id": each.get("id"), **each["value"]} for each in results if _is_mention(each)]


def _is_mention(result: Mapping[str, Any]) -> bool:
    return result.get("type") == "labels" and isinstance(result.get("value"), dict)


def _labels(results: list[dict[str, Any]]) -> tuple[str, ...] | None:
    values = [each.get("value") for each in results if each.get("type") == "choices"]
    chosen = [value.get("choices") for value in values if isinstance(value, dict)]
    names = [name for each in chosen if isinstance(each, list) for name in each if isinstance(name, str)]
    return tuple(dict.fromkeys(names)) if chosen else None
