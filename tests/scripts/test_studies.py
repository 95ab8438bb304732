"""The studies run from data to table, on tiny models and a few documents."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_short_and_long_are_compared(
    data_folder: Path,
    tiny_bert_folder: Path,
    tiny_long_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = script("finetuning_study")
    models = ["--short", str(tiny_bert_folder), "--long", str(tiny_long_folder)]
    asked = [
        str(data_folder),
        str(tmp_path),
        *models,
        "--sets",
        "ncbi-disease,gad",
        "--seeds",
        "2",
        "--quick",
    ]
    monkeypatch.setattr(sys, "argv", ["finetuning_study.py", *asked])
    study.main()
    table = (tmp_path / "table.md").read_text()
    assert table in capsys.readouterr().out
    lines = [line.split("|")[1:-1] for line in table.splitlines()]
    assert [line[0].strip() for line in lines] == ["set", "---", "ncbi-disease", "gad"]
    assert all(len(line) == 8 for line in lines)
    assert lines[2][2].strip() == "8 / 2"
    assert lines[2][3].strip() == "2"


def test_the_interval_is_students(data_folder: Path) -> None:
    study = script("finetuning_study")
    low, high = study.interval([0.5, 0.7, 0.9], [0.4, 0.5, 0.6])
    # Differences 0.1, 0.2, 0.3: mean 0.2, sd 0.1; t(2) at 97.5% is 4.3027.
    assert (low, high) == pytest.approx((0.2 - 4.3027 * 0.1 / 3**0.5, 0.2 + 4.3027 * 0.1 / 3**0.5), abs=1e-4)
    assert np.isnan(study.interval([0.5], [0.4])).all()


def test_techniques_have_a_line_each(
    data_folder: Path, minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = script("stability_study")
    asked = [
        "--model",
        str(minilm_folder),
        "--seeds",
        "1",
        "--quick",
        "--only",
        "plain",
        "--only",
        "R-Drop 1",
    ]
    monkeypatch.setattr(sys, "argv", ["study", str(data_folder / "blurb"), str(tmp_path), *asked])
    study.main()
    lines = [line.split("|")[1:-1] for line in (tmp_path / "table.md").read_text().splitlines()]
    assert [line[0].strip() for line in lines[2:]] == ["plain", "R-Drop 1"]
    assert all(len(line) == 7 for line in lines)
    nothing_to_compare = [cell.strip() for cell in lines[3][1:4]]
    assert nothing_to_compare == ["–"] * 3
