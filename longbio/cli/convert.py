"""`longbio convert`: a short encoder becomes a long one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Json, Offline, Verbose, narrated, print_json


def convert(
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
    force: Annotated[bool, typer.Option(help="Replace what stands in OUT.")] = False,
    offline: Offline = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Convert a short encoder into a native Longformer or BigBird, and verify it.

    Example: longbio convert emilyalsentzer/Bio_ClinicalBERT clinical-long
    """
    from longbio.cli.tables import checks_table
    from longbio.conversion import convert as conversion
    from longbio.conversion.settings import Settings
    from longbio.encoders.casing import Casing

    # Whatever `to` and `positions` say is checked, in one line, before anything is done.
    # Names are typer's plain strings: `Settings.check` refuses those that are none.
    settings = Settings(to, max_tokens, window, block, random_blocks, positions, lowercase)  # type: ignore[arg-type]
    with narrated(as_json=as_json, verbose=verbose) as tell:
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
        if done.already_done:
            tell.end(f"{out} holds this conversion already; nothing was done")
        else:
            tell.end(f"{out} is written" + ("" if verify else ", not verified"))
        if done.report["verification"] and not as_json:
            tell.console.print(checks_table(done.report["verification"]))
        elif done.report["casing"] and not as_json:
            casing = Casing(**done.report["casing"])
            tell.console.print(f"{casing.reads}; {casing.loss}", highlight=False)
    if as_json:
        print_json(done.report)
