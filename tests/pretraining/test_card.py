"""The card of a phase: its global tokens, and a call that runs where there is no longbio."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from longbio.pretraining.phase import Phase
from longbio.pretraining.train_phase import render_card


@pytest.mark.parametrize("global_cls", [True, False])
def test_a_phases_card(
    global_cls: bool, tiny_long_folder: Path, tmp_path: Path, run_calls: Callable[..., list[str]]
) -> None:
    folder = Path(shutil.copytree(tiny_long_folder, tmp_path / "v0.1-heal"))
    phase = Phase(name="heal", sequence_tokens=128, steps=1, learning_rate=1e-4, global_cls=global_cls)
    report = {
        "phase": asdict(phase),
        "number": 1,
        "origin": "long",
        "seed": 0,
        "bits_before": {"128": 5.0},
        "bits_after": {"128": 4.0},
    }
    text = render_card(report, folder.name, "longformer")
    (folder / "README.md").write_text(text, "utf-8")
    assert ("with global attention on the first token." in text) == global_cls
    assert ("without global tokens" in text) == (not global_cls)
    assert ("[:, 0] = 1" in text) == global_cls
    (printed,) = run_calls(folder)
    assert printed.strip()
    assert "Global tokens" not in render_card(report, folder.name, "big_bird")
