"""`longbio split`: an annotated corpus is divided into train, dev and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from longbio.cli.output import Force, column_option


def split(
    corpus: Annotated[Path, typer.Argument(help="A file or a folder, in any format that is read.")],
    out: Annotated[Path, typer.Argument(help="The folder to make: train/, dev/ and test/ as JSON lines.")],
    test_share: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Hold this share of the patients out as test.")
    ] = 0.2,
    dev_share: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Hold this share of the others out as dev.")
    ] = 0.1,
    columns: Annotated[list[str] | None, column_option("group=PATIENT")] = None,
    force: Force = False,
) -> None:
    """Divide a corpus at random, always in the same way, each patient's documents together.

    A document's patient is its `group`; documents without one are divided one by one.

    Example: longbio split my-corpus divided --test-share 0.2
    """
    from longbio.artifacts.runs import make_once
    from longbio.artifacts.staged_folders import refuse_unless_writable
    from longbio.corpus.readers import read_documents
    from longbio.corpus.reading import Reading, named_columns
    from longbio.corpus.writers import jsonl
    from longbio.finetuning.data import digest, hold_out

    refuse_unless_writable(out)
    documents = read_documents(corpus, reading=Reading(columns=named_columns(columns or [])))
    rest, test = hold_out(documents, test_share)
    train, dev = hold_out(rest, dev_share)
    splits = {"train": train, "dev": dev, "test": test}

    def make(folder: Path) -> dict[str, Any]:
        # It holds the notes.
        folder.chmod(0o700)
        for name, some in splits.items():
            (folder / name).mkdir()
            jsonl.write(some, folder / name)
        return {name: len(some) for name, some in splits.items()}

    made_of = {"documents": digest(documents), "test_share": test_share, "dev_share": dev_share}
    report = make_once(out, "split.json", made_of, make, force=force)
    typer.echo(", ".join(f"{report[name]:,} {name}" for name in splits) + f" documents in {out}")
