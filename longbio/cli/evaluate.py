"""`longbio evaluate`: how well a fine-tuned model does on annotated documents."""

from __future__ import annotations

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

SHOWN_FAULTS = 10


@command
def evaluate(
    tell: Narrator,
    model: FineTunedModel,
    data: Annotated[Path, typer.Argument(help="Documents in any format that is read: a folder or a file.")],
    out: Annotated[Path, typer.Option(help="The folder to make, with predictions and scores.json.")],
    format_name: Annotated[
        str | None, typer.Option("--format", help="The format of the documents. By default it is recognised.")
    ] = None,
    task_name: Annotated[
        str | None, typer.Option("--task", help="Refuse a model that learned another task than this.")
    ] = None,
    encoding: Encoding = "utf-8",
    columns: Annotated[list[str] | None, column_option("labels=DIAGNOSIS")] = None,
    one_type: Annotated[
        bool, typer.Option(help="Count all mentions as of one type, as BLURB does for JNLPBA.")
    ] = False,
    max_misaligned: Annotated[
        float, typer.Option(min=0, max=1, help="Stop if a larger share of mentions isn't where it says.")
    ] = 0.01,
    dtype: Dtype = None,
) -> None:
    """Score a model on documents, and leave its predictions.

    Example: longbio evaluate runs/ner corpus/test --out scores
    """
    from longbio.corpus.readers import format_of, read_documents
    from longbio.corpus.reading import Reading, named_columns
    from longbio.finetuning import evaluate as evaluation
    from longbio.finetuning.data import of_one_type

    folder = evaluation.fine_tuned(model)
    task = evaluation.task_for(folder, task_name)
    ready = evaluation.model_of(folder, task, dtype=dtype)
    tell_model(tell, model, ready)
    reading = Reading(encoding, named_columns(columns or []))
    format_name = format_name or format_of(data)
    documents = read_documents(data, format_name, reading=reading, max_misaligned=max_misaligned)
    for fault, where in reading.alignment.faults[:SHOWN_FAULTS]:
        tell.say(f"left out: {where}: {fault}")
    more = len(reading.alignment.faults) - SHOWN_FAULTS
    if more > 0:
        tell.say(f"left out: {more:,} more mentions")
    tell_reading(tell, reading)
    if one_type:
        documents = of_one_type(documents)
    documents = evaluation.examples_for(task, documents, data, format_name)
    for line in task.warnings(documents):
        tell.say(line)
    advance = tell.begin(f"read {len(documents)} documents", len(documents))
    tell.result = evaluation.evaluate(
        ready,
        documents,
        out,
        format_name=format_name,
        reading=reading,
        on_document=lambda done: advance(done, ""),
    )
    tell.end(evaluation.score_line(task, tell.result))
