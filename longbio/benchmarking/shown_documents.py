"""A document of each task, with what is true of it and what every arm found; where its text may be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup, escape

from longbio.benchmarking.cells import Cell
from longbio.benchmarking.report_tables import Table
from longbio.benchmarking.settings import Benchmark
from longbio.corpus.marks import COLOURS, Mark, segments
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.writers.jsonl import FILE as PREDICTIONS
from longbio.finetuning.data import read_data
from longbio.finetuning.learn import task_of
from longbio.tasks.qa import Answers

SHOWN_CHARS = 2000

Example = tuple[str, Document, Mapping[str, Document]]
"""A task's name, a document with what is true of it, and the same as each arm reads it."""


def examples_of(suite: Benchmark, cells: Sequence[Cell], *, show_text: bool) -> list[Example]:
    """The shortest test document of each task in which there is something to find, as the first seed of each
    finished cell read it; of tasks that allow it, or of all with `show_text`.

    Raises:
        LongbioError: the documents can't be read any more.
    """
    examples: list[Example] = []
    for task in suite.tasks:
        of_task = [cell for cell in cells if cell.task.name == task.name]
        if of_task and (task.show_text or show_text):
            documents = [note for note in read_data(of_task[0].plan.data).test if _has_something(note)]
            if documents:
                shown = min(documents, key=lambda note: len(note.text))
                read = ((cell.arm.name, _as_read(shown, cell)) for cell in of_task)
                examples.append((task.name, shown, {arm: note for arm, note in read if note is not None}))
    return examples


def _has_something(document: Document) -> bool:
    return bool(document.spans or document.questions or document.labels or document.score is not None)


def _as_read(document: Document, cell: Cell) -> Document | None:
    """The document with what an arm found."""
    seed = cell.plan.out / f"seed-{cell.plan.seeds[0]}"
    if cell.plan.task.kind != "qa":
        file = seed / "test" / PREDICTIONS
        read = read_documents(file if file.is_file() else seed / "test")
        return next((other for other in read if other.id == document.id), None)
    # SQuAD's predictions have no places, so the details are read.
    task = task_of(seed / "model")
    assert isinstance(task, Answers)
    for line in (seed / "test" / "details.jsonl").read_text().splitlines():
        details: dict[str, Any] = json.loads(line)
        if details["id"] == document.id:
            chosen = [task.chosen(detail) for detail in details["questions"]]
            pairs = zip(document.questions, chosen, strict=True)
            answered = (replace(asked, answers=() if place is None else (place,)) for asked, place in pairs)
            return replace(document, questions=tuple(answered))
    return None


def render_example(task: str, gold: Document, predicted: Mapping[str, Document]) -> dict[str, Any]:
    """One example for the page: marked texts side by side where there are mentions, else a table."""
    columns = {"true": gold, **predicted}
    if gold.spans or any(document.spans for document in predicted.values()):
        types = sorted({span.label for document in columns.values() for span in document.spans})
        panels = [
            (name, mark_mentions(gold, document, types, SHOWN_CHARS)) for name, document in columns.items()
        ]
        return {"task": task, "id": gold.id, "panels": panels, "is_cut": len(gold.text) > SHOWN_CHARS}
    rows = tuple(
        (question.text, *(_answers(document, question.id) for document in columns.values()))
        for question in gold.questions
    ) or ((gold.query or "the whole text", *(_judgement(document) for document in columns.values())),)
    header = ("question" if gold.questions or gold.query else "read", *columns)
    table = Table(f"{task}: {gold.id}", header, rows, frozenset(range(len(header))))
    return {"task": task, "id": gold.id, "table": table}


def _answers(document: Document, question_id: str) -> str:
    """The answers to a question, in the document's own words."""
    places = next((question.answers for question in document.questions if question.id == question_id), ())
    return " · ".join(dict.fromkeys(document.text[start:end] for start, end in places)) or "no answer"


def _judgement(document: Document) -> str:
    if document.score is not None:
        return f"{document.score:.2f}"
    return ", ".join(document.labels or ()) or "none"


def mark_mentions(gold: Document, predicted: Document, types: Sequence[str], shown_chars: int) -> Markup:
    """The first `shown_chars` of a text with its mentions in `<mark class="KIND tTYPE">`: each of either side
    is a `hit`, `wrong` or `missed`; where they overlap, the colour is the shortest's, chosen by the place of
    its type. Mentions that the cut goes through are not marked."""
    verdicts: dict[Span, str] = dict.fromkeys(gold.spans, "missed")
    verdicts |= {span: "hit" if span in verdicts else "wrong" for span in predicted.spans}
    spans = [span for span in sorted(verdicts) if span.end_char <= shown_chars]
    kinds = list(dict.fromkeys((verdicts[span], span.label) for span in spans))
    marks = [
        Mark(
            start, end, kinds.index((verdicts[span], span.label)), span.label if end == span.end_char else ""
        )
        for span in spans
        for start, end in span.fragments
    ]
    pieces = []
    for segment in segments(gold.text[:shown_chars], marks):
        piece = escape(segment.text)
        if segment.kind is not None:
            verdict, label = kinds[segment.kind]
            ended = Markup("").join(Markup("<sup>{}</sup>").format(words) for words in segment.ended)
            number = types.index(label) % len(COLOURS)
            piece = Markup('<mark class="{} t{}" title="{}: {}">{}{}</mark>').format(
                verdict, number, verdict, label, piece, ended
            )
        pieces.append(piece)
    return Markup("").join(pieces)
