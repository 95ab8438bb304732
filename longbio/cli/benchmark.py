"""`longbio benchmark`: models by tasks by seeds, compared and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longbio.cli.output import Narrator, Out, as_settings, command, set_option, tell_device


@command
def benchmark(
    tell: Narrator,
    config: Annotated[str, typer.Argument(help="A suite: a file, or a name that `longbio configs` lists.")],
    data: Annotated[Path | None, typer.Option(help="The folder with the corpora of the suite.")] = None,
    out: Out = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="Run only this task now. Give it again for more.")
    ] = None,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help="Run only this arm now. Give it again for more.")
    ] = None,
    overrides: Annotated[list[str] | None, set_option("models.long=FOLDER")] = None,
    show_text: Annotated[
        bool, typer.Option(help="Show a note of each task in the report, whose text it then holds.")
    ] = False,
) -> None:
    """Run models on tasks with several seeds, compare them, and report; goes on where it stopped.

    Example: longbio benchmark open-long --data corpora --set models.source=short
    """
    from longbio.benchmarking import run
    from longbio.benchmarking.settings import load_benchmark
    from longbio.settings import settings_file

    file = settings_file(config, "benchmark")
    suite = load_benchmark(file, [*as_settings(data=data, out=out), *(overrides or [])])
    tell_device(tell)
    results = run.benchmark(suite, tell, only_tasks=tasks or (), only_arms=arms or (), show_text=show_text)
    tell.result = results
    if results["failed"]:
        raise typer.Exit(1)
