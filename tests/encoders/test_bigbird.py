"""Our BigBird: Hugging Face's where that is full attention, one function everywhere else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.big_bird import modeling_big_bird as stock

from longbio.attention import reference
from longbio.attention.blocks import block_sparse
from longbio.attention.kernels import KERNELS, Kernel
from longbio.encoders import bigbird
from longbio.encoders.bigbird import install

MakeStock = Callable[..., Any]
MakeBatch = Callable[..., dict[str, Tensor]]
Pair = Callable[..., tuple[Any, Any]]
Near = Callable[..., None]


@pytest.fixture
def pair(make_pair: Pair) -> Pair:
    return partial(make_pair, "big_bird")


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("lengths", [(1,), (28, 9, 2), (13, 7)])
def test_outputs_and_all_gradients_in_the_full_range(
    lengths: tuple[int, ...],
    side: str,
    kernel: str,
    pair: Pair,
    make_batch: MakeBatch,
    assert_same_function: Callable[..., int],
) -> None:
    theirs, ours = pair(kernel=kernel)
    assert assert_same_function(theirs, ours, make_batch(*lengths, side=side)) > 40
    assert all(parameter.grad is not None for parameter in ours.parameters())


def test_padding_inside_a_row(
    pair: Pair, make_batch: MakeBatch, assert_same_function: Callable[..., int]
) -> None:
    theirs, ours = pair()
    batch = make_batch(28, 20)
    batch["attention_mask"][0, 5:14] = 0
    batch["attention_mask"][1, 3] = 0
    assert assert_same_function(theirs, ours, batch) > 40


def test_short_batches_come_back_to_the_pattern(pair: Pair, make_batch: MakeBatch, assert_near: Near) -> None:
    """A stock BigBird never does: after one short batch it reads everything in full."""
    theirs, ours = pair()
    long, short = make_batch(100), make_batch(20, seed=1)
    with torch.no_grad():
        first = ours(**long).last_hidden_state
        in_between = ours(**short).last_hidden_state
        again = ours(**long).last_hidden_state
        assert_near(in_between, theirs(**short).last_hidden_state)
        in_full = theirs(**long).last_hidden_state  # now that it has seen a short one
    assert torch.equal(first, again)
    assert (first - in_full).abs().max() > 1e-2
    assert ours.config.attention_type == "block_sparse"


def test_full_attention_by_config(
    pair: Pair, make_batch: MakeBatch, assert_same_function: Callable[..., int]
) -> None:
    theirs, ours = pair(attention_type="original_full")
    assert assert_same_function(theirs, ours, make_batch(100, 60)) > 40


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
def test_long_inputs_equal_a_dense_softmax_row_by_row(
    kernel: str, pair: Pair, make_batch: MakeBatch, assert_near: Near
) -> None:
    """Each row alone and unpadded, under the bias of its own pattern."""
    lengths = (123, 70, 20)
    batch = make_batch(*lengths)
    _, ours = pair(kernel=kernel)
    _, plain = pair()
    with torch.no_grad():
        given = ours(**batch).last_hidden_state
        for row, length in enumerate(lengths):
            pattern = block_sparse(
                torch.ones(1, length, dtype=torch.bool), block_tokens=4, random_blocks=1, seed=0
            )
            bias = pattern.bias(torch.arange(length), torch.arange(length))
            assert bool(bias.isinf().any()) == (length > 28)

            def dense(
                query: Tensor,
                key: Tensor,
                value: Tensor,
                _: Any,
                *,
                dropout: float = 0.0,
                bias: Tensor = bias,
            ) -> Tensor:
                return (query @ key.transpose(2, 3) / 4 + bias).softmax(-1) @ value

            install(plain, Kernel(f"dense {row}", dense, reference.supports, lambda _: None))
            alone = plain(**{name: tensor[row : row + 1, :length] for name, tensor in batch.items()})
            assert_near(given[row, :length], alone.last_hidden_state[0])


def test_training_and_evaluation_are_one_function(pair: Pair, make_batch: MakeBatch) -> None:
    theirs, ours = pair()
    batch = make_batch(120, 100)
    with torch.no_grad():
        assert torch.equal(ours.train()(**batch)[0], ours.eval()(**batch)[0])
        # Which is what the stock class doesn't do.
        assert (theirs.train()(**batch)[0] - theirs.eval()(**batch)[0]).abs().max() > 1e-3


def test_numpys_and_torchs_global_generators_are_left_alone(pair: Pair, make_batch: MakeBatch) -> None:
    theirs, ours = pair()
    batch = make_batch(120)

    def moved(model: Any) -> bool:
        np.random.seed(123)
        before, drawn = np.random.get_state(), torch.get_rng_state()
        model.train()(**batch)[0].sum().backward()
        after = np.random.get_state()
        same = (before[1] == after[1]).all() and before[2:] == after[2:]
        return not same or not torch.equal(drawn, torch.get_rng_state())

    state = np.random.get_state()
    try:
        assert not moved(ours)
        assert moved(theirs)
    finally:
        np.random.set_state(state)


def test_a_document_does_not_depend_on_its_batch(
    pair: Pair, make_batch: MakeBatch, assert_near: Near
) -> None:
    _, ours = pair()
    lengths = (20, 45, 90, 128)
    batch = make_batch(*lengths)
    with torch.no_grad():
        together = ours(**batch).last_hidden_state
        for row, length in enumerate(lengths):
            alone = ours(**{name: tensor[row : row + 1, :length] for name, tensor in batch.items()})
            assert_near(alone.last_hidden_state[0], together[row, :length])


def test_the_seed_in_the_config_draws_the_pattern(make_stock: MakeStock, make_batch: MakeBatch) -> None:
    batch = make_batch(120)
    results = []
    for seed in (0, 0, 1):
        model = make_stock("big_bird", random_pattern_seed=seed)
        install(model, KERNELS["blocked"])
        with torch.no_grad():
            results.append(model(**batch)[0])
    assert torch.equal(results[0], results[1])
    assert (results[0] - results[2]).abs().max() > 1e-3


def test_hidden_states_of_every_layer(pair: Pair, make_batch: MakeBatch, assert_near: Near) -> None:
    theirs, ours = pair()
    batch = make_batch(20, 20)
    with torch.no_grad():
        wanted = theirs(**batch, output_hidden_states=True).hidden_states
        given = ours(**batch, output_hidden_states=True).hidden_states
        as_tuple = ours(**batch, return_dict=False)
    assert len(given) == len(wanted) == 4
    for one, other in zip(given, wanted, strict=True):
        assert_near(one, other)
    assert ours(**batch).hidden_states is None
    assert torch.equal(as_tuple[0], given[-1])


def test_embeddings_instead_of_ids(pair: Pair, assert_near: Near) -> None:
    theirs, ours = pair()
    draw = torch.Generator().manual_seed(0)
    inputs = {"inputs_embeds": torch.randn(2, 16, 32, generator=draw)}
    with torch.no_grad():
        assert_near(ours(**inputs).last_hidden_state, theirs(**inputs).last_hidden_state)


@pytest.mark.parametrize("task", ["mlm", "ner", "classification", "qa"])
def test_every_task(task: str, pair: Pair, make_batch: MakeBatch, assert_near: Near) -> None:
    theirs, ours = pair(task=task)
    batch = make_batch(20, 20)
    del batch["token_type_ids"]
    batch["input_ids"][:, 9] = 3  # the separator that the question-answering class looks for
    with torch.no_grad():
        wanted, given = theirs(**batch), ours(**batch)
    names = [name for name in ("logits", "start_logits", "end_logits") if name in wanted]
    assert names
    for name in names:
        assert_near(given[name], wanted[name], what=name)


def test_dropout_runs_in_training_and_not_in_evaluation(pair: Pair, make_batch: MakeBatch) -> None:
    _, ours = pair(attention_probs_dropout_prob=0.5)
    batch = make_batch(60)
    with torch.no_grad():
        assert torch.equal(ours(**batch)[0], ours(**batch)[0])
        ours.train()
        assert not torch.equal(ours(**batch)[0], ours(**batch)[0])


def test_a_decoder_is_refused(make_stock: MakeStock) -> None:
    model = make_stock("big_bird")
    model.config.is_decoder = True
    with pytest.raises(ValueError, match="decoder"):
        install(model, KERNELS["blocked"])
    assert type(model) is stock.BigBirdModel


def test_install_touches_this_instance_alone_and_keeps_native_names(
    make_stock: MakeStock, pair: Pair
) -> None:
    bystander = make_stock("big_bird", "ner")
    theirs, ours = pair(task="ner")
    assert type(ours.bert) is bigbird.BigBirdModel
    kinds = {type(module) for module in bystander.modules()}
    assert not kinds & set(bigbird.NATIVE.values())
    assert type(make_stock("big_bird")) is stock.BigBirdModel
    assert [type(m).__name__ for m in ours.modules()] == [type(m).__name__ for m in theirs.modules()]
    assert ours.state_dict().keys() == theirs.state_dict().keys()
