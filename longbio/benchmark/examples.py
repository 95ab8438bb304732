"""A note of each task, with what is true of it and what every arm found; where its text may be shown."""

from __future__ import annotations

from collections.abc import Sequence

from longbio.benchmark.cells import Cell
from longbio.benchmark.settings import Benchmark
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document
from longbio.finetuning.data import read_data

Example = tuple[str, Document, dict[str, Document]]
"""A task's name, a document as it is, and by arm as it was read."""


def examples_of(suite: Benchmark, cells: Sequence[Cell], *, show_text: bool) -> list[Example]:
    """The shortest test document with a mention of each task of mentions, read by the first seed of each arm.

    Args:
        suite: the benchmark; tasks that allow it are shown.
        cells: those that are finished.
        show_text: show documents of the others too.

    Raises:
        LongbioError: the documents can't be read any more.
    """
    found = []
    for task in suite.tasks:
        of_task = [cell for cell in cells if cell.task.name == task.name and cell.plan.task.kind == "ner"]
        if of_task and (task.show_text or show_text):
            documents = [each for each in read_data(of_task[0].plan.data).test if each.spans]
            if documents:
                shown = min(documents, key=lambda each: len(each.text))
                found.append((task.name, shown, _as_read(shown.id, of_task)))
    return found


def _as_read(name: str, cells: Sequence[Cell]) -> dict[str, Document]:
    """One document by arm."""
    read = {}
    for cell in cells:
        seed = cell.plan.seeds[0]
        for document in read_documents(cell.plan.out / f"seed-{seed}" / "test"):
            if document.id == name:
                read[cell.arm.name] = document
    return read
