"""What a console is told: a tick for what is done, a cross for what failed, names, and how long it took."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from longbio.cli.output import Narrator


@pytest.mark.parametrize("is_terminal", [True, False])
def test_failures_carry_no_tick(is_terminal: bool) -> None:
    screen = io.StringIO()
    tell = Narrator(Console(file=screen, force_terminal=is_terminal, soft_wrap=True, color_system=None))
    tell.begin("a cell", 3)(1, "words")
    tell.fail("failed: /data/[bold]notes[/x]: there is no such folder")
    tell.begin("another", 0)
    tell.end("done")
    failed, done = [line for line in screen.getvalue().splitlines() if "a cell: " in line or "done" in line]
    assert "✗ a cell: failed: /data/[bold]notes[/x]: there is no such folder" in failed
    assert "✓" not in failed
    assert "✓ another: done" in done


def test_a_result_without_a_stage_is_timed_from_what_was_told_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 90_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    screen = io.StringIO()
    console = Console(file=screen, soft_wrap=True)
    narrator = Narrator(console)
    now += 2
    narrator.end("3 new pieces")
    now += 1
    narrator.begin("words", 0)
    now += 7
    narrator.end("4 words")
    now += 3
    narrator.end("a report")
    assert screen.getvalue().splitlines() == [
        "✓ 3 new pieces 2 s",
        "words ...",
        "✓ words: 4 words 7 s",
        "✓ a report 3 s",
    ]
