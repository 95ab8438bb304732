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
from pathlib import Path
from typing import Any

from longbio.corpus.files import stem_of
from longbio.corpus.objects import identifier
from longbio.corpus.readers.mentions import Mentions, mentions_of, relations_of
from longbio.corpus.readers.tables import USUAL
from longbio.corpus.reading import Reading, files_of, sniffed
from longbio.corpus.records import Document
from longbio.corpus.rows import beginning_of, endings_of, name_of, read_rows
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
        try:
            for row in read_rows(file, reading.encoding, failed=reading.failed):
                try:
                    document = _document(row.cells, row.number, f"{file}, {row.where}", file, reading)
                except LongbioError as error:
                    reading.skip(error)
                    continue
                if document is not None:
                    yield document
        except LongbioError as error:
            reading.skip(error)


def _document(
    task: Mapping[str, Any], number: int, where: str, file: Path, reading: Reading
) -> Document | None:
    data = task.get("data")
    cells = {name.lower(): cell for name, cell in data.items()} if isinstance(data, dict) else {}
    text = _text(cells)
    if text is None:
        raise LongbioError("the task has no text in its data", where=where)
    done: list[Any] = next((task[name] for name in ANNOTATIONS if isinstance(task.get(name), list)), [])
    kept = [each for each in done if isinstance(each, dict) and each.get("was_cancelled") is not True]
    if done and not kept:
        reading.passed_over.note("task that was cancelled", where)
        return None
    kept.sort(key=lambda each: each.get("ground_truth") is not True)
    reading.passed_over.note("annotation of a task that has another", where, len(kept) - 1 if kept else 0)
    if not kept:
        reading.passed_over.note(UNANNOTATED, where)
    results = kept[0].get("result") if kept else []
    results = [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []
    mentions = _mentions(results, text, where, reading)
    related = [each for each in results if each.get("type") == "relation"]
    group = next((cells[name] for name in USUAL["group"] if name in cells), None)
    return Document(
        identifier(task.get("id")) or f"{stem_of(file)}-{number:06}",
        text,
        mentions.spans,
        relations=relations_of(related, mentions, f"{where}.result", reading),
        labels=_labels(results),
        group=None if isinstance(group, list | dict) else name_of(group),
    )


def _text(cells: Mapping[str, Any]) -> str | None:
    """Under one of the usual names, or the only text that there is."""
    named = [cells[name] for name in USUAL["text"] if isinstance(cells.get(name), str)]
    texts = named or [cell for cell in cells.values() if isinstance(cell, str)]
    return texts[0] if named or len(texts) == 1 else None


def _mentions(results: list[dict[str, Any]], text: str, where: str, reading: Reading) -> Mentions:
    items = []
    for each in results:
        kind, value = each.get("type"), each.get("value")
        if kind == "labels" and isinstance(value, dict):
            items.append({"id": each.get("id"), **value})
        elif kind not in ("choices", "relation"):
            reading.passed_over.note(f"result of the type {str(kind)[:40]!r}", where)
    return mentions_of(items, text, f"{where}.result", reading)


def _labels(results: list[dict[str, Any]]) -> tuple[str, ...] | None:
    values = [each.get("value") for each in results if each.get("type") == "choices"]
    chosen = [value.get("choices") for value in values if isinstance(value, dict)]
    names = [name for each in chosen if isinstance(each, list) for name in each if isinstance(name, str)]
    return tuple(dict.fromkeys(names)) if chosen else None
