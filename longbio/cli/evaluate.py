"""`longbio evaluate`: how well a fine-tuned model does on documents of which the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Device, Dtype, Json, Verbose, narrated, print_json, tell_model

SHOWN_FAULTS = 10


def evaluate(
    model: Annotated[Path, typer.Argument(help="A folder with a fine-tuned model.")],
    data: Annotated[Path, typer.Argument(help="Documents in any format that is read: a folder or a file.")],
    out: Annotated[Path, typer.Option(help="The folder to make: predictions and scores.json.")],
    format_name: Annotated[str | None, typer.Option("--format", help="Found by itself.")] = None,
    task_name: Annotated[
        str | None, typer.Option("--task", help="What the model shall have learned; found by itself.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of the files.")] = "utf-8",
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="labels=DIAGNOSIS: a table's; again for more.")
    ] = None,
    one_type: Annotated[
        bool, typer.Option(help="All mentions are of one type, as BLURB counts JNLPBA's.")
    ] = False,
    max_misaligned: Annotated[
        float, typer.Option(min=0, max=1, help="Share of mentions that may not be where they say.")
    ] = 0.01,
    device: Device = None,
    dtype: Dtype = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Score a model on documents, and leave its predictions."""
    from longbio.corpus.labels import spelled_as
    from longbio.corpus.readers import format_of, read_documents
    from longbio.corpus.reading import Reading, named_columns
    from longbio.finetuning import evaluate as evaluation
    from longbio.finetuning.data import of_one_type
    from longbio.tasks.classification import Classes
    from longbio.tasks.examples import refuse_without_examples

    with narrated(as_json=as_json, verbose=verbose, device=device) as tell:
        folder = evaluation.fine_tuned(model)
        task = evaluation.task_for(folder, task_name)
        ready = evaluation.model_of(folder, task, dtype=dtype)
        tell_model(tell, model, ready)
        reading = Reading(encoding, named_columns(columns or []))
        found = format_name or format_of(data)
        documents = read_documents(data, found, reading=reading, max_misaligned=max_misaligned)
        for fault, where in reading.alignment.faults[:SHOWN_FAULTS]:
            tell.console.print(f"left out: {where}: {fault}", markup=False)
        more = len(reading.alignment.faults) - SHOWN_FAULTS
        if more > 0:
            tell.console.print(f"left out: {more:,} more mentions")
        for line in reading.passed_over.told():
            tell.console.print(f"passed over: {line}", markup=False)
        for line in reading.remarks.told():
            tell.console.print(f"note: {line}", markup=False)
        if one_type:
            documents = of_one_type(documents)
        if isinstance(task, Classes):
            documents = spelled_as(documents, task.classes)
        refuse_without_examples(task, documents, data, found)
        for line in task.warnings(documents):
            tell.console.print(line, markup=False)
        advance = tell.begin(f"read {len(documents)} documents", len(documents))
        report = evaluation.evaluate(
            ready,
            documents,
            out,
            format_name=found,
            reading=reading,
            on_document=lambda done: advance(done, ""),
        )
        tell.end(evaluation.spoken(task, report))
    if as_json:
        print_json(report)
