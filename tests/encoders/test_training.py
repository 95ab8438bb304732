"""What training adds: bf16, checkpointing, dropout."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from longbio.attention import dense
from longbio.attention.kernels import KERNELS

Batch = dict[str, Tensor]
MakeOurs = Callable[..., Any]
Near = Callable[..., None]


TRAINABLE = [
    name
    for name, kernel in KERNELS.items()
    if kernel.supports(None, device=torch.device("cpu"), dtype=torch.float32, dropout=0.2) is None
]
"""The kernels that train on a CPU."""


@pytest.fixture(params=["longformer, few", "longformer, many", "big_bird, none"])
def case(request: pytest.FixtureRequest) -> list[str]:
    """A family, and how many global tokens it has: above some they aren't folded."""
    return str(request.param).split(", ")


@pytest.fixture
def family(case: list[str]) -> str:
    return case[0]


@pytest.fixture
def batch(case: list[str], make_batch: Callable[..., Batch]) -> Batch:
    made = make_batch(110, 57)
    if case[1] != "none":
        share = 0.05 if case[1] == "few" else 0.9
        chosen = (torch.rand(made["input_ids"].shape) < share).long() * made["attention_mask"]
        assert (int(chosen.sum()) > dense.FOLDED_TOKENS) == (case[1] == "many")
        made["global_attention_mask"] = chosen
    return made


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Of all numbers together: single ones are off by more in bf16."""
    ours, theirs = ours.detach().double(), theirs.detach().double()
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-6))


def compare_in_bf16(exact: Any, rough: Any, hidden: Tensor, wanted: Tensor, limit: float) -> None:
    assert relative(hidden, wanted) < limit
    compared = 0
    for (name, mine), other in zip(rough.named_parameters(), exact.parameters(), strict=True):
        if other.grad is None or "key.bias" in name or "key_global.bias" in name:
            continue  # the gradient of a key's bias is zero but for rounding
        assert mine.grad is not None, name
        assert relative(mine.grad, other.grad) < 8 * limit, name
        compared += 1
    assert compared > 35


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
def test_bf16_autocast(kernel: str, family: str, batch: Batch, make_ours: MakeOurs) -> None:
    """Where the stock BigBird raises."""
    exact = make_ours(family, kernel=kernel).train()
    rough = copy.deepcopy(exact)
    weight = torch.randn(*batch["input_ids"].shape, 32)
    wanted = exact(**batch).last_hidden_state
    (wanted * weight).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        hidden = rough(**batch).last_hidden_state
        (hidden * weight).sum().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in rough.parameters())
    compare_in_bf16(exact, rough, hidden, wanted, 0.02)


def test_float64_is_left_alone_by_autocast(batch: Batch, make_ours: MakeOurs, family: str) -> None:
    model = make_ours(family, kernel="reference").double()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model(**batch).last_hidden_state.dtype == torch.float64


def test_a_quantised_model_reads(make_ours: MakeOurs, make_batch: Callable[..., Batch]) -> None:
    """Its layers' weights are no tensors."""
    model = make_ours("big_bird")
    with warnings.catch_warnings(action="ignore"):
        quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})
    batch = make_batch(90)
    with torch.no_grad():
        ours, law = (each(**batch).last_hidden_state for each in (quantised, model))
    assert relative(ours, law) < 0.1


def test_stock_bigbird_raises_there(make_stock: MakeOurs, make_batch: Callable[..., Batch]) -> None:
    model, batch = make_stock("big_bird"), make_batch(110)
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(RuntimeError, match="scatter"):
        model(**batch)


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
def test_a_bf16_model(kernel: str, family: str, batch: Batch, make_ours: MakeOurs) -> None:
    exact = make_ours(family, kernel=kernel).train()
    rough = copy.deepcopy(exact).bfloat16()
    weight = torch.randn(*batch["input_ids"].shape, 32)
    wanted = exact(**batch).last_hidden_state
    (wanted * weight).sum().backward()
    hidden = rough(**batch).last_hidden_state
    assert hidden.dtype == torch.bfloat16
    (hidden * weight).sum().backward()
    compare_in_bf16(exact, rough, hidden, wanted, 0.03)


# The name of transformers' younger releases is unknown to the older ones that longbio allows.
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
@pytest.mark.parametrize("attention_dropout", [0.0, 0.2])
@pytest.mark.parametrize("kernel", TRAINABLE)
def test_gradient_checkpointing(
    kernel: str,
    attention_dropout: float,
    family: str,
    batch: Batch,
    make_ours: MakeOurs,
    assert_same_gradients: Callable[..., int],
) -> None:
    """Each layer runs again in the backward pass, and drops the same."""
    plain = make_ours(
        family, kernel=kernel, attention_probs_dropout_prob=attention_dropout, hidden_dropout_prob=0.1
    ).train()
    checked = copy.deepcopy(plain)
    checked.gradient_checkpointing_enable()
    calls: list[int] = []
    for layer in checked.encoder.layer:
        layer.attention.register_forward_pre_hook(lambda *_: calls.append(1))
    weight = torch.randn(*batch["input_ids"].shape, 32)
    outputs = []
    for model in (plain, checked):
        torch.manual_seed(3)
        outputs.append(model(**batch).last_hidden_state)
        (outputs[-1] * weight).sum().backward()
    assert torch.equal(*outputs)
    assert len(calls) == 6
    assert assert_same_gradients(checked, plain, limit=1e-5) > 40


def test_attention_dropout_is_drawn_anew(family: str, batch: Batch, make_ours: MakeOurs) -> None:
    """In every call and every layer, in the mean nothing; none in evaluation."""
    model = make_ours(family, attention_probs_dropout_prob=0.3)
    with torch.no_grad():
        assert torch.equal(model(**batch)[0], model(**batch)[0])
        model.train()
        torch.manual_seed(1)
        first, second = model(**batch)[0], model(**batch)[0]
        torch.manual_seed(1)
        again = model(**batch)[0]
    real = batch["attention_mask"].bool()
    assert ((first - second)[real].abs().amax(dim=1) > 1e-4).all()
    assert torch.equal(first, again)
