"""Who sees whom."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from longbio.attention.pattern import SparsePattern, block_sparse, sliding_window


def seen(pattern: SparsePattern) -> Tensor:
    """(B, T, T) bool."""
    positions = torch.arange(pattern.num_tokens)
    return pattern.bias(positions, positions).isfinite()


def ones(rows: int, length: int) -> Tensor:
    return torch.ones(rows, length, dtype=torch.bool)


def test_window_includes_both_ends() -> None:
    look = seen(sliding_window(ones(1, 20), None, window_tokens=3))[0]
    assert look[10].nonzero().flatten().tolist() == [7, 8, 9, 10, 11, 12, 13]
    assert look[0].nonzero().flatten().tolist() == [0, 1, 2, 3]
    assert look[19].nonzero().flatten().tolist() == [16, 17, 18, 19]


def test_every_query_sees_global_tokens_and_they_are_queries_like_any_other() -> None:
    chosen = torch.zeros(1, 20, dtype=torch.bool)
    chosen[0, [4, 15]] = True
    look = seen(sliding_window(ones(1, 20), chosen, window_tokens=1))[0]
    assert look[:, 4].all()
    assert look[:, 15].all()
    assert look[4].nonzero().flatten().tolist() == [3, 4, 5, 15]


def test_padding_sees_nothing_is_seen_by_nothing_and_is_never_global() -> None:
    valid = ones(2, 12)
    valid[0, 8:] = False
    chosen = torch.zeros(2, 12, dtype=torch.bool)
    chosen[0, [2, 9]] = True
    pattern = sliding_window(valid, chosen, window_tokens=2)
    look = seen(pattern)
    assert not look[0, 8:].any()
    assert not look[0, :, 8:].any()
    assert pattern.global_BT.nonzero().tolist() == [[0, 2]]


def test_bias_is_zero_or_the_logarithm_of_the_count() -> None:
    window = sliding_window(ones(1, 4), None, window_tokens=1)
    positions = torch.arange(4)
    assert window.bias(positions, positions)[0, 0].tolist() == [0, 0, -torch.inf, -torch.inf]

    pattern = SparsePattern(
        ones(1, 4),
        torch.zeros(1, 4, dtype=torch.bool),
        block_tokens=2,
        counts_BNN=torch.tensor([[[1, 4], [0, 2]]]),
    )
    bias = pattern.bias(positions, positions)[0]
    assert torch.allclose(bias[0], torch.tensor([1.0, 1.0, 4.0, 4.0]).log())
    assert torch.allclose(bias[3], torch.tensor([0.0, 0.0, 2.0, 2.0]).log())


@pytest.mark.parametrize("kind", ["window", "block"])
def test_bias_of_some_positions_is_a_part_of_the_whole(
    kind: str, window_pattern: Callable[..., SparsePattern], block_pattern: Callable[..., SparsePattern]
) -> None:
    pattern = window_pattern(41, 4, "many") if kind == "window" else block_pattern(41, 2)
    every = torch.arange(41)
    whole = pattern.bias(every, every)
    draw = torch.Generator().manual_seed(0)
    queries, keys = torch.randint(41, (5, 7), generator=draw), torch.randint(41, (5, 9), generator=draw)
    part = pattern.bias(queries, keys)
    rows = torch.arange(5)[:, None, None]
    assert torch.equal(part, whole[rows, queries[:, :, None], keys[:, None, :]])
    assert torch.equal(pattern.bias(queries[0], keys[0]), whole[:, queries[0]][:, :, keys[0]])


def test_global_rows_are_padded_to_the_largest_number() -> None:
    chosen = torch.zeros(3, 9, dtype=torch.bool)
    chosen[0, [0, 5, 8]] = True
    chosen[2, 4] = True
    found = sliding_window(ones(3, 9), chosen, window_tokens=1).global_rows()
    assert found is not None
    index, real = found
    assert index.tolist() == [[0, 5, 8], [0, 0, 0], [4, 0, 0]]
    assert real.tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    assert sliding_window(ones(3, 9), None, window_tokens=1).global_rows() is None


LENGTH, BLOCK, RANDOM = 200, 4, 2  # 50 blocks, full attention up to 36 tokens


def blocks_of(valid: Tensor, seed: int = 0) -> Tensor:
    pattern = block_sparse(valid, block_tokens=BLOCK, random_blocks=RANDOM, seed=seed)
    assert pattern.counts_BNN is not None
    return pattern.counts_BNN


def test_every_inner_block_has_its_ends_its_neighbours_and_so_many_random_ones() -> None:
    counts = blocks_of(ones(1, LENGTH))[0]
    assert set(counts.unique().tolist()) == {0, 1}
    for block in range(50):
        look = set(counts[block].nonzero().flatten().tolist())
        if block in (0, 49):
            assert look == set(range(50))
            continue
        fixed = {0, 49, block - 1, block, block + 1}
        assert fixed <= look
        assert len(look - fixed) == RANDOM, block


def test_random_blocks_are_real_ones_wherever_the_padding_is() -> None:
    position = torch.arange(LENGTH)
    valid = torch.stack([position < 110, position >= 90])  # blocks 0-27, blocks 22-49
    counts = blocks_of(valid)
    for row, (first, last) in enumerate([(0, 27), (22, 49)]):
        for block in range(first + 1, last):
            look = set(counts[row, block].nonzero().flatten().tolist())
            fixed = {first, last, block - 1, block, block + 1}
            assert len(look - fixed) == RANDOM, (row, block)
            assert all(first < other < last for other in look - fixed)


def test_random_blocks_differ_between_blocks_and_seeds() -> None:
    first, second = blocks_of(ones(1, LENGTH))[0], blocks_of(ones(1, LENGTH), seed=1)[0]
    assert len({tuple(row.tolist()) for row in first[1:-1]}) == 48
    differing = (first != second).any(dim=1)[2:-2].float().mean()
    assert differing > 0.8
    # Drawn from everywhere: a stock BigBird takes those of 4,096 tokens from the first 1,024.
    drawn = first.clone()
    drawn[:, [0, 49]] = 0
    drawn = drawn.triu(2) + drawn.tril(-2)
    assert drawn[1:-1, 25:].sum() > 0.3 * drawn[1:-1].sum()


def test_a_row_depends_on_nothing_in_its_batch() -> None:
    position = torch.arange(LENGTH)
    valid = torch.stack([position < length for length in (200, 150, 30, 61)])
    together = blocks_of(valid)
    for row in range(4):
        assert torch.equal(blocks_of(valid[row : row + 1])[0], together[row])
        # Nor on how far the batch is padded.
        length = int(valid[row].sum())
        alone = blocks_of(ones(1, length))[0]
        number = len(alone)
        assert torch.equal(alone, together[row, :number, :number])


def test_longer_rows_keep_the_random_blocks_of_shorter_ones() -> None:
    """As far as they have them: a row that grows by a block changes few of its blocks."""
    short, long = blocks_of(ones(1, 160))[0], blocks_of(ones(1, 164))[0]
    kept = (short[1:38, 1:38] == long[1:38, 1:38]).float().mean()
    assert kept > 0.97


def test_short_rows_are_read_whole_and_longer_ones_are_not() -> None:
    limit = (5 + 2 * RANDOM) * BLOCK
    position = torch.arange(LENGTH)
    valid = torch.stack([position < limit, position < limit + 1, position >= LENGTH - limit])
    look = seen(block_sparse(valid, block_tokens=BLOCK, random_blocks=RANDOM, seed=0))
    assert look[0, :limit, :limit].all()
    assert not look[1, : limit + 1, : limit + 1].all()
    assert look[2, -limit:, -limit:].all()


def test_the_pattern_is_the_seeds_alone() -> None:
    wanted = blocks_of(ones(2, LENGTH))
    with torch.random.fork_rng():
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            before = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()
            assert torch.equal(blocks_of(ones(2, LENGTH)), wanted)
            assert (np.random.get_state()[1] == before[0]).all()
            assert torch.equal(torch.get_rng_state(), before[1])
            assert random.getstate() == before[2]


def test_the_pattern_stays_what_models_were_trained_with() -> None:
    """These blocks are part of every BigBird that was trained here: changing them changes models."""
    counts = blocks_of(ones(1, LENGTH))[0]
    drawn = {}
    for block in (1, 10, 25, 40):
        look = set(counts[block].nonzero().flatten().tolist())
        drawn[block] = sorted(look - {0, 49, block - 1, block, block + 1})
    assert drawn == {1: [13, 15], 10: [30, 41], 25: [18, 31], 40: [27, 37]}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: sliding_window(torch.ones(2, 3), None, window_tokens=1), "valid_BT is torch.float32"),
        (lambda: sliding_window(ones(2, 3)[0], None, window_tokens=1), "shape"),
        (lambda: sliding_window(ones(2, 3), torch.ones(2, 3), window_tokens=1), "global_BT is torch.float32"),
        (lambda: sliding_window(ones(2, 3), ones(2, 4), window_tokens=1), r"\(2, 4\), valid_BT is \(2, 3\)"),
        (lambda: sliding_window(ones(2, 3), None, window_tokens=0), "at least 1 token"),
        (lambda: block_sparse(torch.ones(2, 3), block_tokens=1, random_blocks=1, seed=0), "valid_BT"),
        (lambda: block_sparse(ones(2, 3), block_tokens=0, random_blocks=1, seed=0), "block_tokens is 0"),
        (lambda: block_sparse(ones(2, 3), block_tokens=1, random_blocks=-1, seed=0), "random_blocks is -1"),
    ],
)
def test_wrong_masks_and_sizes_are_refused(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()
