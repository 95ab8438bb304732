"""Rows that share a pass, and how they are filled up."""

from __future__ import annotations

import numpy as np
import torch

from longbio.encoders.batches import length_batches, mask_of, pad


def test_the_longest_come_first_and_padding_counts() -> None:
    assert list(length_batches([3, 9, 5, 5, 20], 10)) == [[4], [1], [2, 3], [0]]
    assert list(length_batches([], 10)) == []


def test_rows_are_filled_up_behind() -> None:
    rows = [np.array([7, 8, 9], dtype=np.uint16), [5]]
    assert pad(rows, -100).tolist() == [[7, 8, 9], [5, -100, -100]]
    assert pad(rows, 0, 4).tolist() == [[7, 8, 9, 0], [5, 0, 0, 0]]
    assert pad(rows, 0).dtype == torch.int64
    assert mask_of(rows).tolist() == [[1, 1, 1], [1, 0, 0]]
