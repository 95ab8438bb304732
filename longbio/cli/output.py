"""What every command says in the same way."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from longbio.cli.progress import Narrator
from longbio.progress import hush_deepspeed

if TYPE_CHECKING:
    from longbio.prediction.predictor import Model as FineTuned

HIDDEN = "CUDA_VISIBLE_DEVICES"
"""Empty, it hides every GPU from this process and from those that it starts."""

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Verbose = Annotated[bool, typer.Option(help="Show also what the libraries beneath say.")]
Model = Annotated[str | None, typer.Option(help="The model: a checkpoint folder, or a hub name.")]
Out = Annotated[Path | None, typer.Option(help="The folder to make, or to go on with.")]
Device = Annotated[
    str | None,
    typer.Option(help="Work on this: cpu or cuda. By default on the GPU, where there is one."),
]
Dtype = Annotated[
    str | None,
    typer.Option(help="The type of the weights: float32, bfloat16 or float16. By default that of the files."),
]
Offline = Annotated[bool, typer.Option(help="Never ask the Hugging Face hub.")]


@contextmanager
def narrated(*, as_json: bool, verbose: bool, device: str | None = None) -> Iterator[Narrator]:
    """A narrator on standard output, or on standard error when that is for JSON.

    Args:
        as_json: standard output is for the result.
        verbose: let the libraries below speak.
        device: what `--device` says.

    Raises:
        LongbioError: there is no such device.
    """
    if not verbose:
        _hush()
    if device is not None:
        _choose(device)
    narrator = Narrator(Console(stderr=as_json, soft_wrap=True))
    try:
        yield narrator
    finally:
        narrator.stop()


def given(**settings: Any) -> list[str]:
    """Options that stand for settings, as `--set` has them; `__` for a dot, None for one that isn't said."""
    from longbio.settings import as_overrides

    return as_overrides(
        {key.replace("__", "."): value for key, value in settings.items() if value is not None}
    )


def tell_passed_over(tell: Narrator, paths: Iterable[Path]) -> None:
    """Which files of folders of texts aren't read, a line a kind."""
    from longbio.corpus.texts import passed_over

    for line in passed_over(paths).told():
        tell.console.print(f"passed over: {line}", markup=False)


def tell_device(tell: Narrator) -> None:
    """Where the work is done."""
    import torch

    place = f"a CPU, {torch.get_num_threads()} threads: there is no GPU"
    if os.environ.get(HIDDEN) == "":
        place = f"a CPU, {torch.get_num_threads()} threads"
    elif torch.cuda.is_available():
        place = torch.cuda.get_device_name()
    tell.console.print(f"on {place}", markup=False, highlight=False)


def tell_model(tell: Narrator, asked: Path, model: FineTuned) -> None:
    """Which model is taken, where a run was named, and where it works."""
    if model.folder != asked:
        tell.console.print(f"the model of the run's first seed: {model.folder}", markup=False)
    tell_device(tell)


def print_json(result: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(result, ensure_ascii=False, indent=2))


def _choose(device: str) -> None:
    """Leave all that follows, processes too, the one device."""
    from longbio.encoders.loading import ready_device
    from longbio.errors import LongbioError

    if device not in ("cpu", "cuda"):
        raise LongbioError(f"{device!r} can't be used", where="--device", remedy="choose cpu or cuda")
    if device == "cpu":
        os.environ[HIDDEN] = ""
    ready_device(device)


def _hush() -> None:
    # First: transformers may import it.
    hush_deepspeed()
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
