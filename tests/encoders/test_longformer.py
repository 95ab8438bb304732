"""Our Longformer against Hugging Face's: hidden states, pooler and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.longformer import modeling_longformer as stock

from longbio.attention import dense
from longbio.encoders import longformer
from longbio.encoders.longformer import refresh_global_projections

MakeStock = Callable[..., Any]
Pair = Callable[..., tuple[Any, Any]]
Batch = dict[str, Tensor]
MakeBatch = Callable[..., Batch]
Near = Callable[..., None]


@pytest.fixture
def pair(make_pair: Pair) -> Pair:
    """(stock model, ours) with the same random weights."""
    return partial(make_pair, "longformer")


def with_globals(batch: Batch, share: float, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.rand(batch["input_ids"].shape, generator=draw) < share
    # Also over padding, which is never global, and none at all in the last row.
    chosen[-1] = False
    return batch | {"global_attention_mask": chosen.long()}


def without_padding_globals(batch: Batch) -> Batch:
    """Stock code lets padding be global; only ours takes care of it."""
    if "global_attention_mask" not in batch:
        return batch
    return batch | {"global_attention_mask": batch["global_attention_mask"] * batch["attention_mask"]}


BATCHES = {
    "one": (1,),
    "whole windows": (16, 32),
    "odd": (37, 11, 3),
    "long": (128, 90, 5),
    "longer than any window": (77,),
}


@pytest.fixture
def dense_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the dense functions that ran, in order."""
    ran: list[str] = []
    for name in ("attend_from_few", "attend_from_global"):
        honest = getattr(dense, name)

        def told(*given: Any, _name: str = name, _honest: Any = honest, **options: Any) -> Tensor:
            ran.append(_name)
            return _honest(*given, **options)

        monkeypatch.setattr(dense, name, told)
    return ran


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES.keys())
def test_outputs_and_all_gradients(
    lengths: tuple[int, ...],
    share: float,
    side: str,
    kernel: str,
    pair: Pair,
    make_batch: MakeBatch,
    dense_paths: list[str],
    assert_same_function: Callable[..., int],
) -> None:
    theirs, ours = pair(kernel=kernel)
    batch = make_batch(*lengths, side=side)
    if share:
        batch = with_globals(batch, share)
    assert assert_same_function(theirs, ours, batch) > 40

    count = int(without_padding_globals(batch).get("global_attention_mask", torch.zeros(1)).sum())
    path = "attend_from_few" if count <= dense.FOLDED_TOKENS else "attend_from_global"
    assert dense_paths == ([path] * 3 if count else [])
    for name, parameter in ours.named_parameters():
        # Without global tokens nothing flows through the global projections, and nothing else stops.
        assert (parameter.grad is None) == ("_global" in name and not count), name


