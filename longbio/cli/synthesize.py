"""`longbio synthesize`: clinical notes about nobody, to pilot with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synthesize(
    out: Annotated[Path, typer.Argument(help="The folder to make: train/, dev/ and test/ in BRAT.")],
    notes: Annotated[int, typer.Option(help="Training notes; dev and test get a fifth each.")] = 50,
    seed: Annotated[int, typer.Option(help="Another seed gives other notes.")] = 0,
) -> None:
    """Write long synthetic discharge summaries with their entities."""
    from longbio.artifacts.folders import staged_folder
    from longbio.artifacts.locks import alone
    from longbio.corpus import synthetic
    from longbio.corpus.writers import brat

    fifth = max(1, notes // 5)
    with alone(out), staged_folder(out) as partial:
        for split, count in (("train", notes), ("dev", fifth), ("test", fifth)):
            brat.write(synthetic.synthesize(count, split=split, seed=seed), partial / split)
    typer.echo(f"{notes + 2 * fifth} notes in {out}")
