"""Our BigBird: Hugging Face's where that is full attention, one function everywhere else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.big_bird import modeling_big_bird as stock

from longbio.attention.kernels import KERNELS
from longbio.encoders import bigbird
from longbio.encoders.bigbird import install, pattern_for

MakeStock = Callable[..., Any]
MakeBatch = Callable[..., dict[str, Tensor]]
FULL = 28


@pytest.fixture
def pair(make_stock: MakeStock) -> Callable[..., tuple[Any, Any]]:
    def make(kernel: str = "blocked", task: str = "features", **changes: Any) -> tuple[Any, Any]:
        theirs = make_stock("big_bird", task, **changes)
        ours = copy.deepcopy(theirs)
        install(ours, KERNELS[kernel])
        return theirs, ours

    return make


Pair = Callable[..., tuple[Any, Any]]


def near(ours: Tensor, theirs: Tensor, limit: float = 1e-5) -> bool:
    assert ours.shape == theirs.shape
    return bool((ours - theirs).abs().max() <= limit * max(1.0, theirs.abs().max().item()))


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("lengths", [(1,), (28, 9, 2), (13, 7)])
def test_outputs_and_all_gradients_in_the_full_range(
    lengths: tuple[int, ...], side: str, kernel: str, pair: Pair, make_batch: MakeBatch
) -> None:
    theirs, ours = pair(kernel)
    batch = make_batch(*lengths, side=side)
    real = batch["attention_mask"].bool()
    draw = torch.Generator().manual_seed(1)
    weight = torch.randn(*real.shape, 32, generator=draw) * real[:, :, None]
    pooled_weight = torch.randn(len(real), 32, generator=draw) * real[:, :1]

    outputs = []
    for model in (theirs, ours):
        output = model(**batch)
        loss = (output.last_hidden_state * weight).sum() + (output.pooler_output * pooled_weight).sum()
        loss.backward()
        outputs.append(output)
    assert near(outputs[1].last_hidden_state[real], outputs[0].last_hidden_state[real])
    assert near(outputs[1].pooler_output[real[:, 0]], outputs[0].pooler_output[real[:, 0]])
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        assert near(mine.grad, other.grad, 3e-5), name


def test_short_batches_come_back_to_the_pattern(pair: Pair, make_batch: MakeBatch) -> None:
    """A stock BigBird never does: after one short batch it reads everything in full."""
    theirs, ours = pair()
    long, short = make_batch(100), make_batch(20, seed=1)
    with torch.no_grad():
        first = ours(**long).last_hidden_state
        in_between = ours(**short).last_hidden_state
        again = ours(**long).last_hidden_state
        assert near(in_between, theirs(**short).last_hidden_state)
        in_full = theirs(**long).last_hidden_state  # now that it has seen a short one
    assert torch.equal(first, again)
    assert not near(first, in_full, 1e-2)
    assert ours.config.attention_type == "block_sparse"


def test_full_attention_by_config(pair: Pair, make_batch: MakeBatch) -> None:
    theirs, ours = pair(attention_type="original_full")
    batch = make_batch(100, 60)
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        assert near(ours(**batch)[0][real], theirs(**batch)[0][real])


def test_long_inputs_equal_the_law_and_a_dense_softmax(
    pair: Pair, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fast = pair()
    _, law = pair("reference")
    batch = make_batch(123, 70, 20)
    real = batch["attention_mask"].bool()
    pattern = pattern_for(fast.config, real)
    positions = torch.arange(123)
    bias = pattern.bias(positions, positions)
    assert bias[0].isinf().any()
    assert bias[2, :20, :20].isfinite().all()

    def dense(query: Tensor, key: Tensor, value: Tensor, _: Any, *, dropout: float = 0.0) -> Tensor:
        scores = query @ key.transpose(2, 3) / 4 + bias[:, None]
        return scores.softmax(-1).nan_to_num(0.0) @ value

    _, plain = pair()
    install(plain, dense)
    with torch.no_grad():
        wanted = plain(**batch)[0][real]
        assert near(fast(**batch)[0][real], wanted)
        assert near(law(**batch)[0][real], wanted)


def test_training_and_evaluation_are_one_function(pair: Pair, make_batch: MakeBatch) -> None:
    theirs, ours = pair()
    batch = make_batch(120, 100)
    with torch.no_grad():
        assert torch.equal(ours.train()(**batch)[0], ours.eval()(**batch)[0])
        # Which is what the stock class doesn't do.
        assert not near(theirs.train()(**batch)[0], theirs.eval()(**batch)[0], 1e-3)


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


def test_a_document_does_not_depend_on_its_batch(pair: Pair, make_batch: MakeBatch) -> None:
    _, ours = pair()
    lengths = (20, 45, 90, 128)
    batch = make_batch(*lengths)
    with torch.no_grad():
        together = ours(**batch).last_hidden_state
        for row, length in enumerate(lengths):
            alone = ours(**{name: tensor[row : row + 1, :length] for name, tensor in batch.items()})
            assert near(alone.last_hidden_state[0], together[row, :length])


def test_the_seed_in_the_config_draws_the_pattern(make_stock: MakeStock, make_batch: MakeBatch) -> None:
    batch = make_batch(120)
    results = []
    for seed in (0, 0, 1):
        model = make_stock("big_bird", random_pattern_seed=seed)
        install(model, KERNELS["blocked"])
        with torch.no_grad():
            results.append(model(**batch)[0])
    assert torch.equal(results[0], results[1])
    assert not near(results[0], results[2], 1e-3)


def test_hidden_states_of_every_layer(pair: Pair, make_batch: MakeBatch) -> None:
    theirs, ours = pair()
    batch = make_batch(20, 20)
    with torch.no_grad():
        wanted = theirs(**batch, output_hidden_states=True).hidden_states
        given = ours(**batch, output_hidden_states=True).hidden_states
        as_tuple = ours(**batch, return_dict=False)
    assert len(given) == len(wanted) == 4
    assert all(near(one, other) for one, other in zip(given, wanted, strict=True))
    assert ours(**batch).hidden_states is None
    assert torch.equal(as_tuple[0], given[-1])


@pytest.mark.parametrize("task", ["mlm", "ner", "classification", "qa"])
def test_every_task(task: str, pair: Pair, make_batch: MakeBatch) -> None:
    theirs, ours = pair(task=task)
    batch = make_batch(20, 20)
    del batch["token_type_ids"]
    batch["input_ids"][:, 9] = 3  # the separator that the question-answering class looks for
    with torch.no_grad():
        wanted, given = theirs(**batch), ours(**batch)
    names = [name for name in ("logits", "start_logits", "end_logits") if name in wanted]
    assert names
    for name in names:
        assert near(given[name], wanted[name]), name


def test_dropout_runs_in_training_and_not_in_evaluation(pair: Pair, make_batch: MakeBatch) -> None:
    _, ours = pair(attention_probs_dropout_prob=0.5)
    batch = make_batch(60)
    with torch.no_grad():
        assert torch.equal(ours(**batch)[0], ours(**batch)[0])
        ours.train()
        assert not torch.equal(ours(**batch)[0], ours(**batch)[0])


def test_attentions_are_refused(pair: Pair, make_batch: MakeBatch) -> None:
    _, ours = pair()
    with pytest.raises(ValueError, match="kernel='stock'"):
        ours(**make_batch(5), output_attentions=True)


def test_too_long_a_batch_is_refused_with_numbers(pair: Pair, make_batch: MakeBatch) -> None:
    _, ours = pair()
    ours(**make_batch(128))
    with pytest.raises(ValueError, match="129 tokens and the model 128 positions"):
        ours(**make_batch(129))


def test_a_decoder_is_refused(make_stock: MakeStock) -> None:
    model = make_stock("big_bird")
    model.config.is_decoder = True
    with pytest.raises(ValueError, match="decoder"):
        install(model, KERNELS["blocked"])
    assert type(model) is stock.BigBirdModel


# The name of transformers' younger releases is unknown to the older ones that longbio allows.
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_gradient_checkpointing_gives_the_same_gradients(pair: Pair, make_batch: MakeBatch) -> None:
    _, plain = pair(attention_probs_dropout_prob=0.2, hidden_dropout_prob=0.1)
    checked = copy.deepcopy(plain)
    checked.gradient_checkpointing_enable()
    calls = []
    for layer in checked.encoder.layer:
        layer.attention.register_forward_pre_hook(lambda *_: calls.append(1))
    batch = make_batch(60, 41)
    for model in (plain, checked):
        torch.manual_seed(3)
        model.train()(**batch).last_hidden_state.square().sum().backward()
    assert len(calls) == 6
    for (name, one), other in zip(plain.named_parameters(), checked.parameters(), strict=True):
        if one.grad is not None:
            assert near(other.grad, one.grad), name


def test_bf16_autocast_runs(pair: Pair, make_batch: MakeBatch) -> None:
    """Where the stock class raises."""
    _, ours = pair()
    batch = make_batch(120)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = ours.train()(**batch)[0]
        hidden.float().square().sum().backward()
    with torch.no_grad():
        assert near(hidden.float(), ours(**batch)[0], 0.1)


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
