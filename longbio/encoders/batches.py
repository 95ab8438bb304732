"""Rows of unequal length together: which of them share a pass, and what fills the shorter ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORED = -100
"""A label from which nothing is learned."""

Numbers = Sequence[int] | NDArray[Any]


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Numbers of rows that share a pass: the longest first, at least one, and with padding no more tokens
    than `batch_tokens`."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    while order:
        size = max(1, batch_tokens // max(1, lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def pad(rows: Sequence[Numbers], value: int, num_tokens: int | None = None) -> Tensor:
    """(B, T) int64: rows filled up behind.

    Args:
        rows: integers or bools.
        value: that fills.
        num_tokens: T; the longest row's when None.
    """
    longest = max(map(len, rows)) if num_tokens is None else num_tokens
    padded = np.full((len(rows), longest), value, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)


def mask_of(rows: Sequence[Numbers]) -> Tensor:
    """(B, T) int64: 1 for what is there, 0 for padding."""
    return pad([np.ones(len(row)) for row in rows], 0)
