"""`longbio pretrain`: the phases of a curriculum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Json, Verbose, narrated, print_json


def pretrain(
    config: Annotated[Path, typer.Argument(help="A curriculum, see configs/pretrain.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="a.b=c, phases.0.steps=100; again for more.")
    ] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Continue masked-LM training through the phases of a curriculum; goes on where it stopped."""
    from longbio.pretraining import run
    from longbio.pretraining.curriculum import Curriculum
    from longbio.settings import load_settings

    curriculum = load_settings(Curriculum, config, overrides or [])
    with narrated(as_json=as_json, verbose=verbose) as tell:
        results = run.pretrain(curriculum, tell)
    if as_json:
        print_json(results)
