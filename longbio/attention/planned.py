"""What the kernels share that derive a plan from each pattern: checks before work, and the plan made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor
from torch.nn import functional

from longbio.attention.pattern import SparsePattern, check_tensors


class Attend(Protocol):
    """One signature for every kernel; `reference.attend` documents it."""

    def __call__(
        self,
        query_BHTD: Tensor,
        key_BHTD: Tensor,
        value_BHTD: Tensor,
        pattern: SparsePattern,
        *,
        dropout: float = 0.0,
    ) -> Tensor: ...


Prepare = Callable[[SparsePattern], None]
"""Derives from a pattern what the kernel needs, once; all layers read it."""

Three = tuple[Tensor, Tensor, Tensor]
"""Query, key and value."""


def attend_by_plan(
    name: str,
    make_plan: Callable[[SparsePattern], Any],
    run: Callable[[Three, SparsePattern, Any, float], Tensor],
) -> tuple[Attend, Prepare]:
    """`attend` and `prepare` of a kernel.

    Args:
        name: under which the plan is kept with its pattern.
        make_plan: raises ValueError where the kernel can't do such a pattern.
        run: of query, key and value, each (B, H, T, D), the pattern, its plan and the dropout.
    """

    def prepare(pattern: SparsePattern) -> None:
        pattern.once(name, lambda: make_plan(pattern))

    def attend(
        query_BHTD: Tensor,
        key_BHTD: Tensor,
        value_BHTD: Tensor,
        pattern: SparsePattern,
        *,
        dropout: float = 0.0,
    ) -> Tensor:
        check_tensors(query_BHTD, key_BHTD, value_BHTD, pattern, dropout)
        prepare(pattern)
        return run((query_BHTD, key_BHTD, value_BHTD), pattern, pattern.cache[name], dropout)

    for function in (attend, prepare):
        # Pickled by its name in the kernel's module: a pattern travels between processes with its kernel.
        function.__module__, function.__qualname__ = run.__module__, function.__name__
    return attend, prepare


def flatten(tensor_BHTD: Tensor, step: int = 1) -> Tensor:
    """(B * T, H, D), D filled up with zeros to a multiple of `step`; a view of what was one projection."""
    flat_NHD = tensor_BHTD.transpose(1, 2).flatten(0, 1)
    missing = -flat_NHD.shape[2] % step
    return functional.pad(flat_NHD, (0, missing)) if missing else flat_NHD


def refuse_heads(pattern: SparsePattern) -> str | None:
    """Why a pattern can't be cut into tiles, or None."""
    differs = pattern.counts_BHNN is not None and pattern.counts_BHNN.shape[1] > 1
    return "a pattern that differs from head to head runs on `reference` only" if differs else None
