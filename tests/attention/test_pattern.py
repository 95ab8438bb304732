"""Who sees whom through a window, what a document is, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from longbio.attention.blocks import block_sparse
from longbio.attention.pattern import (
    PADDING,
    SparsePattern,
    check_tensors,
    number_documents,
    sliding_window,
)


def seen(pattern: SparsePattern) -> Tensor:
    """(B, T, T) bool."""
    positions = torch.arange(pattern.num_tokens)
    bias = pattern.bias(positions, positions)
    assert bias.shape[1] == 1
    return bias[:, 0].isfinite()


def looks_at(look_TT: Tensor, query: int) -> list[int]:
    return look_TT[query].nonzero().flatten().tolist()


def ones(rows: int, length: int) -> Tensor:
    return torch.ones(rows, length, dtype=torch.bool)


def at(positions: list[int], length: int) -> Tensor:
    """(1, length) bool, True at these."""
    return torch.zeros(1, length, dtype=torch.bool).index_fill(1, torch.tensor(positions), True)


def test_window_includes_both_ends() -> None:
    look = seen(sliding_window(ones(1, 20), None, window_tokens=3))[0]
    assert looks_at(look, 10) == [7, 8, 9, 10, 11, 12, 13]
    assert looks_at(look, 0) == [0, 1, 2, 3]
    assert looks_at(look, 19) == [16, 17, 18, 19]


def test_every_query_sees_global_tokens_and_they_are_queries_like_any_other() -> None:
    look = seen(sliding_window(ones(1, 20), at([4, 15], 20), window_tokens=1))[0]
    assert look[:, 4].all()
    assert look[:, 15].all()
    assert looks_at(look, 4) == [3, 4, 5, 15]


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
    assert pattern.document_BT.tolist() == [[0] * 8 + [PADDING] * 4, [0] * 12]
    assert torch.equal(pattern.valid_BT, valid)


def test_documents_see_neither_their_neighbours_nor_their_global_tokens() -> None:
    document = torch.tensor([[7, 7, 7, 7, 7, 3, 3, 3, -1, 3, 9, 9]])
    pattern = sliding_window(document >= 0, at([0, 7, 10], 12), window_tokens=1, document_BT=document)
    look = seen(pattern)[0]
    assert looks_at(look, 4) == [0, 3, 4]  # not 5, its neighbour in another document
    assert looks_at(look, 5) == [5, 6, 7]
    assert looks_at(look, 9) == [7, 9]  # padding inside a document parts it in no way
    assert looks_at(look, 8) == []
    assert looks_at(look, 11) == [10, 11]
    assert pattern.documents.tolist() == [[0, 5], [5, 10], [10, 12]]


def test_documents_of_rows_of_equal_numbers_are_different_ones() -> None:
    valid = ones(3, 4)
    valid[0, 0] = valid[1, 2] = valid[2, 2:] = False
    pattern = sliding_window(valid, None, window_tokens=9)
    assert pattern.documents.tolist() == [[1, 4], [4, 8], [8, 10]]
    assert pattern.documents is pattern.documents  # made once


def test_a_batch_of_padding_has_no_documents() -> None:
    pattern = sliding_window(~ones(2, 5), ones(2, 5), window_tokens=1)
    assert pattern.documents.shape == (0, 2)
    assert not pattern.has_globals
    assert not seen(pattern).any()


@pytest.mark.parametrize("row", [[0, 0, 1, 0], [5, -1, 2, -1, 5], [0, 1, 2, 0]])
def test_a_document_in_two_pieces_is_refused(row: list[int]) -> None:
    document = torch.tensor([[0] * len(row), row])
    pattern = sliding_window(document >= 0, None, window_tokens=1, document_BT=document)
    with pytest.raises(ValueError, match="document_ids come back after another document"):
        _ = pattern.documents


def test_documents_take_any_integers_and_negative_ones_are_padding() -> None:
    valid = torch.tensor([[True, True, True, False]])
    given = torch.tensor([[4, 4, -7, 4]], dtype=torch.int32)
    assert number_documents(valid, given).tolist() == [[4, 4, -1, -1]]
    assert number_documents(valid, given).dtype == torch.int64
    assert number_documents(valid, None).tolist() == [[0, 0, 0, -1]]


def test_global_positions_are_flat_and_ascending() -> None:
    chosen = torch.zeros(3, 9, dtype=torch.bool)
    chosen[0, [8, 0, 5]] = True
    chosen[2, 4] = True
    pattern = sliding_window(ones(3, 9), chosen, window_tokens=1)
    assert pattern.global_positions.tolist() == [0, 5, 8, 22]
    assert pattern.has_globals
    assert not sliding_window(ones(3, 9), None, window_tokens=1).has_globals


def test_bias_is_zero_or_the_logarithm_of_the_count_of_each_head() -> None:
    window = sliding_window(ones(1, 4), None, window_tokens=1)
    positions = torch.arange(4)
    bias = window.bias(positions, positions)
    assert bias.shape == (1, 1, 4, 4)
    assert bias.dtype == torch.float32
    assert bias[0, 0, 0].tolist() == [0, 0, -torch.inf, -torch.inf]

    document = torch.tensor([[0, 0, 0, -1]])
    pattern = SparsePattern(
        document,
        torch.zeros(1, 4, dtype=torch.bool),
        block_tokens=2,
        counts_BHNN=torch.tensor([[[[1, 4], [0, 2]], [[3, 0], [1, 1]]]]),
    )
    wanted = torch.tensor(
        [
            [[1, 1, 4, 0], [1, 1, 4, 0], [0, 0, 2, 0], [0, 0, 0, 0]],
            [[3, 3, 0, 0], [3, 3, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]],
        ]
    )
    assert torch.equal(pattern.bias(positions, positions), wanted[None].log())


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
    assert torch.equal(part[:, 0], whole[:, 0][rows, queries[:, :, None], keys[:, None, :]])
    assert torch.equal(pattern.bias(queries[0], keys[0]), whole[:, :, queries[0]][..., keys[0]])


@pytest.mark.parametrize("kind", ["window", "block"])
def test_a_pattern_elsewhere_remembers_where_it_came_from(
    kind: str, pattern_of: Callable[..., SparsePattern]
) -> None:
    """The device `meta` holds no values: whatever is known there was not copied back."""
    pattern = pattern_of(kind, 30)
    assert pattern.to("cpu") is pattern
    assert pattern.on_host is pattern
    moved = pattern.to("meta")
    assert moved.to("meta") is moved
    assert moved.device == torch.device("meta")
    assert moved.on_host is pattern
    assert moved.to("cpu") is pattern
    assert torch.equal(moved.documents, pattern.documents)
    assert torch.equal(moved.global_positions, pattern.global_positions)
    assert (moved.window_tokens, moved.block_tokens) == (pattern.window_tokens, pattern.block_tokens)
    if pattern.counts_BHNN is None:
        assert moved.counts_BHNN is None
    else:
        assert moved.counts_BHNN is not None
        assert moved.counts_BHNN.shape == pattern.counts_BHNN.shape
    assert pattern.cache is not moved.cache


WINDOW = {"window_tokens": 1}
IDS = r"document_ids are torch\.{} of shape \({}\); give integers of shape \(2, 3\)"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: sliding_window(torch.ones(2, 3), None, **WINDOW),
            r"valid_BT is torch.float32 of shape \(2, 3\); give a bool mask \(batch, tokens\)",
        ),
        (lambda: sliding_window(ones(2, 3)[0], None, **WINDOW), r"valid_BT is torch.bool of shape \(3,\)"),
        (
            lambda: sliding_window(ones(2, 3), torch.ones(2, 3), **WINDOW),
            r"global_BT is torch.float32 of shape \(2, 3\); give a bool mask",
        ),
        (
            lambda: sliding_window(ones(2, 3), ones(2, 4), **WINDOW),
            r"global_BT is \(2, 4\), valid_BT is \(2, 3\)",
        ),
        (
            lambda: sliding_window(ones(2, 3), None, window_tokens=0),
            "window_tokens is 0, but a window has at least 1 token each side",
        ),
        (lambda: number_documents(ones(2, 3), torch.zeros(2, 3)), IDS.format("float32", "2, 3")),
        (lambda: number_documents(ones(2, 3), ones(2, 3)), IDS.format("bool", "2, 3")),
        (lambda: number_documents(ones(2, 3), torch.zeros(2, 4).long()), IDS.format("int64", "2, 4")),
        (
            lambda: sliding_window(ones(2, 3), None, document_BT=torch.zeros(3).long(), **WINDOW),
            IDS.format("int64", "3,"),
        ),
        (
            lambda: block_sparse(
                ones(2, 3), block_tokens=1, random_blocks=1, seed=0, document_BT=torch.zeros(2, 3)
            ),
            IDS.format("float32", "2, 3"),
        ),
    ],
)
def test_wrong_masks_and_documents_are_refused(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


def tensor(*shape: int, **options: Any) -> Tensor:
    return torch.zeros(*shape, **options)


@pytest.mark.parametrize(
    ("given", "dropout", "reason"),
    [
        (
            (tensor(2, 2, 5, 4), tensor(2, 2, 5, 4), tensor(2, 2, 5, 8)),
            0.0,
            r"query \(2, 2, 5, 4\), key \(2, 2, 5, 4\), value \(2, 2, 5, 8\): "
            r"give three of one shape \(batch, heads, tokens, head size\)",
        ),
        ((tensor(2, 5, 4),) * 3, 0.0, r"query \(2, 5, 4\), .*give three of one shape"),
        (
            (tensor(2, 2, 5, 4), tensor(2, 2, 5, 4).half(), tensor(2, 2, 5, 4)),
            0.0,
            "query, key and value are torch.float16, torch.float32; give one float dtype",
        ),
        (
            (tensor(2, 2, 5, 4).long(),) * 3,
            0.0,
            "query, key and value are torch.int64; give one float dtype",
        ),
        ((tensor(2, 2, 6, 4),) * 3, 0.0, "query has 2 rows of 6 tokens, the pattern 2 of 5"),
        ((tensor(1, 2, 5, 4),) * 3, 0.0, "query has 1 rows of 5 tokens, the pattern 2 of 5"),
        (
            (tensor(2, 2, 5, 4, device="meta"),) * 3,
            0.0,
            r"query is on meta, the pattern on cpu; move it: pattern.to\(device\)",
        ),
        ((tensor(2, 2, 5, 4),) * 3, 1.0, "dropout is 1.0; give a probability below 1"),
        ((tensor(2, 2, 5, 4),) * 3, -0.1, "dropout is -0.1; give a probability below 1"),
    ],
)
def test_tensors_that_do_not_fit_the_pattern_are_refused(
    given: tuple[Tensor, Tensor, Tensor], dropout: float, reason: str
) -> None:
    pattern = sliding_window(ones(2, 5), None, window_tokens=1)
    with pytest.raises(ValueError, match=reason):
        check_tensors(*given, pattern, dropout)


def test_tensors_of_another_number_of_heads_are_refused() -> None:
    document = torch.zeros(2, 5, dtype=torch.int64)
    counts = torch.ones(2, 3, 5, 5, dtype=torch.int64)
    nowhere = torch.zeros(2, 5, dtype=torch.bool)
    pattern = SparsePattern(document, nowhere, block_tokens=1, counts_BHNN=counts)
    check_tensors(*(tensor(2, 3, 5, 4),) * 3, pattern, 0.0)
    with pytest.raises(ValueError, match="the pattern is for 3 heads, query has 2"):
        check_tensors(*(tensor(2, 2, 5, 4),) * 3, pattern, 0.0)
    shared = SparsePattern(document, nowhere, block_tokens=1, counts_BHNN=counts[:, :1])
    check_tensors(*(tensor(2, 2, 5, 4),) * 3, shared, 0.9)
