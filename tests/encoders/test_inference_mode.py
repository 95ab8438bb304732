"""A pass under `torch.inference_mode()` leaves nothing behind that a later training step trips over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from longbio.attention.blocks import block_sparse
from longbio.attention.kernels import KERNELS, Kernel
from longbio.attention.pattern import SparsePattern, sliding_window
from longbio.encoders import prepared_batch
from longbio.encoders.loading import set_kernel
from longbio.encoders.prepared_batch import batch_pattern

RUN_HERE = [
    name
    for name, kernel in KERNELS.items()
    if kernel.supports(None, device=torch.device("cpu"), dtype=torch.float32, dropout=0.0) is None
]


def given(case: str) -> dict[str, Any]:
    """What a batch is described by: nothing, masks, or a pattern that its caller keeps."""
    if case == "no mask":
        return {}
    mask = torch.ones(2, 48, dtype=torch.long)
    mask[1, 40:] = 0
    looks = torch.zeros_like(mask)
    looks[:, 0] = 1
    if case == "masks":
        return {"attention_mask": mask}
    return {"attention_mask": batch_pattern(mask, looks, None, (2, 48), torch.device("cpu"))}


@pytest.mark.parametrize("case", ["no mask", "masks", "a kept pattern"])
@pytest.mark.parametrize("kernel", RUN_HERE)
def test_training_goes_on_after_a_pass_in_inference_mode(
    kernel: str, case: str, family: str, make_ours: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_batch, "_whole", {})
    model, batch = make_ours(family, "mlm", kernel), given(case)
    ids = torch.randint(4, 60, (2, 48), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        model(ids, **batch)
    gradients = []
    for again in (batch, given(case)):
        model.zero_grad()
        model.train()(ids, labels=ids, **again).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) > 20
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


# torch's compiler imports a module of torch that torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_training_goes_on_after_another_kernel_in_inference_mode(
    family: str, make_ours: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        reason = KERNELS["flex"].supports(None, device=torch.device("cpu"), dtype=torch.float32, dropout=0.0)
    if reason is not None:
        pytest.skip(reason)
    monkeypatch.setattr(prepared_batch, "_whole", {})
    model = make_ours(family, "mlm", "flex")
    ids = torch.arange(4, 52)[None]
    with torch.inference_mode():
        model(ids)
    set_kernel(model, "blocked")
    model.train()(ids, labels=ids).loss.backward()


def patterns() -> list[SparsePattern]:
    valid = torch.ones(1, 40, dtype=torch.bool)
    valid[0, 33:] = False
    looks = torch.zeros_like(valid)
    looks[0, :3] = True
    return [
        sliding_window(valid, looks, window_tokens=4),
        block_sparse(valid, block_tokens=4, random_blocks=1, seed=0),
    ]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("kernel", [KERNELS[name] for name in RUN_HERE], ids=RUN_HERE)
def test_a_kernel_leaves_ordinary_tensors_in_a_pattern(kernel: Kernel, number: int) -> None:
    pattern = patterns()[number]
    three = [torch.randn(1, 2, 40, 8, requires_grad=True) for _ in range(3)]
    with torch.inference_mode():
        kernel.attend(*three, pattern)
        assert pattern.documents.tolist() == [[0, 33]]
    kernel.attend(*three, pattern).sum().backward()
    assert not pattern.documents.is_inference()
    assert not pattern.valid_BT.is_inference()
    assert not pattern.global_positions.is_inference()
