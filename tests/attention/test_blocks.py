"""BigBird's blocks: which ones a block sees, and what they depend on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from longbio.attention.blocks import block_sparse, full_attention_tokens
from longbio.attention.pattern import SparsePattern

LENGTH, BLOCK, RANDOM = 200, 4, 2  # 50 blocks, full attention up to 36 tokens


def seen(pattern: SparsePattern) -> Tensor:
    """(B, T, T) bool."""
    positions = torch.arange(pattern.num_tokens)
    return pattern.bias(positions, positions)[:, 0].isfinite()


def ones(rows: int, length: int) -> Tensor:
    return torch.ones(rows, length, dtype=torch.bool)


def blocks_of(valid: Tensor, seed: int = 0, document: Tensor | None = None) -> Tensor:
    """(B, N, N) counts."""
    pattern = block_sparse(valid, block_tokens=BLOCK, random_blocks=RANDOM, seed=seed, document_BT=document)
    assert pattern.counts_BHNN is not None
    assert pattern.counts_BHNN.shape[1] == 1
    return pattern.counts_BHNN[:, 0]


def looks_at(counts_NN: Tensor, block: int) -> set[int]:
    return set(counts_NN[block].nonzero().flatten().tolist())


def test_every_inner_block_has_its_ends_its_neighbours_and_so_many_random_ones() -> None:
    counts = blocks_of(ones(1, LENGTH))[0]
    assert set(counts.unique().tolist()) == {0, 1}
    for block in range(50):
        look = looks_at(counts, block)
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
            look = looks_at(counts[row], block)
            fixed = {first, last, block - 1, block, block + 1}
            assert len(look - fixed) == RANDOM, (row, block)
            assert all(first < other < last for other in look - fixed)


def test_random_blocks_are_numbered_from_the_documents_own_first_block() -> None:
    """Padding before a document by whole blocks changes nothing of it."""
    valid = ones(1, LENGTH)
    valid[0, : 10 * BLOCK] = False
    counts = blocks_of(valid)[0]
    assert torch.equal(counts[10:, 10:], blocks_of(ones(1, LENGTH - 10 * BLOCK))[0])
    assert counts[:10].sum() == counts[:, :10].sum() == 0


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


def test_a_packed_document_depends_on_nothing_in_its_row() -> None:
    lengths = (70, 30, 93)  # 18, 8 and 24 blocks; the second one is read whole
    document = torch.full((1, LENGTH), -1)
    first, places = 0, []
    for number, length in enumerate(lengths):
        document[0, first * BLOCK : first * BLOCK + length] = number
        places.append((first, first + -(-length // BLOCK)))
        first = places[-1][1]
    counts = blocks_of(document >= 0, document=document)[0]
    outside = counts.clone()
    for length, (start, stop) in zip(lengths, places, strict=True):
        assert torch.equal(counts[start:stop, start:stop], blocks_of(ones(1, length))[0])
        outside[start:stop, start:stop] = 0
    assert outside.sum() == 0
    assert counts[18:26, 18:26].min() == 1


@pytest.mark.parametrize("start", [1, 3, 6])
def test_packed_documents_off_the_block_border_are_refused(start: int) -> None:
    document = torch.zeros(2, 12, dtype=torch.int64)
    document[1, start:] = 1
    reason = f"a document starts at token {start} of row 1; with blocks of 4 every packed document starts on"
    with pytest.raises(ValueError, match=reason):
        block_sparse(ones(2, 12), block_tokens=4, random_blocks=1, seed=0, document_BT=document)


def test_a_document_in_two_pieces_is_refused() -> None:
    document = torch.tensor([[0] * 4 + [1] * 4 + [0] * 4])
    with pytest.raises(ValueError, match="document_ids come back after another document"):
        block_sparse(ones(1, 12), block_tokens=4, random_blocks=1, seed=0, document_BT=document)


def test_a_single_document_may_start_anywhere() -> None:
    valid = ones(1, LENGTH)
    valid[0, :7] = False
    counts = blocks_of(valid)[0]
    assert looks_at(counts, 0) == set()
    assert looks_at(counts, 1) == set(range(1, 50))


def test_longer_rows_keep_the_random_blocks_of_shorter_ones() -> None:
    """As far as they have them: a row that grows by a block changes few of its blocks."""
    short, long = blocks_of(ones(1, 160))[0], blocks_of(ones(1, 164))[0]
    kept = (short[1:38, 1:38] == long[1:38, 1:38]).float().mean()
    assert kept > 0.97


def test_short_rows_are_read_whole_and_longer_ones_are_not() -> None:
    limit = (5 + 2 * RANDOM) * BLOCK
    assert full_attention_tokens(BLOCK, RANDOM) == limit
    position = torch.arange(LENGTH)
    valid = torch.stack([position < limit, position < limit + 1, position >= LENGTH - limit])
    look = seen(block_sparse(valid, block_tokens=BLOCK, random_blocks=RANDOM, seed=0))
    assert look[0, :limit, :limit].all()
    assert not look[1, : limit + 1, : limit + 1].all()
    assert look[2, -limit:, -limit:].all()


def test_padding_inside_a_document_does_not_count_to_its_length() -> None:
    limit = full_attention_tokens(BLOCK, RANDOM)
    valid = ones(2, limit + 10)
    valid[0, 5:15] = False
    valid[1, 5:14] = False
    look = seen(block_sparse(valid, block_tokens=BLOCK, random_blocks=RANDOM, seed=0))
    assert look[0][valid[0]][:, valid[0]].all()
    assert not look[1][valid[1]][:, valid[1]].all()
    assert not look[0, 5:15].any()


def test_a_batch_of_padding_has_no_blocks() -> None:
    assert blocks_of(~ones(2, 13)).sum() == 0


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
        drawn[block] = sorted(looks_at(counts, block) - {0, 49, block - 1, block, block + 1})
    assert drawn == {1: [13, 15], 10: [30, 41], 25: [18, 31], 40: [27, 37]}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: block_sparse(torch.ones(2, 3), block_tokens=1, random_blocks=1, seed=0), "valid_BT is"),
        (
            lambda: block_sparse(ones(2, 3), block_tokens=0, random_blocks=1, seed=0),
            "block_tokens is 0 and random_blocks is 1",
        ),
        (
            lambda: block_sparse(ones(2, 3), block_tokens=1, random_blocks=-1, seed=0),
            "block_tokens is 1 and random_blocks is -1",
        ),
    ],
)
def test_wrong_masks_and_sizes_are_refused(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()
