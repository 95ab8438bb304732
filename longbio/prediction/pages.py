"""A note as a page to read: what was found is marked in its text. No script, and nothing is fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, Template

from longbio.corpus.marks import PICTURES, SURE_FROM, Mark, mention_marks, segments
from longbio.corpus.records import Document
from longbio.tasks import AnyTask
from longbio.tasks.task import Prediction

AROUND_CHARS = 200
"""Of the text on each side of an answer, where it is shown beneath its question."""


def note_page(prediction: Prediction, task: AnyTask, details: Mapping[str, Any]) -> str:
    """The page of a note; `details` is how it was read, and probabilities: `outputs.describe`."""
    document = prediction.document
    labels = _labels(document, task)
    marks = _marks(prediction, task, labels)
    return _template("note.html.jinja").render(
        document=document,
        task=task.kind,
        details=details,
        windows=_windows(details),
        hues=[(200 + 360 * number // max(1, len(labels))) % 360 for number in range(max(1, len(labels)))],
        has_unsure=any(mark.is_unsure for mark in marks),
        sure_from=SURE_FROM,
        legend=_legend(document, labels, task),
        segments=segments(document.text, marks),
        questions=_questions(document, details) if task.kind == "qa" else [],
        relations=_relations(document, details) if task.kind == "relations" else [],
        classes=_classes(document, details) if task.kind == "classification" else [],
    )


def index_page(entries: Sequence[Mapping[str, Any]], *, task: AnyTask, model: str, failures: int) -> str:
    """The list of all notes: `entry_of` each, and the `file` of its page; how many there is no page of.

    `model` is the first digits of its hash.
    """
    return _template("index.html.jinja").render(
        entries=entries, task=task.kind, model=model, failures=failures
    )


def entry_of(prediction: Prediction, task: AnyTask) -> dict[str, Any]:
    """A note's line in the list: id, what was found, tokens, windows."""
    return {
        "id": prediction.document.id,
        "found": _in_words(prediction.document, task),
        "tokens": prediction.details["tokens"],
        "windows": _windows(prediction.details),
    }


def number_found(document: Document, task: AnyTask) -> int:
    """Mentions, answers, labels, relations or scores that a model has given."""
    if task.kind == "qa":
        return sum(bool(question.answers) for question in document.questions)
    if task.kind == "similarity":
        return 1
    return len({"ner": document.spans, "relations": document.relations}.get(task.kind, document.labels or ()))


def _marks(prediction: Prediction, task: AnyTask, labels: Sequence[str]) -> list[Mark]:
    document, details = prediction.document, prediction.details
    if task.kind == "qa":
        return [
            Mark(start, end, 0, f"answer {number}", f"answer-{number}")
            for number, question in enumerate(document.questions, start=1)
            for start, end in question.answers[:1]
        ]
    if task.kind not in ("ner", "relations"):
        return []
    probabilities = details["probabilities"] if task.kind == "ner" else None
    return mention_marks(document.spans, probabilities, labels)


def _labels(document: Document, task: AnyTask) -> list[str]:
    """Those of the model, so that each has the same colour on every page; then others of the note."""
    if task.kind not in ("ner", "relations"):
        return []
    known = list(task.types) if task.kind == "ner" else []
    return known + sorted({span.label for span in document.spans} - {*known})


def _legend(document: Document, labels: Sequence[str], task: AnyTask) -> list[tuple[int, str, int]]:
    """Number, name and count of each label that the page has."""
    counts = Counter(span.label for span in document.spans) if labels else Counter()
    return [(number, label, counts[label]) for number, label in enumerate(labels) if counts[label]]


def _questions(document: Document, details: Mapping[str, Any]) -> list[dict[str, Any]]:
    shown = []
    for question, detail in zip(document.questions, details["questions"], strict=True):
        place = question.answers[0] if question.answers else None
        shown.append(
            {
                "text": question.text,
                "passage": None if place is None else _passage(document.text, *place),
                "probability": detail["best"][0]["probability"] if place else detail["null_probability"],
                "windows": detail["windows"],
            }
        )
    return shown


def _passage(text: str, start: int, end: int) -> tuple[str, str, str]:
    """An answer and the text before and behind it."""
    pieces = text[max(0, start - AROUND_CHARS) : start], text[start:end], text[end : end + AROUND_CHARS]
    before, answer, behind = (piece.translate(PICTURES) for piece in pieces)
    before = f"… {before}" if start > AROUND_CHARS else before
    return before, answer, f"{behind} …" if end + AROUND_CHARS < len(text) else behind


def _relations(document: Document, details: Mapping[str, Any]) -> list[tuple[str, str, str, float]]:
    return [
        (
            relation.label,
            relation.head.text_in(document.text).translate(PICTURES),
            relation.tail.text_in(document.text).translate(PICTURES),
            detail["probability"],
        )
        for relation, detail in zip(document.relations, details["relations"], strict=True)
    ]


def _classes(document: Document, details: Mapping[str, Any]) -> list[tuple[str, float, bool]]:
    """Name, probability and whether it was chosen, the likeliest first."""
    ordered = sorted(details["probabilities"].items(), key=lambda item: -item[1])
    return [(name, probability, name in (document.labels or ())) for name, probability in ordered]


def _in_words(document: Document, task: AnyTask) -> str:
    """What was found in a note, in a few words."""
    if task.kind == "classification":
        return ", ".join(document.labels or ()) or "no label"
    if task.kind == "similarity":
        return f"{document.score or 0.0:.3f}"
    count = number_found(document, task)
    if task.kind == "qa":
        return f"{count} of {len(document.questions)} answered"
    noun = "mention" if task.kind == "ner" else "relation"
    labelled = document.spans if task.kind == "ner" else document.relations
    counts = Counter(mention.label for mention in labelled).most_common()
    by_type = f": {', '.join(f'{label} {number:,}' for label, number in counts)}" if counts else ""
    return f"{count:,} {noun}{'' if count == 1 else 's'}{by_type}"


def _windows(details: Mapping[str, Any]) -> int | None:
    """In how many windows a note was read, of several questions the most; None where each pair of
    mentions was read by itself."""
    if "questions" in details:
        return max((detail["windows"] for detail in details["questions"]), default=0)
    return details.get("windows")


@cache
def _template(name: str) -> Template:
    source = files("longbio.prediction")
    style = source.joinpath("style.css").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals["style"] = style
    return environment.from_string(source.joinpath(name).read_text("utf-8"))
