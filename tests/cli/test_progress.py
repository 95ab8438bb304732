"""How long a stage took: since it began, never since the machine did."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from longbio.cli.progress import Narrator


def test_a_result_without_a_stage_is_timed_from_when_the_narrator_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 90_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console = Console(file=io.StringIO(), soft_wrap=True)
    narrator = Narrator(console)
    now += 2
    narrator.end("3 new pieces")
    now += 1
    narrator.begin("words", 0)
    now += 7
    narrator.end("4 words")
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "✓ 3 new pieces 2 s",
        "words ...",
        "✓ words: 4 words 7 s",
    ]
