"""What every command takes and says in the same way."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from longbio.progress import hush_deepspeed

if TYPE_CHECKING:
    from longbio.corpus.reading import Reading
    from longbio.prediction.predictor import Model as FineTuned

SECONDS_BETWEEN_LINES = 10.0

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
    str | None, typer.Option(help="Work on this: cpu or cuda. By default on the GPU, where there is one.")
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


class Narrator:
    """Tells of stages on a console; `progress.Narrator` says when it is called.

    `result` is what a command leaves for `--json`.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.result: Mapping[str, Any] | None = None
        self.bar: Progress | None = None
        self.title, self.start = "", time.monotonic()

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        """A stage begins; the result is called with the step reached and a few words."""
        self.title, self.start = title, time.monotonic()
        if not self.console.is_terminal:
            self.console.print(f"{title} ...", highlight=False)
            return self._lines(total)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[words]}", style="dim"),
            console=self.console,
            transient=True,
        )
        self.bar.start()
        task = self.bar.add_task(title, total=total or None, words="")
        bar = self.bar
        return lambda step, words: bar.update(task, completed=step, words=words)

    def end(self, result: str) -> None:
        """The stage is over: one line."""
        self._over("[green]✓[/green]", result)

    def say(self, line: str) -> None:
        """One line, as it is."""
        self.console.print(line, markup=False, highlight=False)

    def show(self, result: Table | str) -> None:
        """A result for people, where standard output isn't for JSON."""
        if not self.console.stderr:
            self.console.print(result, highlight=False)

    def fail(self, what: str) -> None:
        """The stage has failed: one line."""
        self._over("[bold red]✗[/bold red]", what)

    def _over(self, mark: str, words: str) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        seconds = time.monotonic() - self.start
        title = f"{self.title}: " if self.title else ""
        # Names of files may hold brackets, which aren't for rich.
        self.console.print(f"{mark} {escape(title + words)} [dim]{seconds:.0f} s[/dim]", highlight=False)
        self.title, self.start = "", time.monotonic()

    def stop(self) -> None:
        """Take the bar away, whatever happened."""
        if self.bar is not None:
            self.bar.stop()

    def _lines(self, total: int) -> Callable[[int, str], None]:
        last = time.monotonic()

        def advance(step: int, words: str) -> None:
            nonlocal last
            if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                of = f" of {total}" if total else ""
                left = _time_left(step, total, last - self.start)
                self.console.print(f"  {step}{of} {words}{left}".rstrip(), highlight=False)

        return advance


def _time_left(step: int, total: int, seconds: float) -> str:
    """How long the rest takes at the pace so far."""
    if not 0 < step < total:
        return ""
    left = seconds * (total - step) / step
    return f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"


def command(work: Callable[..., None]) -> Callable[..., None]:
    """A command from a function of a narrator and its own options; it takes those of `COMMON` too.

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
    # typer reads it; a function has no such attribute until it is given one.
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
    from longbio.corpus.texts import count_passed_over

    for line in count_passed_over(paths).lines():
        tell.say(f"passed over: {line}")


def tell_reading(tell: Narrator, reading: Reading) -> None:
    """What documents hold that isn't read, or is read otherwise, a line a kind."""
    for line in reading.passed_over.lines():
        tell.say(f"passed over: {line}")
    for line in reading.remarks.lines():
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
