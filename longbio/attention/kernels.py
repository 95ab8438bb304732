"""The table of kernels, what can run where, and the choice among them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

import torch

from longbio.attention import blocked, flash, flex, reference, xformers
from longbio.attention.pattern import SparsePattern
from longbio.attention.planned import Attend, Prepare

logger = logging.getLogger(__name__)


class Supports(Protocol):
    """Why a kernel can't run this, in words for the user, or None where it can.

    `pattern` is None where only the machine is asked about.
    """

    def __call__(
        self,
        pattern: SparsePattern | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
        dropout: float,
    ) -> str | None: ...


@dataclass(frozen=True)
class Kernel:
    """One way to compute attention; `name` is what a user calls it."""

    name: str
    attend: Attend
    supports: Supports
    prepare: Prepare


KERNELS: dict[str, Kernel] = {
    "reference": Kernel("reference", reference.attend, reference.supports, reference.prepare),
    "blocked": Kernel("blocked", blocked.attend, blocked.supports, blocked.prepare),
    "flex": Kernel("flex", flex.attend, flex.supports, flex.prepare),
    "flash": Kernel("flash", flash.attend, flash.supports, flash.prepare),
    "xformers": Kernel("xformers", xformers.attend, xformers.supports, xformers.prepare),
}
"""By name, the law first."""

PREFERRED: dict[str, tuple[str, ...]] = {
    "cpu": ("blocked", "reference"),
    "cuda": ("flash", "flex", "xformers", "blocked", "reference"),
}
"""What `auto` tries, in order, by device; other devices are treated as a CPU is."""


def kernel_named(name: str) -> Kernel | None:
    """The kernel of this name; None for `auto`, which is chosen once the input is known."""
    if name == "auto":
        return None
    if name not in KERNELS:
        raise ValueError(f"there is no kernel {name!r}; the kernels are auto, {', '.join(KERNELS)}")
    return KERNELS[name]


def choose(
    kernel: Kernel | None,
    pattern: SparsePattern,
    *,
    dtype: torch.dtype,
    dropout: float = 0.0,
) -> Kernel:
    """The kernel that runs this pattern; None chooses the first preferred one that can.

    Args:
        dtype: of queries, keys and values.
        dropout: of attention weights; 0 outside training.

    Raises:
        ValueError: the kernel that was asked for can't run this, with its reason.
    """
    if kernel is not None:
        reason = kernel.supports(pattern, device=pattern.device, dtype=dtype, dropout=dropout)
        if reason is not None:
            raise ValueError(f"kernel {kernel.name!r} can't run here: {reason}; kernel='auto' picks one")
        return kernel
    for name in PREFERRED.get(pattern.device.type, PREFERRED["cpu"]):
        candidate = KERNELS[name]
        if candidate.supports(pattern, device=pattern.device, dtype=dtype, dropout=dropout) is None:
            return candidate
    raise AssertionError("the reference runs everything")


USES: dict[str, tuple[bool, float]] = {
    "inference": (False, 0.0),
    "training": (True, 0.0),
    "training with attention dropout": (True, 0.1),
}
"""What a kernel may be wanted for: whether gradients are, and the dropout of attention weights."""


def reasons(device: torch.device, dtype: torch.dtype) -> dict[str, dict[str, str | None]]:
    """For every kernel and use, why it can't run on this device, or None."""
    reasons_of: dict[str, dict[str, str | None]] = {name: {} for name in KERNELS}
    for use, (gradients, dropout) in USES.items():
        with torch.set_grad_enabled(gradients):
            for name, kernel in KERNELS.items():
                reasons_of[name][use] = kernel.supports(None, device=device, dtype=dtype, dropout=dropout)
    return reasons_of


def auto_choices(device: torch.device, dtype: torch.dtype) -> dict[str, str]:
    """What `auto` chooses for each use of a Longformer on this device."""
    why_not = reasons(device, dtype)
    preferred = PREFERRED.get(device.type, PREFERRED["cpu"])
    return {use: next(name for name in preferred if why_not[name][use] is None) for use in USES}
