"""What every command says in the same way."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from longbio.cli.progress import Narrator

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Verbose = Annotated[bool, typer.Option(help="Show what the libraries below say too.")]
Offline = Annotated[bool, typer.Option(help="Never ask the Hugging Face hub.")]


@contextmanager
def narrated(*, as_json: bool, verbose: bool) -> Iterator[Narrator]:
    """A narrator on standard output, or on standard error when that is for JSON."""
    if not verbose:
        _hush()
    narrator = Narrator(Console(stderr=as_json, soft_wrap=True))
    try:
        yield narrator
    finally:
        narrator.stop()


def tell_passed_over(tell: Narrator, paths: Iterable[Path]) -> None:
    """Which files of folders of texts aren't read, a line a kind."""
    from longbio.corpus.texts import passed_over

    for line in passed_over(paths).told():
        tell.console.print(f"passed over: {line}", markup=False)


def print_json(result: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(result, ensure_ascii=False, indent=2))


def _hush() -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
