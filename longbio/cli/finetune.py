"""`longbio finetune`: a task is learned, over a grid and several seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Device, Json, Verbose, narrated, print_json, tell_device


def finetune(
    config: Annotated[str, typer.Argument(help="A plan, see configs/finetune.")],
    data: Annotated[
        Path | None, typer.Option(help="The corpus, or the folder of several, as BLURB's.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="A budget: optimizer steps of each model at most.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="a.b=c, recipe.epochs=3; again for more.")
    ] = None,
    device: Device = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Fine-tune for a task and score it, with a grid and several seeds; goes on where it stopped."""
    from longbio.finetuning import run
    from longbio.finetuning.settings import Finetuning
    from longbio.settings import load_settings, settings_file

    given = [] if data is None else [f"data.path={json.dumps(str(data))}"]
    if max_steps is not None:
        given.append(f"recipe.max_steps={max_steps}")
    plan = load_settings(Finetuning, settings_file(config, "finetune"), [*given, *(overrides or [])])
    with narrated(as_json=as_json, verbose=verbose, device=device) as tell:
        tell_device(tell)
        results = run.finetune(plan, tell)
    if as_json:
        print_json(results)
