"""`longbio convert`: a short encoder becomes a long one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from longbio.cli.output import Force, Narrator, command


@command
def convert(
    tell: Narrator,
    source: Annotated[str, typer.Argument(help="A model folder, or a Hugging Face hub name.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    to: Annotated[str, typer.Option(help="The long family: longformer or bigbird.")] = "longformer",
    max_tokens: Annotated[int, typer.Option(help="How many tokens the long model reads.")] = 4096,
    window: Annotated[
        int, typer.Option(help="Longformer: the whole attention window, half of it to each side.")
    ] = 512,
    block: Annotated[int, typer.Option(help="BigBird: how many tokens a block has.")] = 64,
    random_blocks: Annotated[int, typer.Option(help="BigBird: how many random blocks each block sees.")] = 3,
    positions: Annotated[str, typer.Option(help="How new positions begin: tile or interpolate.")] = "tile",
    verify: Annotated[bool, typer.Option(help="Prove that the result equals its source.")] = True,
    lowercase: Annotated[
        bool | None,
        typer.Option(
            help="Say whether a WordPiece tokenizer lower-cases. By default its files say, or its vocabulary."
        ),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Measure bits per masked token and unknown tokens on this text.")
    ] = None,
    kernel: Annotated[str, typer.Option(help="Prove this attention kernel.")] = "auto",
    force: Force = False,
    offline: Annotated[bool, typer.Option(help="Never ask the Hugging Face hub.")] = False,
) -> None:
    """Convert a short encoder into a native Longformer or BigBird, and verify it.

    Example: longbio convert emilyalsentzer/Bio_ClinicalBERT clinical-long
    """
    from longbio.conversion import convert as conversion
    from longbio.conversion.settings import ConversionSettings
    from longbio.encoders.casing import Casing

    # Whatever `to` and `positions` say is checked, in one line, before anything is done.
    # Names are typer's plain strings: `ConversionSettings.check` refuses those that are none.
    settings = ConversionSettings(to, max_tokens, window, block, random_blocks, positions, lowercase)  # type: ignore[arg-type]
    advance = tell.begin(f"convert to a {to} of {max_tokens:,} tokens", 0)
    done = conversion.convert(
        source,
        out,
        settings=settings,
        verification=verify,
        text=conversion.text_of(text),
        kernel=kernel,
        force=force,
        offline=offline,
        on_check=lambda check: advance(0, check.name),
    )
    tell.result = done.report
    if done.already_done:
        tell.end(f"{out} holds this conversion already; nothing was done")
    else:
        tell.end(f"{out} is written" + ("" if verify else ", not verified"))
    if done.report["verification"]:
        tell.show(_table(done.report["verification"]))
    elif done.report["casing"]:
        casing = Casing(**done.report["casing"])
        tell.show(f"{casing.reads}; {casing.loss}")


def _table(verification: Mapping[str, Any]) -> Table:
    """The checks, one line each."""
    from longbio.conversion.verify import as_rows

    table = Table(box=None, pad_edge=False)
    for header in ("", "check", "measured", "limit"):
        table.add_column(header, justify="right" if header == "measured" else "left")
    for result, name, value, limit in as_rows(verification):
        colour = {"pass": "green", "FAIL": "bold red"}.get(result, "dim")
        table.add_row(f"[{colour}]{result}[/{colour}]", name, value, limit)
    return table
