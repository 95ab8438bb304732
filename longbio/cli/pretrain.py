"""`longbio pretrain`: the phases of a curriculum."""

from __future__ import annotations

from typing import Annotated

import typer

from longbio.cli.output import Device, Json, Model, Out, Verbose, given, narrated, print_json, tell_device


def pretrain(
    config: Annotated[
        str, typer.Argument(help="A curriculum: a file, or a name that `longbio configs` lists.")
    ],
    model: Model = None,
    out: Out = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, as phases.0.steps=100. Give it again for more."),
    ] = None,
    device: Device = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Continue masked-LM training through the phases of a curriculum; goes on where it stopped.

    Example: longbio pretrain heal --model clinical-long --out runs/heal --set corpora.open.paths='[notes/]'
    """
    from longbio.pretraining import run
    from longbio.pretraining.curriculum import Curriculum
    from longbio.settings import load_settings, settings_file

    curriculum = load_settings(
        Curriculum, settings_file(config, "pretrain"), [*given(model=model, out=out), *(overrides or [])]
    )
    with narrated(as_json=as_json, verbose=verbose, device=device) as tell:
        tell_device(tell)
        results = run.pretrain(curriculum, tell)
    if as_json:
        print_json(results)
