"""`longbio vocab`: what a tokenizer does to the words of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Json, Verbose, narrated, print_json

app = typer.Typer(help="Words that a tokenizer breaks to pieces.", no_args_is_help=True)


@app.callback()
def vocab() -> None:
    """Words that a tokenizer breaks to pieces."""


@app.command("mine")
def mine(
    model: Annotated[Path, typer.Argument(help="A folder with a tokenizer.")],
    notes: Annotated[Path, typer.Argument(help="A folder of .txt files, or one.")],
    min_count: Annotated[int, typer.Option(help="Occurrences a word needs.")] = 5,
    min_pieces: Annotated[int, typer.Option(help="Pieces a word takes at least.")] = 3,
    limit: Annotated[int, typer.Option(help="Words listed.")] = 25,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """List the words whose splitting costs most tokens."""
    from rich.table import Table
    from transformers import AutoTokenizer

    from longbio.corpus.readers import read_documents
    from longbio.vocabulary.mine import mine as mine_words

    with narrated(as_json=as_json, verbose=verbose) as tell:
        texts = [document.text for document in read_documents(notes)]
        tokenizer = AutoTokenizer.from_pretrained(model)
        mined = mine_words(texts, tokenizer, min_count=min_count, min_pieces=min_pieces, limit=limit)
        if as_json:
            words = [[c.word, c.count, c.pieces, c.saved_tokens] for c in mined.candidates]
            print_json({"pieces_per_word": mined.pieces_per_word, "words": words})
            return
        table = Table(box=None)
        for header in ("word", "count", "pieces", "tokens saved"):
            table.add_column(header, justify="left" if header == "word" else "right")
        for each in mined.candidates:
            table.add_row(each.word, str(each.count), str(each.pieces), str(each.saved_tokens))
        tell.console.print(table)
        tell.console.print(
            f"{mined.num_tokens} tokens for {mined.num_words} words: {mined.pieces_per_word:.3f} each"
        )
