"""`longbio predict`: notes of any length and number in, annotations out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

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


class Format(StrEnum):
    """The format to write."""

    jsonl = "jsonl"
    brat = "brat"
    html = "html"


class OnError(StrEnum):
    """What is done about a note that can't be read or predicted."""

    stop = "stop"
    skip = "skip"


@command
def predict(
    tell: Narrator,
    model: FineTunedModel,
    notes: Annotated[Path, typer.Argument(help="A folder or a file, in any format that is read.")],
    out: Annotated[Path, typer.Option(help="The folder to make, or to go on with.")],
    output: Annotated[Format, typer.Option("--format", help="The format to write.")] = Format.jsonl,
    read_as: Annotated[
        str | None, typer.Option(help="The format of the notes. By default it is found.")
    ] = None,
    encoding: Encoding = "utf-8",
    columns: Annotated[list[str] | None, column_option("text=NOTE")] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Ask these of every note: a file with a question a line, or a table.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Calibrate probabilities on these labelled documents.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="Stop at a broken note, or skip it and list it.")
    ] = OnError.stop,
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
    from longbio.corpus.readers import count_documents, format_of, read_documents
    from longbio.corpus.reading import Reading, named_columns
    from longbio.errors import LongbioError
    from longbio.finetuning.evaluate import examples_for, fine_tuned, model_of
    from longbio.prediction.annotate import Notes, annotate
    from longbio.prediction.outputs import FAILED
    from longbio.prediction.questions import read_questions

    ready = model_of(fine_tuned(model), None, kernel, batch_tokens, dtype=dtype)
    task = ready.task
    tell_model(tell, model, ready)
    if questions is not None and task.kind != "qa":
        raise LongbioError(f"a model of {task.kind} takes no questions", where="--questions")
    reading = Reading(encoding, named_columns(columns or []))
    asked = () if questions is None else read_questions(questions, encoding)
    labelled, of_labelled = [], Reading(encoding, reading.columns)
    if calibrate is not None:
        documents = read_documents(calibrate, reading=of_labelled)
        labelled = examples_for(task, documents, calibrate, format_of(calibrate))
    total = count_documents(notes, read_as or format_of(notes)) if notes.exists() else 0
    advance = tell.begin(f"predict {task.kind}", total)
    result = annotate(
        ready,
        Notes(notes, read_as, reading, asked),
        out,
        output=output.value,
        on_error=on_error.value,
        processes=processes,
        labelled=labelled,
        on_note=lambda done, tokens: advance(done, f"notes, {tokens:,} tokens"),
    )
    tell.result = result
    tell_reading(tell, of_labelled)
    tell_reading(tell, reading)
    before = "finished before: " if result["finished_before"] else ""
    done = f"{result['notes'] - result['failed']:,} of {result['notes']:,} notes"
    (tell.fail if result["failed"] else tell.end)(
        f"{before}{done}, {result['found']:,} {task.finds}; in {out}"
    )
    if result["failed"]:
        raise LongbioError(
            f"{result['failed']:,} of {result['notes']:,} notes failed",
            where=out / FAILED,
            remedy="what could be read is done",
        )
