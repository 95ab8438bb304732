"""`annotate`: notes in, what a model says of them out; killed, it goes on where it was."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from longbio.artifacts.checkpoints import checkpoint_digest
from longbio.artifacts.runs import Run
from longbio.corpus.file_text import refuse_unknown_encoding
from longbio.corpus.files import refuse_missing
from longbio.corpus.readers import READERS, format_of, stream_documents
from longbio.corpus.reading import MAX_MISALIGNED, Reading
from longbio.corpus.records import Document, Question
from longbio.errors import LongbioError
from longbio.prediction.calibration import calibrate
from longbio.prediction.journal import Journal
from longbio.prediction.lots import Failure, Item, Lot, digest_of, items_done, lots_of
from longbio.prediction.outputs import FAILED, OUTPUTS, Output, json_lines
from longbio.prediction.pages import number_found
from longbio.prediction.predictor import Model, Outcome, outcomes_of
from longbio.tasks import AnyTask

MODEL_DIGITS = 16


@dataclass(frozen=True)
class Notes:
    """What is read.

    Args:
        path: a file or a folder.
        format_name: one of `corpus.readers.READERS`; found out when None.
        reading: encoding and columns; counts what was left out and passed over.
        questions: that are asked of every note, besides its own.
    """

    path: Path
    format_name: str | None = None
    reading: Reading = field(default_factory=Reading)
    questions: tuple[Question, ...] = ()


def annotate(
    model: Model,
    notes: Notes,
    out: Path,
    *,
    output: str = "jsonl",
    on_error: Literal["stop", "skip"] = "stop",
    processes: int = 1,
    labelled: Sequence[Document] = (),
    on_note: Callable[[int, int], None] = lambda notes, tokens: None,
) -> dict[str, Any]:
    """Write a model's predictions for notes into a private folder.

    Args:
        model: fine-tuned.
        notes: what to read; a lot of them is in memory at once.
        out: the folder. If the same plan began it, work goes on after the notes that are done.
        output: one of `outputs.OUTPUTS`.
        on_error: at a note that can't be read or predicted, `stop`, or list it in `failed.jsonl`.
        processes: that predict.
        labelled: documents on which probabilities are calibrated; none to leave them as they are.
        on_note: told how many notes are done, and how many tokens they have.

    Returns:
        `notes` that were done (`failed` among them), `found` (mentions, answers, labels), `tokens`, `model`
        (its hash), `temperature`, whether all was `finished_before`, and `data`: what of the notes was left
        out and passed over, with the place of the first.

    Raises:
        LongbioError: `out` holds something else or was begun by another plan, notes that were done have
            changed, or, unless they are skipped, a note is broken.
    """
    _refuse_unreadable(notes)
    plan = _plan(model, notes, output, labelled)
    with Run.open(out, plan, private=True):
        if labelled:
            model = calibrate(model, labelled, out)
        writer = OUTPUTS[output](out, model.task, plan["model"][:MODEL_DIGITS])
        journal = Journal(out, (*writer.streams, FAILED))
        before, was_finished = journal.notes, journal.is_finished
        items = _items(notes, plan["read_as"], model.task, stop=on_error == "stop")
        for item in items_done(items, journal.notes, journal.digest):
            if isinstance(item, Document):
                writer.pass_over(item)
        on_note(journal.notes, journal.counts["tokens"])
        for lot, outcomes in outcomes_of(model, lots_of(items, journal.digest), processes):
            _commit(journal, writer, lot, outcomes, model.task, stop=on_error == "stop")
            on_note(journal.notes, journal.counts["tokens"])
        finished_before = was_finished and journal.notes == before
        if not finished_before:
            writer.finish()
            journal.finish(notes.reading.counts())
    return {
        "notes": journal.notes,
        **{name: journal.counts[name] for name in ("failed", "found", "tokens")},
        "model": plan["model"],
        "temperature": getattr(model.task, "temperature", None),
        "finished_before": finished_before,
        "data": notes.reading.counts(),
    }


def _refuse_unreadable(notes: Notes) -> None:
    """What is wrong before any note is read."""
    refuse_missing(notes.path)
    if notes.format_name not in (None, *READERS):
        raise LongbioError(
            f"there is no format {notes.format_name!r}",
            where="--read-as",
            remedy=f"choose from {', '.join(READERS)}",
        )
    refuse_unknown_encoding(notes.reading.encoding)


def _plan(model: Model, notes: Notes, output: str, labelled: Sequence[Document]) -> dict[str, Any]:
    """All that decides what is written, but for the notes, which may grow."""
    return {
        "model": checkpoint_digest(model.folder),
        "task": json.loads(json.dumps(asdict(model.task))),
        "max_tokens": model.max_tokens,
        "kernel": model.kernel,
        "batch_tokens": model.batch_tokens,
        "dtype": model.dtype,
        "format": output,
        "read_as": notes.format_name or format_of(notes.path),
        "encoding": notes.reading.encoding,
        "columns": dict(notes.reading.columns),
        "questions": digest_of(notes.questions) if notes.questions else None,
        "calibrated_on": digest_of(labelled) if labelled else None,
    }


def _items(notes: Notes, format_name: str, task: AnyTask, *, stop: bool) -> Iterator[Item]:
    """Notes in their order; unless we `stop`, also the failures of those that can't be read."""
    failed: list[Failure] = []
    reading = notes.reading
    if not stop:
        reading = replace(reading, failed=lambda error: failed.append(Failure.of(error)))
    # Relations are between mentions that notes bring: these must be where they say.
    allowed = MAX_MISALIGNED if task.kind == "relations" else 1.0
    for document in stream_documents(notes.path, format_name, reading=reading, max_misaligned=allowed):
        yield from failed
        failed.clear()
        asked = tuple(replace(question, id=f"{document.id}/{question.id}") for question in notes.questions)
        yield replace(document, questions=document.questions + asked)
    yield from failed


def _commit(
    journal: Journal, writer: Output, lot: Lot, outcomes: Sequence[Outcome], task: AnyTask, *, stop: bool
) -> None:
    """Write what is known of a lot, then that it is done."""
    rest = iter(outcomes)
    results = [item if isinstance(item, Failure) else next(rest) for item in lot.items]
    if stop and (failure := next((result for result in results if isinstance(result, Failure)), None)):
        raise failure.error()
    appended: defaultdict[str, bytes] = defaultdict(bytes)
    counts = Counter(failed=0, found=0, tokens=0)
    for item, result in zip(lot.items, results, strict=True):
        if isinstance(result, Failure):
            counts["failed"] += 1
            appended[FAILED] += json_lines([asdict(result)])
            if isinstance(item, Document):
                writer.pass_over(item)
            continue
        counts["found"] += number_found(result.document, task)
        counts["tokens"] += result.details["tokens"]
        for name, content in writer.write(result).items():
            appended[name] += content
    journal.commit(len(lot.items), lot.digest, appended, counts)
