"""`longbio predict`: a folder of notes in, annotations out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Verbose, narrated


def predict(
    model: Annotated[Path, typer.Argument(help="A folder with a fine-tuned model.")],
    notes: Annotated[Path, typer.Argument(help="A folder of .txt files, or one.")],
    out: Annotated[Path, typer.Option(help="The folder to make, in BRAT.")],
    format_name: Annotated[str | None, typer.Option("--format", help="Found by itself.")] = None,
    encoding: Annotated[str, typer.Option(help="Of the files.")] = "utf-8",
    kernel: Annotated[str, typer.Option(help="The attention kernel.")] = "auto",
    verbose: Verbose = False,
) -> None:
    """Find entities in notes of any length."""
    from longbio.artifacts.folders import staged_folder
    from longbio.corpus.readers import read_documents
    from longbio.corpus.reading import Reading
    from longbio.corpus.writers import brat
    from longbio.encoders.loading import load, load_tokenizer
    from longbio.encoders.rows import InputFormat
    from longbio.finetuning.evaluate import task_for
    from longbio.prediction.run import predict as predict_documents
    from longbio.training.processes import processes

    with narrated(as_json=False, verbose=verbose) as tell, staged_folder(out) as partial:
        documents = read_documents(notes, format_name, reading=Reading(encoding))
        advance = tell.begin(f"read {len(documents)} notes", len(documents))
        task = task_for(model, "ner")
        loaded = load(model, task.head, kernel).to(processes().device)
        inputs = InputFormat.of(loaded.config, load_tokenizer(model))
        found = [
            prediction.document
            for prediction in predict_documents(
                loaded, inputs, task, documents, on_document=lambda done: advance(done, "")
            )
        ]
        brat.write(found, partial)
        tell.end(f"{sum(len(document.spans) for document in found)} mentions in {out}")
