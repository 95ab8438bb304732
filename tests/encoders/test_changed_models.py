"""A model whose layers were cut is read as it is, not as its config has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from longbio.attention.kernels import kernel_named
from longbio.encoders import bigbird


@pytest.mark.parametrize("pattern", ["longbio", "stock-training", "stock-evaluation"])
@pytest.mark.parametrize("kept", [1, 2])
def test_a_cut_model_reads_with_the_layers_it_has(
    kept: int, pattern: str, family: str, make_ours: Callable[..., Any]
) -> None:
    if family == "longformer" and pattern != "longbio":
        pytest.skip("the Longformer has no stock pattern to cut")
    model = make_ours(family, kernel="reference")
    if family == "big_bird":
        bigbird.install(model, kernel_named("reference"), pattern)
    ids = torch.randint(4, 60, (1, 64), generator=torch.Generator().manual_seed(1))
    whole = model(ids, output_hidden_states=True).hidden_states
    model.encoder.layer = nn.ModuleList(model.encoder.layer[:kept])
    cut = model(ids, output_hidden_states=True)
    assert len(cut.hidden_states) == kept + 1
    assert torch.equal(cut.last_hidden_state, whole[kept])
