"""`longbio pretrain`: the phases of a curriculum."""

from __future__ import annotations

from typing import Annotated

import typer

from longbio.cli.output import Device, Json, Verbose, narrated, print_json, tell_device


def pretrain(
    config: Annotated[str, typer.Argument(help="A curriculum, see configs/pretrain.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="a.b=c, phases.0.steps=100; again for more.")
    ] = None,
    device: Device = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Continue masked-LM training through the phases of a curriculum; goes on where it stopped."""
    from longbio.pretraining import run
    from longbio.pretraining.curriculum import Curriculum
    from longbio.settings import load_settings, settings_file

    curriculum = load_settings(Curriculum, settings_file(config, "pretrain"), overrides or [])
    with narrated(as_json=as_json, verbose=verbose, device=device) as tell:
        tell_device(tell)
        results = run.pretrain(curriculum, tell)
    if as_json:
        print_json(results)
