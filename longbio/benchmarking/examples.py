"""A document of each task, with what is true of it and what every arm found; where its text may be shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longbio.benchmarking.cells import Cell
from longbio.benchmarking.report import Example
from longbio.benchmarking.settings import Benchmark
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Question
from longbio.corpus.writers.jsonl import FILE as OWN
from longbio.finetuning.data import read_data
from longbio.finetuning.learn import task_of
from longbio.tasks.qa import Answers


def examples_of(suite: Benchmark, cells: Sequence[Cell], *, show_text: bool) -> list[Example]:
    """The shortest test document of each task in which there is something to find, as the first seed of each
    arm read it.

    Args:
        suite: the benchmark; tasks that allow it are shown.
        cells: those that are finished.
        show_text: show documents of the others too.

    Raises:
        LongbioError: the documents can't be read any more.
    """
    found: list[Example] = []
    for task in suite.tasks:
        of_task = [cell for cell in cells if cell.task.name == task.name]
        if of_task and (task.show_text or show_text):
            documents = [each for each in read_data(of_task[0].plan.data).test if _has_something(each)]
            if documents:
                shown = min(documents, key=lambda each: len(each.text))
                read = ((cell.arm.name, _as_read(shown, cell)) for cell in of_task)
                found.append((task.name, shown, {arm: each for arm, each in read if each is not None}))
    return found


def _has_something(document: Document) -> bool:
    return bool(document.spans or document.questions or document.labels or document.score is not None)


def _as_read(document: Document, cell: Cell) -> Document | None:
    """The document with what an arm found."""
    home = cell.plan.out / f"seed-{cell.plan.seeds[0]}"
    if cell.plan.task.kind == "qa":
        return _answered(document, home)
    own = home / "test" / OWN
    read = read_documents(own if own.is_file() else home / "test")
    return next((each for each in read if each.id == document.id), None)


def _answered(document: Document, home: Path) -> Document | None:
    """SQuAD's predictions have no places, so the details are read."""
    task = task_of(home / "model")
    assert isinstance(task, Answers)
    for line in (home / "test" / "details.jsonl").read_text().splitlines():
        details: dict[str, Any] = json.loads(line)
        if details["id"] == document.id:
            pairs = zip(document.questions, details["questions"], strict=True)
            return replace(document, questions=tuple(_given(task, each, detail) for each, detail in pairs))
    return None


def _given(task: Answers, question: Question, detail: dict[str, Any]) -> Question:
    place = task.chosen(detail)
    return replace(question, answers=() if place is None else (place,))
