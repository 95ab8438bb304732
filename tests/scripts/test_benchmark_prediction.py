"""The benchmark of prediction runs from notes to table, and gives no figures of another function."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location("benchmark_prediction", SCRIPTS / "benchmark_prediction.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_prediction", module)
    spec.loader.exec_module(module)
    return module


def arguments(short: Path, long: Path, out: Path) -> list[str]:
    models = ["--model", str(short), "--long", str(long), "--chunk", "64", "--out", str(out)]
    notes = ["--notes", "3", "--lengths", "20", "600", "--rows", "2"]
    return ["benchmark", *models, *notes, "--rounds", "1", "--warm-up", "0"]


def test_three_arms_read_the_same_notes(
    benchmark: Any,
    tiny_bert_folder: Path,
    tiny_long_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", arguments(tiny_bert_folder, tiny_long_folder, tmp_path))
    benchmark.main()
    saved = json.loads((tmp_path / "prediction.json").read_text())
    assert [*saved["seconds"]] == ["longbio", "stock Longformer", "stock short"]
    assert saved["tokens"] == 20 + 110 + 600
    assert saved["difference of logits"] < 1e-3
    assert "3 notes of 20 to 600 tokens, 730 together" in capsys.readouterr().out


def test_other_logits_give_no_figures(
    benchmark: Any,
    tiny_bert_folder: Path,
    tiny_long_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stock_long = benchmark.stock_long
    monkeypatch.setattr(
        benchmark, "stock_long", lambda *given: [torch.roll(each, 1, 0) for each in stock_long(*given)]
    )
    monkeypatch.setattr(sys, "argv", arguments(tiny_bert_folder, tiny_long_folder, tmp_path))
    with pytest.raises(SystemExit, match="no figures"):
        benchmark.main()
    assert not (tmp_path / "prediction.json").exists()


def test_notes_have_the_lengths_that_are_asked_for(benchmark: Any, tiny_bert_folder: Path) -> None:
    tokenizer = benchmark.load_tokenizer(tiny_bert_folder)
    documents, tokens = benchmark.notes(5, 20, 2000, tokenizer)
    lengths = [
        len(tokenizer(document.text, add_special_tokens=False, verbose=False)["input_ids"])
        for document in documents
    ]
    assert sorted(lengths) == [20, 63, 200, 632, 2000]
    assert lengths != sorted(lengths)
    assert tokens == sum(lengths)
