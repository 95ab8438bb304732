"""Whether documents hold what a task is about, asked before anything is tokenised or loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from longbio.corpus.records import Document
from longbio.errors import LongbioError
from longbio.tasks.task import Task

SHOWN, SHOWN_CHARS = 3, 20
"""Names of types or classes in a message, and characters of each."""


def refuse_without_examples(
    task: Task[Any], documents: Sequence[Document], where: str | Path, read_as: str | None = None
) -> None:
    """Refuse to learn from, or to score, documents that hold nothing of what a task is about.

    Args:
        task: with its classes, where they are known: examples are of them.
        documents: none pass.
        where: they came from.
        read_as: their format.

    Raises:
        LongbioError: none of them has an example. Says what was looked for and what was found.
    """
    if not documents or any(task.has_example(document) for document in documents):
        return
    form = f", read as {read_as}," if read_as else ""
    raise LongbioError(
        f"none of the {len(documents):,} documents{form} has {task.looks_for}; they have {_held(documents)}",
        where=where,
        remedy="lay annotations beside the texts, or name the format or columns",
    )


def _held(documents: Sequence[Document]) -> str:
    """What is known about documents, counted, for people."""
    counts = {
        "mentions": sum(len(each.spans) for each in documents),
        "relations": sum(len(each.relations) for each in documents),
        "questions": sum(len(each.questions) for each in documents),
        "answers": sum(len(q.answers) for each in documents for q in each.questions),
        "labels": sum(len(each.labels or ()) for each in documents),
        "scores": sum(each.score is not None for each in documents),
    }
    held = [f"{count:,} {name}" for name, count in counts.items() if count]
    types = {span.label for each in documents for span in each.spans}
    of = f", of the types {named(types)}" if types else ""
    return ", ".join(held) + of if held else "nothing but their texts"


def unlearned(names: Iterable[str], learned: Iterable[str], what: str) -> list[str]:
    """A line for people when names occur that weren't learned.

    Args:
        names: of each thing that there is.
        learned: names.
        what: the things: `mentions of types`.
    """
    counts = Counter(names)
    for name in learned:
        counts.pop(name, None)
    if not counts:
        return []
    return [f"{counts.total():,} {what} that weren't learned, and are missed: {named(counts)}"]


def named(names: Iterable[str]) -> str:
    """The first few of some names, in a line."""
    ordered = sorted(names)
    shown = ", ".join(repr(name[:SHOWN_CHARS]) for name in ordered[:SHOWN])
    more = len(ordered) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown
