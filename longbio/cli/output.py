"""What every command takes and says in the same way."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.console import Console

from longbio.cli.progress import Narrator as Narrator
from longbio.progress import hush_deepspeed

if TYPE_CHECKING:
    from longbio.corpus.reading import Reading
    from longbio.prediction.work import Model as FineTuned

HIDDEN = "CUDA_VISIBLE_DEVICES"
"""Empty, it hides every GPU from this process and from those that it starts."""

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Verbose = Annotated[bool, typer.Option(help="Show also what the libraries beneath say.")]
Model = Annotated[str | None, typer.Option(help="The model: a checkpoint folder, or a hub name.")]
FineTunedModel = Annotated[
    Path, typer.Argument(help="A fine-tuned model's folder, or the folder of a run of `finetune`.")
]
Out = Annotated[Path | None, typer.Option(help="The folder to make, or to go on with.")]
Force = Annotated[bool, typer.Option(help="Replace what stands in OUT.")]
Encoding = Annotated[str, typer.Option(help="The encoding of the files.")]
Device = Annotated[
    str | None,
    typer.Option(help="Work on this: cpu or cuda. By default on the GPU, where there is one."),
]
Dtype = Annotated[
    str | None,
    typer.Option(help="The type of the weights: float32, bfloat16 or float16. By default that of the files."),
]

COMMON = {"device": (Device, None), "verbose": (Verbose, False), "as_json": (Json, False)}
"""Options of every command that works: their types and defaults."""


def set_option(example: str) -> Any:
    """`--set`."""
    return typer.Option("--set", help=f"Change a setting, as {example}. Give it again for more.")


def column_option(example: str) -> Any:
    """`--column`."""
    return typer.Option(
        "--column", help=f"Read this column of a table, as {example}. Give it again for more."
    )


def command(work: Callable[..., None]) -> Callable[..., None]:
    """A command of what takes a narrator and its own options: it takes the options of `COMMON` too.

    Raises:
        LongbioError: there is no such device.
    """
    hints = get_type_hints(work, include_extras=True)
    _, *options_of_work = signature(work).parameters.values()

    @wraps(work)
    def run(*, device: str | None, verbose: bool, as_json: bool, **options: Any) -> None:
        if not verbose:
            _hush()
        if device is not None:
            _choose(device)
        # Standard output is for the result, where that is JSON.
        tell = Narrator(Console(stderr=as_json, soft_wrap=True))
        try:
            work(tell, **options)
        finally:
            tell.stop()
            if as_json and tell.result is not None:
                print_json(tell.result)

    parameters = [option.replace(annotation=hints[option.name]) for option in options_of_work] + [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default) in COMMON.items()
    ]
    run.__signature__ = signature(work).replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in parameters}
    return run


def as_settings(**settings: Any) -> list[str]:
    """Options that stand for settings, as `--set` has them; `__` for a dot, None for one that isn't said."""
    from longbio.settings import as_overrides

    return as_overrides(
        {key.replace("__", "."): value for key, value in settings.items() if value is not None}
    )


def tell_passed_over(tell: Narrator, paths: Iterable[Path]) -> None:
    """Which files of folders of texts aren't read, a line a kind."""
    from longbio.corpus.texts import passed_over

    for line in passed_over(paths).told():
        tell.say(f"passed over: {line}")


def tell_reading(tell: Narrator, reading: Reading) -> None:
    """What documents hold that isn't read, or is read otherwise, a line a kind."""
    for line in reading.passed_over.told():
        tell.say(f"passed over: {line}")
    for line in reading.remarks.told():
        tell.say(f"note: {line}")


def tell_device(tell: Narrator) -> None:
    """Where the work is done."""
    import torch

    place = f"a CPU, {torch.get_num_threads()} threads: there is no GPU"
    if os.environ.get(HIDDEN) == "":
        place = f"a CPU, {torch.get_num_threads()} threads"
    elif torch.cuda.is_available():
        place = torch.cuda.get_device_name()
    tell.say(f"on {place}")


def tell_model(tell: Narrator, asked: Path, model: FineTuned) -> None:
    """Which model is taken, where a run was named, and where it works."""
    if model.folder != asked:
        tell.say(f"the model of the run's first seed: {model.folder}")
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
