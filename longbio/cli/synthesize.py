"""`longbio synthesize`: clinical notes about invented people, to try things with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from longbio.cli.output import Force


def synthesize(
    out: Annotated[Path, typer.Argument(help="The folder to make: train/, dev/ and test/ in BRAT.")],
    notes: Annotated[
        int, typer.Option(help="Write this many training notes; dev and test get a fifth each.")
    ] = 50,
    seed: Annotated[int, typer.Option(help="Another seed gives other notes.")] = 0,
    force: Force = False,
) -> None:
    """Write long synthetic discharge summaries with their entities.

    Example: longbio synthesize notes --notes 100
    """
    from longbio.artifacts.runs import make_once
    from longbio.corpus import synthetic
    from longbio.corpus.writers import brat

    fifth = max(1, notes // 5)
    splits = {"train": notes, "dev": fifth, "test": fifth}

    def make(folder: Path) -> dict[str, Any]:
        for split, count in splits.items():
            brat.write(synthetic.synthesize(count, split=split, seed=seed), folder / split)
        return {"notes": splits}

    make_once(out, "synthetic.json", {"notes": notes, "seed": seed}, make, force=force)
    typer.echo(f"{notes + 2 * fifth} notes in {out}")
