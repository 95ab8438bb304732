"""What is told of memory and disk before a run is near what it takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers

from longbio.encoders import longformer
from longbio.masked_lm.head import summed_loss
from longbio.pretraining.corpora import cache_bytes
from longbio.pretraining.phase import Phase
from longbio.pretraining.run import kept_numbers, training_bytes
from longbio.training.settings import Machine


def config(layers: int = 2) -> transformers.LongformerConfig:
    return transformers.LongformerConfig(
        vocab_size=500,
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=256,
        attention_window=64,
        max_position_embeddings=1025,
        pad_token_id=0,
        type_vocab_size=2,
    )


def phase(**changes) -> Phase:
    return Phase(**{"name": "p", "sequence_tokens": 1024, "learning_rate": 1e-3, "steps": 1} | changes)


def test_what_a_layer_keeps_is_near_what_autograd_saves() -> None:
    def saved(layers: int) -> int:
        torch.manual_seed(0)
        model = transformers.LongformerForMaskedLM(config(layers))
        longformer.install(model, None)
        ids = torch.randint(5, 500, (1, 1024))
        labels = torch.full_like(ids, -100)
        labels[0, ::7] = 9
        seen: dict[int, int] = {}
        weights = {weight.data_ptr() for weight in model.parameters()}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            summed_loss(model.train(), {"input_ids": ids, "labels": labels})
        return sum(seen.values())

    each = (saved(3) - saved(1)) / 2
    told = 4 * 1024 * kept_numbers(config())
    assert 0.7 < told / each < 1.5


def test_more_at_once_takes_more_and_checkpointing_less() -> None:
    base = training_bytes(config(8), phase(batch_tokens=8192), Machine(device_batch=2))
    assert training_bytes(config(8), phase(batch_tokens=8192), Machine()) > 1.5 * base
    assert training_bytes(config(8), phase(batch_tokens=8192), Machine(), processes=4) == base
    less = Machine(device_batch=2, gradient_checkpointing=True)
    assert training_bytes(config(8), phase(batch_tokens=8192), less) < 0.5 * base
    head = training_bytes(config(8), phase(batch_tokens=8192, learns="head"), Machine(device_batch=2))
    assert head < 0.5 * base


def test_weights_are_counted_four_times() -> None:
    count = sum(weight.numel() for weight in transformers.LongformerForMaskedLM(config()).parameters())
    small = training_bytes(config(), phase(sequence_tokens=64), Machine())
    assert small > 16 * count
    assert small < 16 * count + 64 * 4 * 2 * kept_numbers(config()) + 10**5


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_disk_is_that_of_the_tokens(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"a{ending}"
    file.write_bytes(b"x" * 9000)
    assert cache_bytes([file]) == pytest.approx(6000 * (3.5 if ending.endswith("gz") else 1), rel=0.01)
    assert cache_bytes([]) == 0
    assert kept_numbers(SimpleNamespace(model_type="distilbert", hidden_size=10, hidden_dim=40)) == 220
