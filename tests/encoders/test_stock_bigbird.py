"""A BigBird that reproduces Hugging Face's class: its pattern in training, and in evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from longbio.attention.kernels import KERNELS
from longbio.encoders import bigbird
from longbio.encoders.loading import load, set_kernel
from longbio.encoders.prepared_batch import given_pattern
from longbio.errors import LongbioError

MakeStock = Callable[..., Any]
MakeBatch = Callable[..., dict[str, Tensor]]
Near = Callable[..., None]
REAL_SIZES = {
    "max_position_embeddings": 4096,
    "block_size": 64,
    "num_random_blocks": 3,
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "intermediate_size": 16,
}
"""Blocks as in the published model, so that its own cases of 1,024 and 4,096 tokens come up."""


@pytest.fixture(autouse=True)
def numpys_generator() -> Iterator[None]:
    state = np.random.get_state()
    yield
    np.random.set_state(state)


@pytest.mark.parametrize("pattern", ["stock-training", "stock-evaluation"])
@pytest.mark.parametrize(
    "lengths",
    [(1024, 900), (1000,), (1600,), (3072,), (4096,), (704, 500)],
    ids=["1024", "off the blocks", "planned", "3072", "4096", "in full"],
)
def test_outputs_and_gradients(
    lengths: tuple[int, ...],
    pattern: str,
    make_stock: MakeStock,
    make_batch: MakeBatch,
    assert_same_function: Callable[..., int],
) -> None:
    layers = 1 if max(lengths) > 3000 else 2
    theirs = make_stock("big_bird", **(REAL_SIZES | {"num_hidden_layers": layers}))
    ours = copy.deepcopy(theirs)
    bigbird.install(ours, None, pattern)
    theirs.train(pattern == "stock-training")
    # What the mode of ours is doesn't matter.
    ours.train(pattern == "stock-evaluation")
    batch = make_batch(*lengths)
    if len(lengths) == 1:
        batch["attention_mask"][0, -100:] = 0
    assert assert_same_function(theirs, ours, batch, limit=1e-4, zeros=False) > 15 * layers
    # A stock model that has gone over to full attention would be compared with itself.
    assert theirs.attention_type == ("original_full" if max(lengths) <= 704 else "block_sparse")


def test_layers_and_heads_differ_in_training_alone(make_stock: MakeStock, make_batch: MakeBatch) -> None:
    made = {}
    for pattern in ("stock-training", "stock-evaluation"):
        model = make_stock("big_bird", **REAL_SIZES)
        bigbird.install(model, None, pattern)
        documents = given_pattern(None, None, None, (1, 1024), torch.device("cpu"))
        made[pattern] = model.rules.layers(documents)
    first, second = made["stock-training"]
    assert first.counts_BHNN.shape == (1, 2, 16, 16)
    assert not torch.equal(first.counts_BHNN[0, 0], first.counts_BHNN[0, 1])
    assert not torch.equal(first.counts_BHNN, second.counts_BHNN)
    assert (first.counts_BHNN[0, :, 2:-2].sum(dim=2) == 8).all()

    one, other = made["stock-evaluation"]
    assert one is other
    assert one.counts_BHNN.shape == (1, 1, 16, 16)
    assert (one.counts_BHNN[0, 0, 2:-1, 0] == 4).all()


def test_numpys_generator_is_left_as_it_was(make_stock: MakeStock, make_batch: MakeBatch) -> None:
    model = make_stock("big_bird")
    batch = make_batch(120)
    outputs = []
    for seed in (5, 6):
        np.random.seed(seed)
        before, drawn = np.random.get_state(), torch.get_rng_state()
        bigbird.install(model, None, "stock-training")
        outputs.append(model.train()(**batch).last_hidden_state)
        outputs[-1].sum().backward()
        after = np.random.get_state()
        assert (before[1] == after[1]).all()
        assert before[2:] == after[2:]
        assert torch.equal(drawn, torch.get_rng_state())
        assert all(layer.attention.self.training for layer in model.encoder.layer)
    # Nor does the pattern depend on what it was.
    assert torch.equal(*outputs)


@pytest.mark.parametrize("pattern", ["stock-training", "stock-evaluation"])
def test_packed_rows_are_refused(pattern: str, make_stock: MakeStock) -> None:
    model = make_stock("big_bird")
    bigbird.install(model, None, pattern)
    ids = torch.full((1, 40), 7)
    documents = torch.arange(40)[None] // 20
    with pytest.raises(ValueError, match="a stock BigBird pattern has one document a row; unpack the batch"):
        model(ids, document_ids=documents)
    model(ids, document_ids=torch.zeros_like(documents))


def test_a_kernel_that_cannot_is_named(make_stock: MakeStock, make_batch: MakeBatch) -> None:
    model = make_stock("big_bird")
    bigbird.install(model, KERNELS["blocked"], "stock-training")
    with pytest.raises(LongbioError, match="'blocked' can't run here: a pattern that differs from head"):
        model(**make_batch(120))
    # Read in full it doesn't differ.
    model(**make_batch(20))
    bigbird.install(model, KERNELS["blocked"], "stock-evaluation")
    model(**make_batch(120))


def test_full_attention_by_config(
    make_stock: MakeStock, make_batch: MakeBatch, assert_same_function: Callable[..., int]
) -> None:
    theirs = make_stock("big_bird", attention_type="original_full")
    for pattern in ("stock-training", "stock-evaluation"):
        ours = copy.deepcopy(theirs)
        bigbird.install(ours, None, pattern)
        theirs.zero_grad()
        assert assert_same_function(theirs, ours, make_batch(100, 60), zeros=False) > 40


def test_load(make_folder: Callable[..., Path], make_batch: MakeBatch, assert_near: Near) -> None:
    folder, batch = make_folder("big_bird"), make_batch(120, 90)
    real = batch["attention_mask"].bool()
    theirs = load(folder, kernel="stock")
    outputs = {}
    with torch.no_grad():
        for pattern in bigbird.PATTERNS:
            outputs[pattern] = load(folder, bigbird_pattern=pattern)(**batch)[0][real]
        assert_near(outputs["stock-evaluation"], theirs(**batch)[0][real])
        assert_near(outputs["stock-training"], theirs.train()(**batch)[0][real])
    assert (outputs["longbio"] - outputs["stock-training"]).abs().max() > 1e-2
    assert (outputs["stock-evaluation"] - outputs["stock-training"]).abs().max() > 1e-2
    with pytest.raises(ValueError, match="no pattern 'hf'; the patterns are longbio, stock-training"):
        load(folder, bigbird_pattern="hf")


def test_another_kernel_keeps_the_pattern(make_folder: Callable[..., Path], make_batch: MakeBatch) -> None:
    model, batch = load(make_folder("big_bird"), bigbird_pattern="stock-evaluation"), make_batch(120)
    with torch.no_grad():
        before = model(**batch)[0]
        set_kernel(model, "reference")
        after = model(**batch)[0]
    assert (before - after).abs().max() < 1e-4
