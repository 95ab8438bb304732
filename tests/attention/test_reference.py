"""The law against a softmax written out by hand, in float64, from a predicate of two positions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from longbio.attention import reference
from longbio.attention.pattern import SparsePattern, block_sparse, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Count = Callable[[int, int, int], int]


def by_hand(query: Tensor, key: Tensor, value: Tensor, count: Count) -> Tensor:
    """Each key counts `count(row, query, key)` times; a query that sees nothing gives zero."""
    query, key, value = (tensor.detach().double() for tensor in (query, key, value))
    rows, heads, length, size = query.shape
    output = torch.zeros_like(query)
    for row in range(rows):
        for q in range(length):
            counts = torch.tensor([count(row, q, k) for k in range(length)]).double()
            if counts.sum() == 0:
                continue
            for head in range(heads):
                scores = key[row, head] @ query[row, head, q] / size**0.5
                weights = counts * (scores - scores.max()).exp()
                output[row, head, q] = (weights / weights.sum()) @ value[row, head]
    return output


@pytest.mark.parametrize("globals_", ["no", "few", "many", "all"])
@pytest.mark.parametrize(("length", "window"), [(1, 1), (7, 1), (40, 5), (40, 100)])
def test_sliding_window(
    length: int, window: int, globals_: str, tensors: Tensors, window_pattern: Callable[..., SparsePattern]
) -> None:
    pattern = window_pattern(length, window, globals_)
    valid, chosen = pattern.valid_BT, pattern.global_BT

    def count(row: int, q: int, k: int) -> int:
        if not (valid[row, q] and valid[row, k]):
            return 0
        return int(abs(q - k) <= window or bool(chosen[row, k]))

    query, key, value, _ = tensors(length, rows=5)
    output = reference.attend(query, key, value, pattern)
    assert (output - by_hand(query, key, value, count)).abs().max() < 1e-6


@pytest.mark.parametrize(("length", "block"), [(1, 4), (29, 3), (41, 2)])
def test_blocks(
    length: int, block: int, tensors: Tensors, block_pattern: Callable[..., SparsePattern]
) -> None:
    pattern = block_pattern(length, block)
    assert pattern.counts_BNN is not None
    valid, counts = pattern.valid_BT, pattern.counts_BNN

    def count(row: int, q: int, k: int) -> int:
        if not (valid[row, q] and valid[row, k]):
            return 0
        return int(counts[row, q // block, k // block])

    query, key, value, _ = tensors(length, rows=5)
    output = reference.attend(query, key, value, pattern)
    assert (output - by_hand(query, key, value, count)).abs().max() < 1e-6


def test_a_block_that_counts_twice_weighs_twice(tensors: Tensors) -> None:
    valid = torch.ones(1, 9, dtype=torch.bool)
    pattern = SparsePattern(
        valid,
        torch.zeros_like(valid),
        block_tokens=3,
        counts_BNN=torch.tensor([[[1, 0, 4], [2, 1, 0], [0, 3, 1]]]),
    )

    def count(row: int, q: int, k: int) -> int:
        return [[1, 0, 4], [2, 1, 0], [0, 3, 1]][q // 3][k // 3]

    query, key, value, _ = tensors(9, rows=1)
    output = reference.attend(query, key, value, pattern)
    assert (output - by_hand(query, key, value, count)).abs().max() < 1e-6


def test_length_above_the_query_chunk(tensors: Tensors) -> None:
    """The law works in chunks; the chunks must not show."""
    length = 2 * reference.QUERY_CHUNK + 5
    valid = torch.ones(1, length, dtype=torch.bool)
    query, key, value, _ = tensors(length, rows=1, heads=1)
    output = reference.attend(query, key, value, sliding_window(valid, None, window_tokens=3))

    far = (torch.arange(length)[:, None] - torch.arange(length)).abs() > 3
    scores = (query.double() @ key.double().transpose(2, 3) / 4).masked_fill(far, -torch.inf)
    assert (output - scores.softmax(-1) @ value.double()).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, tensors: Tensors) -> None:
    valid = torch.ones(2, 50, dtype=torch.bool)
    pattern = block_sparse(valid, block_tokens=4, random_blocks=1, seed=0)
    query, key, value, _ = tensors(50, rows=2, dtype=dtype)
    output = reference.attend(query, key, value, pattern)
    exact = reference.attend(query.float(), key.float(), value.float(), pattern)
    assert output.dtype == dtype
    assert torch.equal(output, exact.to(dtype))


def test_dropout_drops_weights_and_keeps_the_mean(tensors: Tensors) -> None:
    valid = torch.ones(1, 64, dtype=torch.bool)
    pattern = sliding_window(valid, None, window_tokens=64)
    query, key, _, _ = tensors(64, rows=1, heads=8)
    torch.manual_seed(0)
    # Values of a unit basis: the output is the matrix of weights itself.
    eye = torch.eye(64).expand(1, 8, 64, 64)
    weights = reference.attend(query, key, eye, pattern, dropout=0.25)
    kept = weights / reference.attend(query, key, eye, pattern)
    assert ((kept == 0) | ((kept - 4 / 3).abs() < 1e-4)).all()
    assert abs((kept == 0).float().mean().item() - 0.25) < 0.01
