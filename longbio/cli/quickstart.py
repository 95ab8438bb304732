"""`longbio quickstart`: the whole path, on synthetic notes or on a corpus of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Narrator, command, set_option


@command
def quickstart(
    tell: Narrator,
    data: Annotated[
        Path | None,
        typer.Option(help="A folder with train, test and perhaps dev, in any format with mentions."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to make, or to go on with.")] = Path(
        "runs/quickstart"
    ),
    minutes: Annotated[
        float | None, typer.Option(min=1, help="About how long it may take on two cores; 5 by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of notes, masks and training.")] = 0,
    show_text: Annotated[bool, typer.Option(help="Show a document of --data in the report.")] = False,
    overrides: Annotated[list[str] | None, set_option("seeds='[0, 1]'")] = None,
) -> None:
    """Convert a real encoder, heal it, teach it entities, and compare it with 512-token chunks.

    Example: longbio quickstart --minutes 30
    """
    from longbio.benchmarking import quickstart as suite

    results = suite.quickstart(
        data=data,
        out=out,
        minutes=minutes,
        seed=seed,
        show_text=show_text,
        overrides=overrides or (),
        tell=tell,
    )
    tell.result = results
    if results["failed"]:
        raise typer.Exit(1)
