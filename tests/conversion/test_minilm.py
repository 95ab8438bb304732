"""The real MiniLM-L6 to both targets: what the quickstart converts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.encoders.loading import load, quiet

NOTE = "History of present illness: 67-year-old with chest pain, troponin 0.8 µg/L, given aspirin 300 mg."


@pytest.mark.parametrize(
    "settings", [ConversionSettings(max_tokens=1024), ConversionSettings(to="bigbird", max_tokens=1024)]
)
def test_minilm_is_converted_and_verified(
    settings: ConversionSettings, minilm_folder: Path, tmp_path: Path
) -> None:
    done = convert(minilm_folder, tmp_path / "long", settings=settings)
    verification = done.report["verification"]
    assert verification["passed"]
    passed = [check["name"] for check in verification["checks"] if check["passed"]]
    for name in ("hidden states", "pooler", "kernel", "plain transformers, without longbio", "token ids"):
        assert any(full.startswith(name) for full in passed), name
    assert done.report["left_behind"] == []

    tokenizer = AutoTokenizer.from_pretrained(done.folder)
    batch = tokenizer([NOTE, NOTE * 3], return_tensors="pt", padding=True)
    with quiet(), torch.no_grad():
        wanted = AutoModel.from_pretrained(minilm_folder).float().eval()(**batch)
        given = load(done.folder)(**batch)
    real = batch["attention_mask"].bool()
    assert (given.last_hidden_state - wanted.last_hidden_state)[real].abs().max() < 1e-5
    assert (given.pooler_output - wanted.pooler_output).abs().max() < 1e-5


@pytest.mark.parametrize("to", ["longformer", "bigbird"])
def test_minilm_reads_4096_tokens(to: str, minilm_folder: Path, tmp_path: Path) -> None:
    done = convert(minilm_folder, tmp_path / "long", settings=ConversionSettings(to=to), verification=False)
    tokenizer = AutoTokenizer.from_pretrained(done.folder)
    ids = tokenizer(NOTE * 200, return_tensors="pt", truncation=True)["input_ids"]
    assert ids.shape == (1, 4096)
    with torch.no_grad():
        hidden = load(done.folder)(ids).last_hidden_state
    assert hidden.shape == (1, 4096, 384)
    assert hidden.isfinite().all()
