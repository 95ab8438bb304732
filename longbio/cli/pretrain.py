"""`longbio pretrain`: the phases of a curriculum."""

from __future__ import annotations

from typing import Annotated

import typer

from longbio.cli.output import Model, Narrator, Out, as_settings, command, set_option, tell_device


@command
def pretrain(
    tell: Narrator,
    config: Annotated[
        str, typer.Argument(help="A curriculum: a file, or a name that `longbio configs` lists.")
    ],
    model: Model = None,
    out: Out = None,
    overrides: Annotated[list[str] | None, set_option("phases.0.steps=100")] = None,
) -> None:
    """Continue masked-LM training through the phases of a curriculum; goes on where it stopped.

    Example: longbio pretrain heal --model clinical-long --out runs/heal --set corpora.open.paths='[notes/]'
    """
    from longbio.pretraining import run
    from longbio.pretraining.curriculum import Curriculum
    from longbio.settings import load_settings, settings_file

    options = [*as_settings(model=model, out=out), *(overrides or [])]
    curriculum = load_settings(Curriculum, settings_file(config, "pretrain"), options)
    tell_device(tell)
    tell.result = run.pretrain(curriculum, tell)
