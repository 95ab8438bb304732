"""`longbio vocab`: which words a tokenizer lacks, and how a checkpoint gets them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer
from rich.table import Table

from longbio.cli.output import Force, Narrator, command, tell_passed_over

if TYPE_CHECKING:
    from longbio.vocabulary.mine import Mined

app = typer.Typer(help="Words that a tokenizer breaks to pieces.", no_args_is_help=True)

Model = Annotated[Path, typer.Argument(help="A checkpoint folder.")]
Corpus = Annotated[list[Path], typer.Argument(help="Files or folders of txt, jsonl, csv, tsv, parquet.")]
TextColumn = Annotated[
    str | None,
    typer.Option(help="The column of a table that holds the text. By default one of the usual names."),
]
GroupColumn = Annotated[
    str | None, typer.Option(help="The column with the patient, who is counted instead of documents.")
]
Processes = Annotated[int, typer.Option(min=1, help="Read the corpus with this many processes.")]
Layers = Annotated[
    str | None,
    typer.Option(
        help="Average the states of these layers, as 0,1,2 (0: embeddings). By default 0 to 3, or fewer."
    ),
]
Terms = Annotated[Path, typer.Option(help="A file that `vocab mine` wrote, or with one term a line.")]
Contexts = Annotated[int, typer.Option(min=1, help="Read this many contexts of each term.")]
ContextTokens = Annotated[int, typer.Option(help="Read this many tokens of each context.")]

Init = Literal["random", "gaussian", "mean", "contextual", "token-distillation"]
"""How new rows begin."""

SHOWN = 25


def _layer_numbers(layers: str | None) -> tuple[int, ...] | None:
    from longbio.errors import LongbioError

    wanted = [] if layers is None else layers.split(",")
    if not all(layer.strip().isdecimal() for layer in wanted):
        raise LongbioError(f"{layers!r} are no layers", where="--layers", remedy="write them as 0,1,2,3")
    return tuple(map(int, wanted)) or None


def _methods(text: str) -> tuple[Init, ...]:
    from longbio.errors import LongbioError

    methods = get_args(Init)
    for name in text.split(","):
        if name not in methods:
            raise LongbioError(
                f"there is no method {name!r}", where="--methods", remedy=f"choose from {', '.join(methods)}"
            )
    return cast(tuple[Init, ...], tuple(text.split(",")))


@app.command("mine")
@command
def mine(
    tell: Narrator,
    model: Model,
    corpus: Corpus,
    size: Annotated[int, typer.Option(min=1, help="Find this many terms.")] = 1000,
    out: Annotated[
        Path | None, typer.Option(help="Write the terms to this file as JSON lines, to be reviewed.")
    ] = None,
    min_documents: Annotated[
        int, typer.Option(min=1, help="Take only terms that occur in this many documents (or patients).")
    ] = 5,
    min_pieces: Annotated[
        int,
        typer.Option(min=2, help="Take only terms that the tokenizer cuts into this many pieces or more."),
    ] = 2,
    force: Annotated[bool, typer.Option(help="Replace the file that is there.")] = False,
    from_vocab: Annotated[Path | None, typer.Option(help="Propose what this vocab.txt holds.")] = None,
    text_column: TextColumn = None,
    group_column: GroupColumn = None,
    processes: Processes = 1,
) -> None:
    """Find the terms whose splitting costs most tokens.

    Example: longbio vocab mine short notes/ --out terms.jsonl
    """
    from longbio.artifacts.atomic_files import refuse_unless_new
    from longbio.artifacts.locks import hold_lock
    from longbio.corpus.texts import Columns, Corpus
    from longbio.encoders.loading import load_tokenizer
    from longbio.vocabulary import mine as mining

    if out is not None:
        refuse_unless_new(out, force=force)
    with nullcontext() if out is None else hold_lock(out):
        tell_passed_over(tell, corpus)
        advance = tell.begin("words of the corpus", 0)
        mined = mining.mine(
            Corpus(tuple(corpus), Columns(text_column, group_column)),
            load_tokenizer(model),
            size=size,
            min_documents=min_documents,
            min_pieces=min_pieces,
            from_vocabulary=mining.read_vocabulary(from_vocab) if from_vocab else None,
            processes=processes,
            on_texts=lambda count: advance(count, f"{count:,} texts"),
        )
        cut = f"{mined.num_tokens:,} tokens: {mined.pieces_per_word:.3f} a word"
        tell.end(f"{mined.num_words:,} words, {cut}")
        if out is not None:
            mining.write_terms(out, mined.candidates)
    if out is not None:
        tell.console.print(
            f"{len(mined.candidates):,} terms in {out}. Names of people can be among them:"
            " read the file and delete what must not be in a vocabulary."
        )
    tell.show(_table(mined))
    for reason, count in mined.left_out.items():
        tell.show(f"left out: {count:,} {reason}")
    terms = [[c.term, c.count, list(c.pieces), c.saved_tokens] for c in mined.candidates]
    tell.result = {"pieces_per_word": mined.pieces_per_word, "left_out": mined.left_out, "terms": terms}


def _table(mined: Mined) -> Table:
    table = Table(box=None)
    for header in ("term", "count", "pieces now", "tokens saved"):
        table.add_column(header, justify="right" if header in ("count", "tokens saved") else "left")
    for term in mined.candidates[:SHOWN]:
        table.add_row(term.term, f"{term.count:,}", " ".join(term.pieces), f"{term.saved_tokens:,}")
    return table


@app.command("train")
@command
def train(
    tell: Narrator,
    corpus: Corpus,
    out: Annotated[Path, typer.Option(help="Write the tokenizer to this folder.")],
    size: Annotated[int, typer.Option(help="Learn this many pieces.")] = 30_522,
    lower: Annotated[bool, typer.Option(help="Lower-case everything and drop accents.")] = True,
    text_column: TextColumn = None,
    processes: Processes = 1,
    force: Force = False,
) -> None:
    """Learn a WordPiece vocabulary from scratch, for random weights.

    Example: longbio vocab train notes/ --out tokenizer
    """
    from longbio.corpus.texts import Columns, Corpus
    from longbio.vocabulary.from_scratch import train_vocabulary

    tell_passed_over(tell, corpus)
    advance = tell.begin("a vocabulary from scratch", 0)
    count = train_vocabulary(
        Corpus(tuple(corpus), Columns(text_column)),
        out,
        size=size,
        lower=lower,
        processes=processes,
        force=force,
        on_texts=lambda number: advance(number, f"{number:,} texts"),
    )
    tell.result = {"pieces": count}
    tell.end(f"{count:,} pieces in {out}")


@app.command("extend")
@command
def extend(
    tell: Narrator,
    model: Model,
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    terms: Terms,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Texts with the terms. Give it again for more.")
    ] = None,
    init: Annotated[
        Init | None, typer.Option(help="How new rows begin. By default contextual, or mean without a corpus.")
    ] = None,
    contexts: Contexts = 25,
    context_tokens: ContextTokens = 64,
    layers: Layers = None,
    calibrate: Annotated[bool, typer.Option(help="Make new rows as long as the old ones.")] = True,
    text_column: TextColumn = None,
    processes: Processes = 1,
    seed: Annotated[int, typer.Option(help="The seed of everything that is drawn.")] = 0,
    force: Force = False,
) -> None:
    """Give a checkpoint new pieces; everything that was in it stays as it was.

    Example: longbio vocab extend short extended --terms terms.jsonl --corpus notes/
    """
    from longbio.corpus.texts import Columns, Corpus
    from longbio.vocabulary import extend as extending
    from longbio.vocabulary.mine import read_terms
    from longbio.vocabulary.new_rows import ExtendSettings

    settings = ExtendSettings(
        method=init or ("contextual" if corpus else "mean"),
        layers=_layer_numbers(layers),
        contexts=contexts,
        context_tokens=context_tokens,
        calibration="norm" if calibrate else "none",
        seed=seed,
    )
    tell_passed_over(tell, corpus or ())
    report = extending.extend(
        model,
        out,
        read_terms(terms),
        Corpus(tuple(corpus or ()), Columns(text_column)),
        settings=settings,
        processes=processes,
        force=force,
        tell=tell,
    )
    tell.result = report
    for reason, pieces in report["without_contexts_because"].items():
        tell.say(
            f"no context: {len(pieces):,} pieces {reason}, and begin as the mean of their old pieces;"
            f" {extending.REPORT} lists them"
        )
    if report["corpus"] and report["corpus"]["words_that_became_unknown"]:
        tell.say(
            f"{report['corpus']['words_that_became_unknown']:,} words of the corpus can't be written any"
            " more: after a new piece, the rest of a word has no piece"
        )


@app.command("compare")
@command
def compare(
    tell: Narrator,
    model: Model,
    out: Annotated[Path, typer.Argument(help="The folder to make, or to go on with.")],
    terms: Terms,
    corpus: Annotated[list[Path], typer.Option(help="Texts to learn from. Give it again for more.")],
    unseen: Annotated[list[Path], typer.Option(help="Texts to measure on. Give it again for more.")],
    methods: Annotated[
        str, typer.Option(help="Compare these ways to begin rows, with commas between them.")
    ] = ",".join(get_args(Init)),
    seeds: Annotated[int, typer.Option(min=1, help="Use this many seeds, from 0 on.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Train the probe for this many steps.")] = 50,
    contexts: Contexts = 25,
    context_tokens: ContextTokens = 64,
    layers: Layers = None,
    held_out: Annotated[
        int, typer.Option(min=1, help="Measure on this many passages of general text.")
    ] = 150,
    sentences: Annotated[
        int, typer.Option(min=1, help="Measure on this many sentences with a new term.")
    ] = 500,
    learning_rate: Annotated[float, typer.Option(help="Train the probe at this learning rate.")] = 1e-4,
    text_column: TextColumn = None,
    processes: Processes = 1,
) -> None:
    """Measure what new words gain, and which initialisation of their rows is best for a model.

    Example: longbio vocab compare short runs/words --terms terms.jsonl --corpus notes/ --unseen others/
    """
    from longbio.corpus.texts import Columns, Corpus
    from longbio.vocabulary import compare as comparing
    from longbio.vocabulary.mine import read_terms
    from longbio.vocabulary.new_rows import ExtendSettings

    settings = comparing.CompareSettings(
        methods=_methods(methods),
        seeds=tuple(range(seeds)),
        steps=steps,
        held_out=held_out,
        sentences=sentences,
        learning_rate=learning_rate,
        extend=ExtendSettings("contextual", _layer_numbers(layers), contexts, context_tokens),
    )
    columns = Columns(text_column)
    tell_passed_over(tell, [*corpus, *unseen])
    tell.result = comparing.compare(
        model,
        out,
        read_terms(terms),
        Corpus(tuple(corpus), columns),
        Corpus(tuple(unseen), columns),
        settings=settings,
        processes=processes,
        tell=tell,
    )
    tell.show(comparing.table(tell.result))
