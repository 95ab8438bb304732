"""`longbio evaluate`: how well a fine-tuned model does on documents of which the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Device, Dtype, Json, Verbose, narrated, print_json, tell_model

SHOWN_FAULTS = 10


def evaluate(
    model: Annotated[
        Path, typer.Argument(help="A fine-tuned model's folder, or the folder of a run of `finetune`.")
    ],
    data: Annotated[Path, typer.Argument(help="Documents in any format that is read: a folder or a file.")],
    out: Annotated[Path, typer.Option(help="The folder to make, with predictions and scores.json.")],
    format_name: Annotated[
        str | None, typer.Option("--format", help="The format of the documents. By default it is found.")
    ] = None,
    task_name: Annotated[
        str | None, typer.Option("--task", help="Refuse a model that learned another task than this.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="The encoding of the files.")] = "utf-8",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column", help="Read this column of a table, as labels=DIAGNOSIS. Give it again for more."
        ),
    ] = None,
    one_type: Annotated[
        bool, typer.Option(help="Count all mentions as of one type, as BLURB does for JNLPBA.")
    ] = False,
    max_misaligned: Annotated[
        float, typer.Option(min=0, max=1, help="Stop if a larger share of mentions isn't where it says.")
    ] = 0.01,
    device: Device = None,
    dtype: Dtype = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Score a model on documents, and leave its predictions.

    Example: longbio evaluate runs/ner corpus/test --out scores
    """
    from longbio.corpus.labels import spelled_as
    from longbio.corpus.readers import format_of, read_documents
    from longbio.corpus.reading import Reading, named_columns
    from longbio.finetuning import evaluate as evaluation
    from longbio.finetuning.data import of_one_type
    from longbio.tasks.classification import Classes
    from longbio.tasks.task import refuse_without_examples

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
        tell.end(evaluation.score_line(task, report))
    if as_json:
        print_json(report)
