"""`longbio configs`: the configurations that come with longbio."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.callback(invoke_without_command=True)
def configs(context: typer.Context) -> None:
    """List the configurations that come with longbio, and what each is for.

    Each is named where a command wants a CONFIG.

    Example: longbio finetune craft --data craft
    """
    if context.invoked_subcommand is not None:
        return
    from longbio.settings import presets

    for preset, sentence in presets().items():
        typer.echo(f"{preset:<40} {sentence}")


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="A name of the list: craft, or finetune/craft.")]) -> None:
    """Print a configuration, to be saved and changed.

    Example: longbio configs show craft > mine.yaml
    """
    from longbio.settings import preset_file

    typer.echo(preset_file(name).read_text("utf-8"), nl=False)
