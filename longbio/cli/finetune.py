"""`longbio finetune`: a task is learned, over a grid and several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Model, Narrator, Out, as_settings, command, set_option, tell_device


@command
def finetune(
    tell: Narrator,
    config: Annotated[str, typer.Argument(help="A plan: a file, or a name that `longbio configs` lists.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The corpus: a folder with train, test and perhaps dev, or undivided with data.test_share."
        ),
    ] = None,
    model: Model = None,
    out: Out = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learn at this rate alone, without a grid of rates.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Stop each model after this many optimizer steps.")
    ] = None,
    overrides: Annotated[list[str] | None, set_option("recipe.epochs=3")] = None,
) -> None:
    """Fine-tune for a task and score it, with a grid and several seeds; goes on where it stopped.

    Example: longbio finetune entities --model clinical-long --data my-corpus --out runs/ner
    """
    from longbio.finetuning import run
    from longbio.finetuning.settings import Finetuning
    from longbio.settings import load_settings, settings_file

    options = as_settings(
        model=model,
        out=out,
        data__path=data,
        recipe__learning_rate=learning_rate,
        grid__learning_rates=None if learning_rate is None else [],
        recipe__max_steps=max_steps,
    )
    plan = load_settings(Finetuning, settings_file(config, "finetune"), [*options, *(overrides or [])])
    tell_device(tell)
    tell.result = run.finetune(plan, tell)
