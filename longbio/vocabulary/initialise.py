"""What a new row of the embedding table begins with: one function a method, tensors in, rows out.

The table is the decoder's as well; the bias of a new piece is `mean_of_pieces`, whatever the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

Method = Literal["random", "gaussian", "mean", "contextual", "token-distillation"]

Calibration = Literal["norm", "none"]

NEEDS_CONTEXTS: tuple[Method, ...] = ("contextual", "token-distillation")


def random_rows(old_VH: Tensor, count: int, *, std: float, seed: int) -> Tensor:
    """(count, H) normal around zero, as a model's first rows were drawn: `std` is the config's
    `initializer_range`."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, old_VH.shape[1], generator=draw) * std


def gaussian_rows(old_VH: Tensor, count: int, *, seed: int) -> Tensor:
    """(count, H) with the mean and the covariance of the old rows (Hewitt 2021)."""
    old_VH = old_VH.double()
    mean_H = old_VH.mean(0)
    values, vectors = torch.linalg.eigh((old_VH - mean_H).T @ (old_VH - mean_H) / len(old_VH))
    draw = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, old_VH.shape[1], generator=draw, dtype=torch.float64)
    return (mean_H + drawn * values.clamp(min=0).sqrt() @ vectors.T).float()


def mean_of_pieces(old: Tensor, pieces: Sequence[Sequence[int]]) -> Tensor:
    """The mean over the old ids that each new piece was cut into: of rows (V, H), or of biases (V,)."""
    return torch.stack([old[torch.tensor(list(ids))].mean(0) for ids in pieces])


def mean_of_contexts(parts: Iterable[tuple[Tensor, Tensor]], count: int) -> Tensor:
    """(count, H) the mean over the contexts of each new piece, which has one at least.

    Args:
        parts: of the contexts: (C, H) states, and (C,) the new pieces they belong to, 0 to `count` - 1.
    """
    total_NH, contexts_N = torch.zeros(0), torch.zeros(count)
    for states_CH, owner_C in parts:
        if not len(total_NH):
            total_NH = torch.zeros(count, states_CH.shape[1], dtype=torch.float64)
        total_NH.index_add_(0, owner_C, states_CH.double())
        contexts_N += torch.bincount(owner_C, minlength=count)
    return (total_NH / contexts_N[:, None]).float()


def calibrate(rows_NH: Tensor, old_VH: Tensor, calibration: Calibration) -> Tensor:
    """`norm`: rows with the median length of the old ones, for a mean is shorter than what it is a mean of;
    `none` leaves them."""
    if calibration == "none":
        return rows_NH
    return rows_NH * (old_VH.norm(dim=1).median() / rows_NH.norm(dim=1, keepdim=True).clamp(min=1e-12))
