"""`longbio predict`: notes of any length and number in, annotations out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Device, Dtype, Json, Verbose, narrated, print_json, tell_model


class Format(StrEnum):
    """The format to write."""

    jsonl = "jsonl"
    brat = "brat"
    html = "html"


class OnError(StrEnum):
    """What is done about a note that can't be read or predicted."""

    stop = "stop"
    skip = "skip"


def predict(
    model: Annotated[
        Path, typer.Argument(help="A fine-tuned model's folder, or the folder of a run of `finetune`.")
    ],
    notes: Annotated[Path, typer.Argument(help="A folder or a file, in any format that is read.")],
    out: Annotated[Path, typer.Option(help="The folder to make, or to go on with.")],
    output: Annotated[Format, typer.Option("--format", help="The format to write.")] = Format.jsonl,
    read_as: Annotated[
        str | None, typer.Option(help="The format of the notes. By default it is found.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="The encoding of the files.")] = "utf-8",
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Read this column of a table, as text=NOTE. Give it again for more."),
    ] = None,
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
    device: Device = None,
    dtype: Dtype = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Find entities, answers or classes in notes of any length; killed, it goes on.

    Example: longbio predict runs/ner notes/ --out found --format html
    """
    from longbio.corpus.labels import spelled_as
    from longbio.corpus.readers import count_documents, format_of, read_documents
    from longbio.corpus.reading import Reading, named_columns
    from longbio.errors import LongbioError
    from longbio.finetuning.evaluate import fine_tuned, model_of
    from longbio.prediction.annotate import Notes, annotate
    from longbio.prediction.outputs import FAILED
    from longbio.prediction.questions import read_questions
    from longbio.tasks.classification import Classes
    from longbio.tasks.task import refuse_without_examples

    with narrated(as_json=as_json, verbose=verbose, device=device) as tell:
        ready = model_of(fine_tuned(model), None, kernel, batch_tokens, dtype=dtype)
        task = ready.task
        tell_model(tell, model, ready)
        if questions is not None and task.kind != "qa":
            raise LongbioError(f"a model of {task.kind} takes no questions", where="--questions")
        reading = Reading(encoding, named_columns(columns or []))
        asked = () if questions is None else read_questions(questions, encoding)
        labelled, of_labelled = [], Reading(encoding, reading.columns)
        if calibrate is not None:
            labelled = read_documents(calibrate, reading=of_labelled)
            if isinstance(task, Classes):
                labelled = spelled_as(labelled, task.classes)
            refuse_without_examples(task, labelled, calibrate, format_of(calibrate))
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
        for each in (of_labelled, reading):
            for line in each.passed_over.told():
                tell.console.print(f"passed over: {line}", markup=False)
            for line in each.remarks.told():
                tell.console.print(f"note: {line}", markup=False)
        before = "finished before: " if result["finished_before"] else ""
        done = result["notes"] - result["failed"]
        found = f"{result['found']:,} {task.finds}"
        over = tell.fail if result["failed"] else tell.end
        over(f"{before}{done:,} of {result['notes']:,} notes, {found}; in {out}")
    if as_json:
        print_json(result)
    if result["failed"]:
        raise LongbioError(
            f"{result['failed']:,} of {result['notes']:,} notes failed",
            where=out / FAILED,
            remedy="what could be read is done",
        )
