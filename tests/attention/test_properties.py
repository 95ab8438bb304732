"""`blocked` against the law on patterns that nobody thought of."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from longbio.attention import blocked, tiles
from longbio.attention.blocks import block_sparse
from longbio.attention.pattern import PADDING, SparsePattern, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Check = Callable[..., None]

pytestmark = pytest.mark.usefixtures("hollow_memory")

# The fixtures only make functions, the same for every example.
PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HEAD_SIZES = st.sampled_from([16, 32, 64])
LENGTHS = st.one_of(st.integers(1, 300), st.integers(150, 300))
# Small tiles have more of everything: borders, keys that are far away, biases that are shared.
TILES = st.sampled_from([128, 5, 16, 32])
FEW = st.sampled_from([tiles.FEW_GLOBALS, 4, 0])


def without(valid_T: Tensor, draw: st.DrawFn) -> Tensor:
    """Less padding to the left, to the right, inside, or of everything."""
    length = len(valid_T)
    position = torch.arange(length)
    kind = draw(st.sampled_from(["no", "no", "left", "right", "inside", "scattered", "all"]))
    first, last = sorted(draw(st.tuples(st.integers(0, length), st.integers(0, length))))
    padding_T = {
        "no": position < 0,
        "left": position < first,
        "right": position >= last,
        "inside": (position >= first) & (position < last),
        "scattered": position % 7 == first % 7,
        "all": position >= 0,
    }[kind]
    return valid_T & ~padding_T


def global_tokens(length: int, draw: st.DrawFn) -> Tensor:
    """(T,) bool: none, single ones, a third or all of the tokens."""
    kind = draw(st.sampled_from(["none", "few", "few", "many", "all"]))
    chosen_T = torch.zeros(length, dtype=torch.bool)
    if kind == "few":
        chosen_T[draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=5))] = True
    elif kind == "many":
        seed = draw(st.integers(0, 99))
        chosen_T = torch.rand(length, generator=torch.Generator().manual_seed(seed)) < 0.3
    return chosen_T if kind != "all" else ~chosen_T


def documents(length: int, size: int, draw: st.DrawFn) -> Tensor:
    """(T,) int64: documents that start on multiples of `size`, with any number as their name."""
    borders = draw(st.lists(st.integers(0, (length - 1) // size), min_size=2, max_size=5))
    starts_T = torch.zeros(length, dtype=torch.int64)
    starts_T[[border * size for border in borders if border]] = 1
    names = torch.tensor(draw(st.permutations(range(6))))
    return names[starts_T.cumsum(0)]


@st.composite
def windows(draw: st.DrawFn) -> SparsePattern:
    rows, length = draw(st.integers(1, 3)), draw(LENGTHS)
    window_tokens = draw(st.one_of(st.integers(1, 9), st.integers(1, 40), st.integers(1, 310)))
    packed = draw(st.booleans())
    valid = torch.stack([without(torch.ones(length, dtype=torch.bool), draw) for _ in range(rows)])
    chosen = torch.stack([global_tokens(length, draw) for _ in range(rows)])
    document = torch.stack([documents(length, 1, draw) for _ in range(rows)]) if packed else None
    return sliding_window(valid, chosen, window_tokens=window_tokens, document_BT=document)


@st.composite
def blocks(draw: st.DrawFn) -> SparsePattern:
    rows, length = draw(st.integers(1, 3)), draw(LENGTHS)
    size = draw(st.one_of(st.integers(2, 4), st.integers(2, 16)))
    random_blocks = draw(st.integers(0, 3))
    valid = torch.stack([without(torch.ones(length, dtype=torch.bool), draw) for _ in range(rows)])
    document = None
    if draw(st.booleans()):
        document = torch.stack([documents(length, size, draw) for _ in range(rows)])
        # A block that lost its first token goes whole, or a document might start inside it.
        valid &= valid[:, ::size].repeat_interleave(size, dim=1)[:, :length]
    seed = draw(st.integers(0, 9))
    return block_sparse(
        valid, block_tokens=size, random_blocks=random_blocks, seed=seed, document_BT=document
    )


def assert_padding_is_zero(pattern: SparsePattern, made: tuple[Tensor, ...]) -> None:
    output = blocked.attend(*made[:3], pattern)
    assert (output[~pattern.valid_BT[:, None, :].expand(output.shape[:3])] == 0).all()


@PROPERTY
@given(pattern=windows(), tile=TILES, few=FEW, head_size=HEAD_SIZES, heads=st.integers(1, 3))
def test_windows(
    pattern: SparsePattern,
    tile: int,
    few: int,
    head_size: int,
    heads: int,
    tensors: Tensors,
    assert_lawful: Check,
) -> None:
    rows, length = pattern.document_BT.shape
    made = tensors(length, head_size, rows=rows, heads=heads)
    with (
        mock.patch.object(tiles, "tile_tokens", return_value=tile),
        mock.patch.object(tiles, "FEW_GLOBALS", few),
    ):
        assert_lawful(blocked.attend, made, pattern)
        assert_padding_is_zero(pattern, made)


@PROPERTY
@given(pattern=blocks(), head_size=HEAD_SIZES, heads=st.integers(1, 3))
def test_blocks(
    pattern: SparsePattern, head_size: int, heads: int, tensors: Tensors, assert_lawful: Check
) -> None:
    rows, length = pattern.document_BT.shape
    made = tensors(length, head_size, rows=rows, heads=heads)
    assert_lawful(blocked.attend, made, pattern)
    assert_padding_is_zero(pattern, made)


@PROPERTY
@given(pattern=st.one_of(windows(), blocks()))
def test_who_sees_whom_is_mutual_but_for_global_tokens_and_random_blocks(pattern: SparsePattern) -> None:
    """Of any pattern: only tokens of one document, each real one itself, padding nothing."""
    position = torch.arange(pattern.num_tokens)
    seen_BTT = pattern.bias(position, position)[:, 0].isfinite()
    document = pattern.document_BT
    together_BTT = (document[:, :, None] == document[:, None, :]) & (document != PADDING)[:, :, None]
    assert not (seen_BTT & ~together_BTT).any()
    assert torch.equal(seen_BTT.diagonal(dim1=1, dim2=2), pattern.valid_BT)
    if pattern.window_tokens is not None:
        one_sided = seen_BTT != seen_BTT.mT
        assert not (one_sided & ~(pattern.global_BT[:, :, None] ^ pattern.global_BT[:, None, :])).any()
    flat = document.flatten()
    for start, stop in pattern.documents.tolist():
        assert flat[start] == flat[stop - 1] != PADDING
        assert set(flat[start:stop].unique().tolist()) <= {PADDING, int(flat[start])}
    assert (
        sum((flat[start:stop] != PADDING).sum() for start, stop in pattern.documents)
        == (flat != PADDING).sum()
    )
