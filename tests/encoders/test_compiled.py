"""What torch's compiler fuses computes the same, learns the same and is saved the same."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from longbio.encoders.compiled import compile_layers
from longbio.errors import LongbioError

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++"),
    # It imports a module of torch that torch itself has deprecated, and looks at every tensor's gradient.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning"),
]


def gradients(model: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return found | {"loss": loss.detach()}


def test_losses_and_gradients_at_several_lengths(
    family: str, make_ours: Callable[..., Any], make_batch: Callable[..., dict[str, Tensor]], tmp_path: Path
) -> None:
    plain = make_ours(family, "mlm").train()
    fused = copy.deepcopy(plain)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_layers(fused)
    for length in (110, 64, 90):
        batch = make_batch(length)
        batch["labels"] = batch["input_ids"].clone()
        ours, law = gradients(fused, batch), gradients(plain, batch)
        assert ours.keys() == law.keys()
        for name, wanted in law.items():
            assert torch.allclose(ours[name], wanted, atol=1e-5 * max(1.0, wanted.abs().max().item())), name
    # A graph for each of three parts, whatever the layer and the length.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 3

    fused.save_pretrained(tmp_path)
    kept = type(plain).from_pretrained(tmp_path)
    assert kept.state_dict().keys() == plain.state_dict().keys()
    assert copy.deepcopy(fused).state_dict().keys() == plain.state_dict().keys()


def test_families_built_otherwise_are_refused() -> None:
    config = transformers.DistilBertConfig(vocab_size=30, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    with pytest.raises(LongbioError, match="a distilbert aren't built as BERT's"):
        compile_layers(transformers.DistilBertModel(config))