@pytest.mark.parametrize("count", [3, 70])
def test_4096_tokens(
    count: int,
    pair: Pair,
    make_batch: MakeBatch,
    dense_paths: list[str],
    assert_same_function: Callable[..., int],
) -> None:
    theirs, ours = pair(
        max_position_embeddings=4097,
        num_hidden_layers=1,
        attention_window=[64],
        hidden_size=16,
        intermediate_size=16,
    )
    batch = make_batch(4096, 3000)
    chosen = torch.zeros_like(batch["input_ids"])
    places = torch.randperm(3000, generator=torch.Generator().manual_seed(0))[:count]
    chosen[0, places[: count // 3]] = 1
    chosen[1, places[count // 3 :]] = 1
    batch["global_attention_mask"] = chosen
    assert assert_same_function(theirs, ours, batch, limit=1e-4) > 10
    assert dense_paths == ["attend_from_few" if count == 3 else "attend_from_global"]


def test_padding_inside_a_row(
    pair: Pair, make_batch: MakeBatch, assert_same_function: Callable[..., int]
) -> None:
    theirs, ours = pair()
    batch = with_globals(make_batch(90, 77), 0.1)
    batch["attention_mask"][0, 20:50] = 0
    batch["attention_mask"][1, 3] = 0
    assert assert_same_function(theirs, ours, batch) > 40


@pytest.mark.parametrize("task", ["mlm", "ner", "classification", "qa"])
def test_every_task(task: str, pair: Pair, make_batch: MakeBatch, assert_near: Near) -> None:
    theirs, ours = pair(task=task)
    batch = without_padding_globals(with_globals(make_batch(37, 11, 3), 0.2))
    with torch.no_grad():
        wanted, given = theirs(**batch), ours(**batch)
    for name in ("logits", "start_logits", "end_logits"):
        if name in wanted:
            logits, expected = given[name], wanted[name]
            if expected.dim() > 1 and expected.shape[1] == 37:
                real = batch["attention_mask"].bool()
                logits, expected = logits[real], expected[real]
            assert_near(logits, expected, what=name)


def test_hidden_states_of_every_layer(pair: Pair, make_batch: MakeBatch, assert_near: Near) -> None:
    theirs, ours = pair()
    batch = make_batch(37, 37)
    with torch.no_grad():
        wanted = theirs(**batch, output_hidden_states=True).hidden_states
        given = ours(**batch, output_hidden_states=True).hidden_states
        as_tuple = ours(**batch, return_dict=False)
    assert len(given) == len(wanted) == 4
    for one, other in zip(given, wanted, strict=True):
        assert_near(one, other[:, :37])
    assert ours(**batch).hidden_states is None
    assert isinstance(as_tuple, tuple)
    assert torch.equal(as_tuple[0], given[-1])


def test_embeddings_instead_of_ids(pair: Pair, assert_near: Near) -> None:
    theirs, ours = pair()
    draw = torch.Generator().manual_seed(0)
    inputs = {"inputs_embeds": torch.randn(2, 16, 32, generator=draw)}
    with torch.no_grad():
        assert_near(ours(**inputs).last_hidden_state, theirs(**inputs).last_hidden_state)


def test_dropout_runs_in_training_and_not_in_evaluation(pair: Pair, make_batch: MakeBatch) -> None:
    _, ours = pair(attention_probs_dropout_prob=0.5)
    batch = with_globals(make_batch(37, 37), 0.2)
    with torch.no_grad():
        first, second = ours(**batch)[0], ours(**batch)[0]
        assert torch.equal(first, second)
        ours.train()
        assert not torch.equal(ours(**batch)[0], ours(**batch)[0])


def test_training_without_dropout_is_the_same_function(pair: Pair, make_batch: MakeBatch) -> None:
    _, ours = pair()
    batch = with_globals(make_batch(37, 37), 0.2)
    with torch.no_grad():
        assert torch.equal(ours.train()(**batch)[0], ours.eval()(**batch)[0])


def test_a_row_does_not_depend_on_its_batch(pair: Pair, make_batch: MakeBatch, assert_near: Near) -> None:
    _, ours = pair()
    batch = with_globals(make_batch(37, 90, 128), 0.1)
    with torch.no_grad():
        together = ours(**batch).last_hidden_state
        for row, length in enumerate((37, 90, 128)):
            alone = ours(**{name: tensor[row : row + 1, :length] for name, tensor in batch.items()})
            assert_near(alone.last_hidden_state[0], together[row, :length])


def test_install_touches_this_instance_alone(make_stock: MakeStock, pair: Pair) -> None:
    bystander = make_stock("longformer", "ner")
    _, ours = pair(task="ner")
    assert type(ours.longformer) is longformer.LongformerModel
    kinds = {type(module) for module in bystander.modules()}
    assert stock.LongformerSelfAttention in kinds
    assert not kinds & set(longformer.NATIVE.values())
    fresh = make_stock("longformer")
    assert type(fresh) is stock.LongformerModel


def test_native_names(pair: Pair) -> None:
    theirs, ours = pair()
    assert type(ours).__name__ == "LongformerModel"
    assert [type(m).__name__ for m in ours.modules()] == [type(m).__name__ for m in theirs.modules()]
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_global_projections_are_refreshed(pair: Pair, make_stock: MakeStock) -> None:
    _, ours = pair()
    states = [layer.attention.self for layer in ours.encoder.layer]
    assert not torch.equal(states[0].query.weight, states[0].query_global.weight)
    refresh_global_projections(ours)
    for attention in states:
        for name in ("query", "key", "value"):
            local, broad = getattr(attention, name), getattr(attention, f"{name}_global")
            assert torch.equal(local.weight, broad.weight)
            assert torch.equal(local.bias, broad.bias)
            assert local.weight.data_ptr() != broad.weight.data_ptr()

    bigbird = make_stock("big_bird")
    before = {name: weight.clone() for name, weight in bigbird.state_dict().items()}
    refresh_global_projections(bigbird)
    assert all(torch.equal(weight, before[name]) for name, weight in bigbird.state_dict().items())


def test_each_layer_has_its_own_window(pair: Pair, make_batch: MakeBatch) -> None:
    """How far one layer of window 8 reads: 4 tokens, ends included."""
    for window, reach in ((8, 4), (16, 8)):
        _, ours = pair(num_hidden_layers=1, attention_window=[window])
        batch = make_batch(40)
        changed = batch | {"input_ids": batch["input_ids"].clone()}
        changed["input_ids"][0, 20] = 5 if batch["input_ids"][0, 20] != 5 else 6
        with torch.no_grad():
            apart = (ours(**batch)[0] - ours(**changed)[0]).abs().amax(dim=2)[0]
        assert (apart > 0).nonzero().flatten().tolist() == list(range(20 - reach, 20 + reach + 1))
