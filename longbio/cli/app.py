"""The table of commands."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import longbio
from longbio.cli import (
    benchmark,
    configs,
    convert,
    doctor,
    evaluate,
    finetune,
    predict,
    pretrain,
    quickstart,
    split,
    synthesize,
    vocab,
)


class Commands(TyperGroup):
    """Lets a Ctrl-C through to `cli.main`: typer would end the process without a word."""

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run a command."""
        self.was_interrupted = False
        try:
            return super().main(*arguments, **named)
        except SystemExit:
            if self.was_interrupted:
                raise KeyboardInterrupt from None
            raise

    def invoke(self, ctx: Any) -> Any:
        """See `main`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            self.was_interrupted = True
            raise


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"longbio {longbio.__version__}")
        raise typer.Exit


@app.callback(epilog="Example: longbio quickstart")
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Short clinical encoders become 4,096-token Longformer and BigBird models."""


for work in (
    doctor.doctor,
    convert.convert,
    synthesize.synthesize,
    split.split,
    pretrain.pretrain,
    finetune.finetune,
    predict.predict,
    evaluate.evaluate,
    benchmark.benchmark,
    quickstart.quickstart,
):
    app.command(work.__name__)(work)
app.add_typer(vocab.app, name="vocab")
app.add_typer(configs.app, name="configs")
