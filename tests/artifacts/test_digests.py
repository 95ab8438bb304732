"""What a model's work is bound to: everything that decides what it makes of a text, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from longbio.artifacts.checkpoints import TOKENIZER_FILES, checkpoint_digest, shape_digest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"weight": torch.arange(6.0)}, folder / "model.safetensors")
    for name in ("config.json", *TOKENIZER_FILES, "README.md"):
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize("changed", ["config.json", *TOKENIZER_FILES])
def test_config_and_tokenizer_count(changed: str, model: Path) -> None:
    before = checkpoint_digest(model), shape_digest(model)
    (model / changed).write_text('{"a": 1}')
    assert checkpoint_digest(model) != before[0]
    assert shape_digest(model) != before[1]
    (model / changed).write_text("{}")
    assert (checkpoint_digest(model), shape_digest(model)) == before
    if changed != "config.json":
        (model / changed).unlink()
        assert checkpoint_digest(model) != before[0]


def test_weights_count_where_they_are_asked_for_and_the_place_never(model: Path, tmp_path: Path) -> None:
    digest, shape = checkpoint_digest(model), shape_digest(model)
    model = model.rename(tmp_path / "elsewhere")
    (model / "README.md").write_text("a card")
    assert (checkpoint_digest(model), shape_digest(model)) == (digest, shape)
    save_file({"weight": torch.arange(6.0) + 1}, model / "model.safetensors")
    assert checkpoint_digest(model) != digest
    assert shape_digest(model) == shape
