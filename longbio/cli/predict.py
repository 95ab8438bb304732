"""`longbio predict`: notes of any length and number in, annotations out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from longbio.cli.output import (
    Dtype,
    Encoding,
    FineTunedModel,
    Narrator,
    column_option,
    command,
    tell_model,
    tell_reading,
)

if TYPE_CHECKING:
    from longbio.corpus.reading import Reading
    from longbio.corpus.records import Document, Question
    from longbio.tasks import AnyTask

Format = Literal["jsonl", "brat", "html"]
OnError = Annotated[
    Literal["stop", "skip"], typer.Option(help="Stop at a broken note, or skip it and list it.")
]


@command
def predict(
    tell: Narrator,
    model: FineTunedModel,
    notes: Annotated[Path, typer.Argument(help="A folder or a file, in any format that is read.")],
    out: Annotated[Path, typer.Option(help="The folder to make, or to go on with.")],
    output: Annotated[Format, typer.Option("--format", help="The format to write.")] = "jsonl",
    read_as: Annotated[
        str | None, typer.Option(help="The format of the notes. By default it is recognised.")
    ] = None,
    encoding: Encoding = "utf-8",
    columns: Annotated[list[str] | None, column_option("text=NOTE")] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Ask these of every note: a file with a question a line, or a table.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Calibrate probabilities on these labelled documents.")
    ] = None,
    on_error: OnError = "stop",
    processes: Annotated[
        int, typer.Option(min=1, help="Predict with this many processes, each with a copy of the model.")
    ] = 1,
    batch_tokens: Annotated[
        int, typer.Option(min=1, help="Read this many tokens in a forward pass, at least one row.")
    ] = 4096,
    kernel: Annotated[str, typer.Option(help="The attention kernel; `longbio doctor` lists them.")] = "auto",
    dtype: Dtype = None,
) -> None:
    """Find entities, answers or classes in notes of any length; killed, it goes on.

    Example: longbio predict runs/ner notes/ --out found --format html
    """
    from longbio.corpus.readers import count_documents, format_of
    from longbio.corpus.reading import Reading, named_columns
    from longbio.finetuning.evaluate import fine_tuned, model_of
    from longbio.prediction.annotate import Notes, annotate

    ready = model_of(fine_tuned(model), None, kernel, batch_tokens, dtype=dtype)
    task = ready.task
    tell_model(tell, model, ready)
    asked = _questions(questions, task, encoding)
    reading = Reading(encoding, named_columns(columns or []))
    of_labelled = Reading(encoding, reading.columns)
    labelled = [] if calibrate is None else _read_labelled(calibrate, of_labelled, task)
    total = count_documents(notes, read_as or format_of(notes)) if notes.exists() else 0
    advance = tell.begin(f"predict {task.kind}", total)
    result = annotate(
        ready,
        Notes(notes, read_as, reading, asked),
        out,
        output=output,
        on_error=on_error,
        processes=processes,
        labelled=labelled,
        on_note=lambda done, tokens: advance(done, f"notes, {tokens:,} tokens"),
    )
    tell.result = result
    tell_reading(tell, of_labelled)
    tell_reading(tell, reading)
    _tell_result(tell, result, task, out)


def _questions(file: Path | None, task: AnyTask, encoding: str) -> tuple[Question, ...]:
    from longbio.errors import LongbioError
    from longbio.prediction.questions import read_questions

    if file is None:
        return ()
    if task.kind != "qa":
        raise LongbioError(f"a model of {task.kind} takes no questions", where="--questions")
    return read_questions(file, encoding)


def _read_labelled(file: Path, reading: Reading, task: AnyTask) -> list[Document]:
    from longbio.corpus.readers import format_of, read_documents
    from longbio.finetuning.evaluate import examples_for

    return examples_for(task, read_documents(file, reading=reading), file, format_of(file))


def _tell_result(tell: Narrator, result: Mapping[str, Any], task: AnyTask, out: Path) -> None:
    from longbio.errors import LongbioError
    from longbio.prediction.outputs import FAILED

    before = "finished before: " if result["finished_before"] else ""
    done = f"{before}{result['notes'] - result['failed']:,} of {result['notes']:,} notes"
    (tell.fail if result["failed"] else tell.end)(f"{done}, {result['found']:,} {task.finds}; in {out}")
    if result["failed"]:
        raise LongbioError(
            f"{result['failed']:,} of {result['notes']:,} notes failed",
            where=out / FAILED,
            remedy="what could be read is done",
        )
