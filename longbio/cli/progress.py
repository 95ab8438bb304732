"""Progress for people: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

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

SECONDS_BETWEEN_LINES = 10.0


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
                left = _left(step, total, last - self.start)
                self.console.print(f"  {step}{of} {words}{left}".rstrip(), highlight=False)

        return advance


def _left(step: int, total: int, seconds: float) -> str:
    """How long the rest takes at the pace so far."""
    if not 0 < step < total:
        return ""
    left = seconds * (total - step) / step
    return f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"
