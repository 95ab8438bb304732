from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from longbio.encoders.loading import load, quiet
from longbio.encoders.saving import save, save_whole

POOLER = {"longformer": "longformer.pooler.dense.weight", "big_bird": "bert.pooler.weight"}


@pytest.fixture
def union(family: str, make_stock: Callable[..., Any], tmp_path: Path) -> Path:
    """Encoder, pooler and masked-LM head in one folder, as a conversion writes it."""
    head = make_stock(family, "mlm", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2)
    encoder = make_stock(family)
    prefix = head.base_model_prefix
    state = {f"{prefix}.{name}": weight for name, weight in encoder.state_dict().items()}
    with quiet():
        head.save_pretrained(tmp_path / "union", state_dict=state | head.state_dict())
    return tmp_path / "union"


def test_the_pooler_stays_with_what_was_trained(family: str, union: Path, tmp_path: Path) -> None:
    model = load(union, "mlm", dropout=0.0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "pooler" not in name:
                weight.add_(0.5)
    with quiet():
        save_whole(model, tmp_path / "healed", origin=union)

    before = load_file(union / "model.safetensors")
    after = load_file(tmp_path / "healed" / "model.safetensors")
    assert after.keys() == before.keys()
    assert torch.equal(after[POOLER[family]], before[POOLER[family]])
    for name, weight in model.state_dict().items():
        if name in after and "pooler" not in name:
            assert torch.equal(after[name], weight), name
            assert not torch.equal(after[name], before[name]), name

    config = json.loads((tmp_path / "healed" / "config.json").read_text())
    assert config["hidden_dropout_prob"] == 0.1
    assert config["attention_probs_dropout_prob"] == 0.2
    with quiet():
        for kind in (transformers.AutoModel, transformers.AutoModelForMaskedLM):
            _, report = kind.from_pretrained(tmp_path / "healed", output_loading_info=True)
            assert not report["missing_keys"]


def test_a_pooler_that_the_origin_lacks_is_not_made_up(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    origin = make_folder("longformer", "mlm")
    with quiet():
        save_whole(load(origin, "mlm"), tmp_path / "healed", origin=origin)
    before, after = (load_file(folder / "model.safetensors") for folder in (origin, tmp_path / "healed"))
    assert not [name for name in before if "pooler" in name]
    assert after.keys() == before.keys()


def test_saved_alone_a_longformer_with_a_head_loses_it(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Why `save_whole` is there. A BigBird's keeps it."""
    with quiet():
        load(make_folder("longformer", "mlm"), "mlm").save_pretrained(tmp_path / "plain")
    assert POOLER["longformer"] not in load_file(tmp_path / "plain" / "model.safetensors")


def test_a_task_model_gets_its_origins_dropout_back(family: str, union: Path, tmp_path: Path) -> None:
    model = load(union, "ner", dropout=0.0, num_labels=3)
    with quiet():
        save(model, tmp_path / "ner", origin=union)
    config = json.loads((tmp_path / "ner" / "config.json").read_text())
    assert config["hidden_dropout_prob"] == 0.1
    assert config["attention_probs_dropout_prob"] == 0.2
    assert load(tmp_path / "ner", "ner").config.num_labels == 3
