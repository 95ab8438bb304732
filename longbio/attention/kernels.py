"""The table of kernels, and the choice among them."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from longbio.attention import blocked, reference
from longbio.attention.pattern import SparsePattern


class Kernel(Protocol):
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


KERNELS: dict[str, Kernel] = {
    "reference": reference.attend,
    "blocked": blocked.attend,
}

DEFAULT = "blocked"


def choose(name: str) -> Kernel:
    """The kernel of this name; `auto` is `blocked`, which runs on every device.

    Raises:
        ValueError: no kernel has this name.
    """
    chosen = DEFAULT if name == "auto" else name
    if chosen not in KERNELS:
        raise ValueError(f"there is no kernel {name!r}; the kernels are auto, {', '.join(KERNELS)}")
    return KERNELS[chosen]
