"""`longbio quickstart`: the whole path, on synthetic notes or on a corpus of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Json, Verbose, narrated, print_json


def quickstart(
    data: Annotated[Path | None, typer.Option(help="train, test, perhaps dev: any format.")] = None,
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/quickstart"),
    minutes: Annotated[
        float | None, typer.Option(min=1, help="About how long it may take on two cores; 5 by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of notes, masks and training.")] = 0,
    show_text: Annotated[bool, typer.Option(help="Show a document of --data.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Of configs/benchmark/quickstart.yaml, as a.b=c.")
    ] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Convert a real encoder, heal it, teach it entities, and compare it with 512-token chunks."""
    from longbio.benchmark import quickstart as suite

    with narrated(as_json=as_json, verbose=verbose) as tell:
        results = suite.quickstart(
            data=data,
            out=out,
            minutes=minutes,
            seed=seed,
            show_text=show_text,
            overrides=overrides or (),
            tell=tell,
        )
    if as_json:
        print_json(results)
    if results["failed"]:
        raise typer.Exit(1)
