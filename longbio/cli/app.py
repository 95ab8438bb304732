"""The table of commands."""

from __future__ import annotations

import typer

from longbio.cli import (
    benchmark,
    convert,
    doctor,
    evaluate,
    finetune,
    predict,
    pretrain,
    quickstart,
    synthesize,
    vocab,
)

app = typer.Typer(
    help="Short clinical encoders become 4,096-token Longformer and BigBird models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor.doctor)
app.command("convert")(convert.convert)
app.command("synthesize")(synthesize.synthesize)
app.command("pretrain")(pretrain.pretrain)
app.command("finetune")(finetune.finetune)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("benchmark")(benchmark.benchmark)
app.command("quickstart")(quickstart.quickstart)
app.add_typer(vocab.app, name="vocab")
