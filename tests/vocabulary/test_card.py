"""The card of an extended model ends with a call that runs where there is no longbio."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longbio.vocabulary.extend import render_card


def test_the_call_runs_without_longbio(
    tiny_long_folder: Path, tmp_path: Path, run_calls: Callable[..., list[str]]
) -> None:
    folders = []
    for has_head in (True, False):
        folder = Path(shutil.copytree(tiny_long_folder, tmp_path / f"extended-{has_head}"))
        report: dict[str, Any] = {
            "settings": {"method": "mean", "calibration": "none"},
            "needs_contexts": False,
            "without_contexts": [],
            "without_contexts_because": {},
            "origin": "long",
            "pieces": ["a"],
            "old_tokens": 5,
            "corpus": {},
        }
        text = render_card(report, folder.name, "longformer", has_head=has_head)
        (folder / "README.md").write_text(text, "utf-8")
        folders.append(folder)
    masked, features = run_calls(*folders)
    assert masked.strip()
    assert features.startswith("torch.Size([1, ")
