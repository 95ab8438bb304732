"""`longbio evaluate`: how well a fine-tuned model does on documents with known entities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Json, Verbose, narrated, print_json


def evaluate(
    model: Annotated[Path, typer.Argument(help="A folder with a fine-tuned model.")],
    data: Annotated[Path, typer.Argument(help="Documents in BRAT, PubTator or IOB: a folder or a file.")],
    out: Annotated[Path, typer.Option(help="The folder to make: predictions and scores.json.")],
    format_name: Annotated[str | None, typer.Option("--format", help="Found by itself.")] = None,
    max_misaligned: Annotated[
        float, typer.Option(min=0, max=1, help="Share of mentions that may not be where they say.")
    ] = 0.01,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Score entities: exact characters, exact types, with the spread over documents."""
    from longbio.corpus.readers import read_documents
    from longbio.corpus.reading import Reading
    from longbio.finetuning.evaluate import evaluate_entities

    with narrated(as_json=as_json, verbose=verbose) as tell:
        reading = Reading()
        documents = read_documents(data, format_name, reading=reading, max_misaligned=max_misaligned)
        for fault, where in reading.alignment.faults:
            tell.console.print(f"left out: {where}: {fault}", markup=False)
        advance = tell.begin(f"read {len(documents)} documents", len(documents))
        report = evaluate_entities(model, documents, out, on_document=lambda done: advance(done, ""))
        low, high = report["micro_f1_interval"]
        tell.end(f"micro F1 {report['micro']['f1']:.3f} ({low:.3f} to {high:.3f} over documents)")
    if as_json:
        print_json(report)
