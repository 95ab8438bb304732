"""Tiny models of the families that pretraining meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from longbio.encoders import bigbird

SIZES = {
    "vocab_size": 121,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "pad_token_id": 0,
}


@pytest.fixture
def make_short() -> Callable[[str], Any]:
    """A random masked-LM model of a short family."""

    def make(family: str) -> Any:
        torch.manual_seed(0)
        kind = {"roberta": transformers.RobertaConfig, "electra": transformers.ElectraConfig}[family]
        config = kind(**SIZES, max_position_embeddings=80)
        return transformers.AutoModelForMaskedLM.from_config(config).eval()

    return make


@pytest.fixture
def make_bigbird() -> Callable[[int], Any]:
    """A random BigBird with our attention inside."""

    def make(block: int) -> Any:
        torch.manual_seed(0)
        config = transformers.BigBirdConfig(
            **SIZES, max_position_embeddings=256, block_size=block, num_random_blocks=1
        )
        model = transformers.BigBirdForMaskedLM(config)
        bigbird.install(model, None)
        return model.eval()

    return make
