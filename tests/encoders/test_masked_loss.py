"""Masked-LM models: the stock loss and gradients, from logits where there is something to predict."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from longbio.encoders.loading import quiet
from longbio.encoders.masked_loss import masked_lm_loss

Batch = dict[str, Tensor]
Pair = Callable[..., tuple[Any, Any]]
MakeOurs = Callable[..., Any]
Near = Callable[..., None]
WORDS = 60


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    """Full attention for a BigBird; labels at a few real tokens, none of them in the last row."""
    made = make_batch(28, 20, 9)
    chosen = (torch.rand(made["input_ids"].shape) < 0.3) & made["attention_mask"].bool()
    chosen[2] = False
    labels = torch.randint(5, WORDS, chosen.shape).masked_fill(~chosen, -100)
    assert int(chosen.sum()) > 5
    return made | {"labels": labels}


def head_of(model: Any) -> Any:
    return model.lm_head if hasattr(model, "lm_head") else model.cls


def test_loss_logits_and_gradients_are_the_stock_ones(
    family: str,
    make_pair: Pair,
    batch: Batch,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    theirs, ours = make_pair(family, "mlm")
    wanted, found = theirs(**batch), ours(**batch)
    chosen = batch["labels"] != -100
    assert found.loss.dtype == torch.float32
    assert_near(found.loss, wanted.loss)
    assert found.logits.shape == (int(chosen.sum()), WORDS)
    assert_near(found.logits, wanted.logits[chosen])
    wanted.loss.backward()
    found.loss.backward()
    assert assert_same_gradients(ours, theirs, limit=1e-5) > 40


def test_all_logits_when_asked_for(family: str, make_pair: Pair, batch: Batch, assert_near: Near) -> None:
    theirs, ours = make_pair(family, "mlm")
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        wanted, found = theirs(**batch), ours(**batch, full_logits=True)
        short = ours(**batch)
        del batch["labels"]
        without = ours(**batch)
    assert found.logits.shape == wanted.logits.shape == without.logits.shape
    assert_near(found.logits[real], wanted.logits[real])
    assert_near(found.loss, short.loss)
    assert without.loss is None
    assert torch.equal(without.logits, found.logits)


def test_the_items_of_all_batches_divide(
    family: str,
    make_ours: MakeOurs,
    batch: Batch,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    """Two batches that are accumulated give the gradients of the two in one."""
    together = make_ours(family, "mlm")
    apart = copy.deepcopy(together)
    items = int((batch["labels"] != -100).sum())
    whole = together(**batch)
    whole.loss.backward()
    losses = []
    for row in range(3):
        one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
        number: Any = items if row else torch.tensor(items)
        losses.append(apart(**one, num_items_in_batch=number).loss)
        losses[-1].backward()
    assert losses[2] == 0
    assert_near(torch.stack(losses).sum(), whole.loss)
    assert assert_same_gradients(apart, together, limit=1e-5) > 40


def test_a_batch_without_labels_is_zero_and_not_nan(family: str, make_ours: MakeOurs, batch: Batch) -> None:
    model = make_ours(family, "mlm")
    output = model(**(batch | {"labels": torch.full_like(batch["labels"], -100)}))
    assert output.loss == 0
    assert output.logits.shape == (0, WORDS)
    output.loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_positions_of_labels_can_be_given(family: str, make_ours: MakeOurs, batch: Batch) -> None:
    model = make_ours(family, "mlm")
    positions = (batch["labels"].flatten() != -100).nonzero().flatten()
    for full in (False, True):
        with torch.no_grad():
            found = model(**batch, full_logits=full)
            given = model(**batch, full_logits=full, label_positions=positions)
            fewer = model(**batch, full_logits=full, label_positions=positions[:-1])
        assert torch.equal(found.loss, given.loss)
        assert torch.equal(found.logits, given.logits)
        assert found.loss != fewer.loss  # they are what counts


@pytest.mark.parametrize(
    "labels", [torch.zeros(3, 27).long(), torch.zeros(84).long(), torch.zeros(1, 28).long()]
)
def test_labels_of_another_shape(labels: Tensor, family: str, make_ours: MakeOurs, batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"labels are \(.*\), the batch is \(3, 28\)"):
        make_ours(family, "mlm")(**(batch | {"labels": labels}))


def test_tuples(family: str, make_ours: MakeOurs, batch: Batch) -> None:
    model = make_ours(family, "mlm")
    with torch.no_grad():
        output = model(**batch)
        loss, logits = model(**batch, return_dict=False)
        *_, states = model(**batch, return_dict=False, output_hidden_states=True)
        model.config.return_dict = False
        by_config = model(**batch)
    assert torch.equal(loss, output.loss)
    assert torch.equal(logits, output.logits)
    assert isinstance(states, tuple)
    assert len(states) == 4
    assert isinstance(by_config, tuple)
    assert torch.equal(by_config[1], output.logits)


def test_saved_under_its_native_name(family: str, make_ours: MakeOurs, tmp_path: Path) -> None:
    model = make_ours(family, "mlm")
    with quiet():
        model.save_pretrained(tmp_path)
    names = {"longformer": "LongformerForMaskedLM", "big_bird": "BigBirdForMaskedLM"}
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [names[family]]
    assert type(model).__module__.startswith("longbio.")


class Sizes(TorchDispatchMode):
    """Sizes of all float tensors that operations make; of views too."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(one, Tensor) and one.is_floating_point():
                self.shapes.add(tuple(one.shape))
        return result


def test_logits_of_other_tokens_are_never_formed(
    family: str, make_ours: MakeOurs, make_batch: Callable[..., Batch]
) -> None:
    """Neither in the forward nor in the backward pass."""
    model = make_ours(family, "mlm", vocab_size=997)
    batch = make_batch(120, 90)
    labels = torch.full((2, 120), -100)
    labels[0, [3, 40, 77]] = 8
    labels[1, 5] = 9
    rows = []
    head_of(model).register_forward_pre_hook(lambda _, given: rows.append(tuple(given[0].shape)))
    with Sizes() as sizes:
        model(**batch, labels=labels).loss.backward()
    assert rows == [(4, 32)]
    with_words = {shape for shape in sizes.shapes if 997 in shape}
    assert (4, 997) in with_words
    # The embedding's own gradient apart.
    assert all(set(shape) <= {4, 997, 32, 1} for shape in with_words)

    rows.clear()
    model(**batch, labels=labels, full_logits=True)
    assert rows == [(2, 120, 32)]


def test_the_loss_is_float32_under_bf16() -> None:
    """A sum of 4,096 bfloat16 numbers would be off by percents."""
    hidden = torch.randn(2, 300, 8).bfloat16()
    weight = torch.randn(WORDS, 8).bfloat16()
    labels = torch.randint(WORDS, (2, 300))
    loss, logits = masked_lm_loss(hidden, lambda states: states @ weight.T, labels)
    assert loss is not None
    assert (loss.dtype, logits.dtype) == (torch.float32, torch.bfloat16)
    wanted = torch.nn.functional.cross_entropy(logits.double(), labels.flatten())
    assert (loss - wanted).abs() < 1e-5 * wanted
