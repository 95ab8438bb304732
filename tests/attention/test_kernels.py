"""The table of kernels, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from longbio.attention import blocked, flash, flex, kernels, reference, xformers
from longbio.attention.kernels import (
    KERNELS,
    PREFERRED,
    USES,
    Kernel,
    auto_choices,
    choose,
    kernel_named,
    reasons,
)
from longbio.attention.pattern import SparsePattern

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def pattern(window_pattern: Callable[..., SparsePattern]) -> SparsePattern:
    return window_pattern(20, 4)


def kernel_that(name: str, supports: Callable[..., str | None]) -> Kernel:
    return Kernel(name, reference.attend, supports, reference.prepare)


def test_the_table() -> None:
    modules = {
        "reference": reference,
        "blocked": blocked,
        "flex": flex,
        "flash": flash,
        "xformers": xformers,
    }
    assert list(KERNELS) == list(modules)
    for name, module in modules.items():
        kernel = KERNELS[name]
        assert kernel.name == name
        assert (kernel.attend, kernel.supports, kernel.prepare) == (
            module.attend,
            module.supports,
            module.prepare,
        )
    assert PREFERRED["cpu"] == ("blocked", "reference")
    assert PREFERRED["cuda"] == ("flash", "flex", "xformers", "blocked", "reference")


def test_by_name() -> None:
    assert kernel_named("auto") is None
    for name in KERNELS:
        assert kernel_named(name) is KERNELS[name]
    for name in ("stock", "", "Blocked"):
        with pytest.raises(
            ValueError, match=f"no kernel '{name}'; the kernels are auto, reference, blocked, flex"
        ):
            kernel_named(name)


def test_what_runs_everywhere() -> None:
    for device in (CPU, CUDA, torch.device("mps")):
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            for name in ("reference", "blocked"):
                assert KERNELS[name].supports(None, device=device, dtype=dtype, dropout=0.1) is None


def test_patterns_that_differ_from_head_to_head_run_on_the_reference_alone(pattern: SparsePattern) -> None:
    by_head = SparsePattern(
        pattern.document_BT,
        torch.zeros_like(pattern.global_BT),
        block_tokens=4,
        counts_BHNN=torch.ones(5, 2, 5, 5, dtype=torch.int64),
    )
    options: dict[str, Any] = {"device": CPU, "dtype": torch.float32, "dropout": 0.0}
    told = KERNELS["blocked"].supports(by_head, **options)
    assert told is not None
    assert "head to head" in told
    assert choose(None, by_head, dtype=torch.float32) is KERNELS["reference"]


def test_auto_on_a_cpu(pattern: SparsePattern) -> None:
    for dropout in (0.0, 0.1):
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                assert choose(None, pattern, dtype=torch.float32, dropout=dropout) is KERNELS["blocked"]
    # Devices without an order of their own are treated as a CPU.
    assert choose(None, pattern.to("meta"), dtype=torch.float32) is KERNELS["blocked"]


def test_auto_takes_the_first_that_can(pattern: SparsePattern, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def tells(name: str, can: Callable[[Any, float], bool]) -> Kernel:
        def supports(one: Any, *, device: Any, dtype: Any, dropout: float) -> str | None:
            asked.append((name, one, device, dtype, dropout))
            return None if can(dtype, dropout) else "it can't"

        return kernel_that(name, supports)

    table = {
        "no dropout": tells("no dropout", lambda dtype, dropout: not dropout),
        "half": tells("half", lambda dtype, dropout: dtype == torch.bfloat16),
        "all": tells("all", lambda dtype, dropout: True),
    }
    monkeypatch.setattr(kernels, "KERNELS", table)
    monkeypatch.setattr(kernels, "PREFERRED", {"cpu": tuple(table)})
    assert choose(None, pattern, dtype=torch.float32).name == "no dropout"
    assert asked == [("no dropout", pattern, CPU, torch.float32, 0.0)]
    assert choose(None, pattern, dtype=torch.bfloat16, dropout=0.1).name == "half"
    assert choose(None, pattern, dtype=torch.float32, dropout=0.1).name == "all"


def test_a_named_one_that_cannot_says_why(pattern: SparsePattern) -> None:
    picky = kernel_that("picky", lambda *_, **__: "it is Sunday")
    with pytest.raises(
        ValueError, match="kernel 'picky' can't run here: it is Sunday; kernel='auto' picks one"
    ):
        choose(picky, pattern, dtype=torch.float32)
    with pytest.raises(ValueError, match="kernel 'flex' can't run here: FlexAttention has no dropout"):
        choose(KERNELS["flex"], pattern, dtype=torch.float32, dropout=0.1)
    # A named one is never replaced, though another is preferred.
    assert choose(KERNELS["reference"], pattern, dtype=torch.float32) is KERNELS["reference"]


WITHOUT_DROPOUT = ("flex",)
"""Kernels whose library has no dropout of attention weights."""


@pytest.mark.parametrize("device", [CPU, CUDA], ids=["cpu", "cuda"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_no_kernel_that_cannot_drop_is_used_for_it(dtype: torch.dtype, device: torch.device) -> None:
    for name in WITHOUT_DROPOUT:
        told = KERNELS[name].supports(None, device=device, dtype=dtype, dropout=0.1)
        assert told is not None
        assert "dropout" in told


def test_auto_for_a_model_that_trains_with_dropout(
    pattern: SparsePattern, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where every kernel's device is at hand: FlexAttention first, as if on CUDA."""
    monkeypatch.setitem(
        KERNELS,
        "flex",
        kernel_that("flex", lambda *_, dropout, **__: "FlexAttention has no dropout" if dropout else None),
    )
    monkeypatch.setitem(PREFERRED, "cpu", ("flex", "blocked", "reference"))
    assert choose(None, pattern, dtype=torch.float32, dropout=0.0).name == "flex"
    assert choose(None, pattern, dtype=torch.float32, dropout=0.1).name == "blocked"


def test_reasons_by_kernel_and_use() -> None:
    found = reasons(CPU, torch.float32)
    assert list(found) == list(KERNELS)
    assert all(list(told) == list(USES) for told in found.values())
    assert set(found["reference"].values()) == set(found["blocked"].values()) == {None}
    flexs = found["flex"]
    assert flexs["training with attention dropout"] == "FlexAttention has no dropout"
    assert "no backward pass on a CPU" in str(flexs["training"])
    assert flexs["inference"] != flexs["training"]
    for name in ("flash", "xformers"):
        assert all(told for told in found[name].values()), name
    assert torch.is_grad_enabled()


def test_auto_choices_are_what_auto_chooses(pattern: SparsePattern) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        made = auto_choices(CPU, dtype)
        assert list(made) == list(USES)
        for use, (gradients, dropout) in USES.items():
            with torch.set_grad_enabled(gradients):
                assert made[use] == choose(None, pattern, dtype=dtype, dropout=dropout).name
