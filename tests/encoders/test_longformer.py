"""Our Longformer against Hugging Face's: hidden states, pooler and every gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.longformer import modeling_longformer as stock

from longbio.attention.kernels import KERNELS
from longbio.encoders import longformer
from longbio.encoders.longformer import install, refresh_global_projections

MakeStock = Callable[..., Any]
Batch = dict[str, Tensor]
MakeBatch = Callable[..., Batch]


@pytest.fixture
def pair(make_stock: MakeStock) -> Callable[..., tuple[Any, Any]]:
    """(stock model, ours) with the same random weights."""

    def make(kernel: str = "blocked", task: str = "features", **changes: Any) -> tuple[Any, Any]:
        theirs = make_stock("longformer", task, **changes)
        ours = copy.deepcopy(theirs)
        install(ours, KERNELS[kernel])
        return theirs, ours

    return make


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


def near(ours: Tensor, theirs: Tensor, limit: float = 1e-5) -> bool:
    assert ours.shape == theirs.shape
    return bool((ours - theirs).abs().max() <= limit * max(1.0, theirs.abs().max().item()))


BATCHES = {
    "one": (1,),
    "whole windows": (16, 32),
    "odd": (37, 11, 3),
    "long": (128, 90, 5),
    "longer than any window": (77,),
}


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES.keys())
def test_outputs_and_all_gradients(
    lengths: tuple[int, ...],
    share: float,
    side: str,
    kernel: str,
    pair: Callable[..., tuple[Any, Any]],
    make_batch: MakeBatch,
) -> None:
    theirs, ours = pair(kernel)
    batch = make_batch(*lengths, side=side)
    if share:
        batch = with_globals(batch, share)
    real = batch["attention_mask"].bool()
    draw = torch.Generator().manual_seed(1)
    weight = torch.randn(*real.shape, 32, generator=draw) * real[:, :, None]
    pooled_weight = torch.randn(len(real), 32, generator=draw) * real[:, :1]

    outputs, gradients = [], []
    for model, given in ((theirs, without_padding_globals(batch)), (ours, batch)):
        output = model(**given)
        loss = (output.last_hidden_state * weight).sum() + (output.pooler_output * pooled_weight).sum()
        loss.backward()
        outputs.append(output)
        gradients.append({name: p.grad for name, p in model.named_parameters()})

    assert near(outputs[1].last_hidden_state[real], outputs[0].last_hidden_state[real])
    assert near(outputs[1].pooler_output[real[:, 0]], outputs[0].pooler_output[real[:, 0]])
    assert gradients[0].keys() == gradients[1].keys()
    compared = 0
    for name, wanted in gradients[0].items():
        given = gradients[1][name]
        if wanted is None:
            # Without global tokens nothing flows through the global projections.
            assert "_global" in name
            assert given is None
            continue
        if given is None:
            given = torch.zeros_like(wanted)
        assert near(given, wanted, 3e-5), name
        compared += wanted.abs().sum().item() > 0
    assert compared > 40


@pytest.mark.parametrize("task", ["mlm", "ner", "classification", "qa"])
def test_every_task(task: str, pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch) -> None:
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
            assert near(logits, expected), name


def test_hidden_states_of_every_layer(pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch) -> None:
    theirs, ours = pair()
    batch = make_batch(37, 37)
    with torch.no_grad():
        wanted = theirs(**batch, output_hidden_states=True).hidden_states
        given = ours(**batch, output_hidden_states=True).hidden_states
        as_tuple = ours(**batch, return_dict=False)
    assert len(given) == len(wanted) == 4
    for one, other in zip(given, wanted, strict=True):
        assert near(one, other[:, :37])
    assert ours(**batch).hidden_states is None
    assert isinstance(as_tuple, tuple)
    assert torch.equal(as_tuple[0], given[-1])


def test_embeddings_instead_of_ids(pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch) -> None:
    theirs, ours = pair()
    draw = torch.Generator().manual_seed(0)
    inputs = {"inputs_embeds": torch.randn(2, 16, 32, generator=draw)}
    with torch.no_grad():
        assert near(ours(**inputs).last_hidden_state, theirs(**inputs).last_hidden_state)
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        ours()
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        ours(**inputs, **make_batch(16, 16))


def test_dropout_runs_in_training_and_not_in_evaluation(
    pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch
) -> None:
    _, ours = pair(attention_probs_dropout_prob=0.5)
    batch = with_globals(make_batch(37, 37), 0.2)
    with torch.no_grad():
        first, second = ours(**batch)[0], ours(**batch)[0]
        assert torch.equal(first, second)
        ours.train()
        assert not torch.equal(ours(**batch)[0], ours(**batch)[0])


def test_training_without_dropout_is_the_same_function(
    pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch
) -> None:
    _, ours = pair()
    batch = with_globals(make_batch(37, 37), 0.2)
    with torch.no_grad():
        assert torch.equal(ours.train()(**batch)[0], ours.eval()(**batch)[0])


def test_a_row_does_not_depend_on_its_batch(
    pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch
) -> None:
    _, ours = pair()
    batch = with_globals(make_batch(37, 90, 128), 0.1)
    with torch.no_grad():
        together = ours(**batch).last_hidden_state
        for row, length in enumerate((37, 90, 128)):
            alone = ours(**{name: tensor[row : row + 1, :length] for name, tensor in batch.items()})
            assert near(alone.last_hidden_state[0], together[row, :length])


def test_attentions_are_refused(pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch) -> None:
    _, ours = pair()
    with pytest.raises(ValueError, match="kernel='stock'"):
        ours(**make_batch(5), output_attentions=True)
    ours.config.output_attentions = True
    with pytest.raises(ValueError, match="kernel='stock'"):
        ours(**make_batch(5))


def test_too_long_a_batch_is_refused_with_numbers(
    pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch
) -> None:
    _, ours = pair()
    ours(**make_batch(128))
    with pytest.raises(ValueError, match="129 tokens and the model 128 positions"):
        ours(**make_batch(129))


def test_masks_of_another_shape_are_refused(
    pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch
) -> None:
    _, ours = pair()
    batch = make_batch(20, 20)
    for name in ("attention_mask", "global_attention_mask"):
        with pytest.raises(ValueError, match=r"the mask is \(2, 19\), the batch is \(2, 20\)"):
            ours(**(batch | {name: torch.ones(2, 19)}))


# The name of transformers' younger releases is unknown to the older ones that longbio allows.
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_gradient_checkpointing_gives_the_same_gradients(
    pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch
) -> None:
    _, plain = pair(attention_probs_dropout_prob=0.2, hidden_dropout_prob=0.1)
    checked = copy.deepcopy(plain)
    checked.gradient_checkpointing_enable()
    calls = []
    for layer in checked.encoder.layer:
        layer.attention.register_forward_pre_hook(lambda *_: calls.append(1))
    batch = with_globals(make_batch(37, 11), 0.2)
    for model in (plain, checked):
        torch.manual_seed(3)
        model.train()(**batch).last_hidden_state.square().sum().backward()
    assert len(calls) == 6  # each layer ran again in the backward pass
    for (name, one), other in zip(plain.named_parameters(), checked.parameters(), strict=True):
        if one.grad is None:
            assert other.grad is None
        else:
            assert near(other.grad, one.grad), name


def test_install_touches_this_instance_alone(make_stock: MakeStock, pair: Callable[..., Any]) -> None:
    bystander = make_stock("longformer", "ner")
    _, ours = pair(task="ner")
    assert type(ours.longformer) is longformer.LongformerModel
    kinds = {type(module) for module in bystander.modules()}
    assert stock.LongformerSelfAttention in kinds
    assert not kinds & set(longformer.NATIVE.values())
    fresh = make_stock("longformer")
    assert type(fresh) is stock.LongformerModel


def test_native_names(pair: Callable[..., tuple[Any, Any]]) -> None:
    theirs, ours = pair()
    assert type(ours).__name__ == "LongformerModel"
    assert [type(m).__name__ for m in ours.modules()] == [type(m).__name__ for m in theirs.modules()]
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_global_projections_are_refreshed(
    pair: Callable[..., tuple[Any, Any]], make_stock: MakeStock
) -> None:
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


def test_each_layer_has_its_own_window(pair: Callable[..., tuple[Any, Any]], make_batch: MakeBatch) -> None:
    """How far one layer of window 8 reads: 4 tokens, ends included."""
    for window, reach in ((8, 4), (16, 8)):
        _, ours = pair(num_hidden_layers=1, attention_window=[window])
        batch = make_batch(40)
        changed = batch | {"input_ids": batch["input_ids"].clone()}
        changed["input_ids"][0, 20] = 5 if batch["input_ids"][0, 20] != 5 else 6
        with torch.no_grad():
            apart = (ours(**batch)[0] - ours(**changed)[0]).abs().amax(dim=2)[0]
        assert (apart > 0).nonzero().flatten().tolist() == list(range(20 - reach, 20 + reach + 1))
