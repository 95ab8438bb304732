"""A pattern cut into tiles: some queries each, and the keys that they may see.

All rows of a batch are one sequence of N = B * T tokens; positions in it are called flat. A
tile's keys are one contiguous slice (`near`) and a few further ones (`far`): global tokens, or a
BigBird's end and random blocks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from longbio.attention.blocks import NEIGHBOURS
from longbio.attention.pattern import PADDING, SparsePattern

DENSE_SHARE = 0.5  # of a document's tokens: above it nothing is won by gathering far keys
FEW_GLOBALS = 64  # of a tile's documents: up to here its tiles share all of them as far keys
LINE = 16  # float32 numbers in a cache line; rows of scores that straddle them cost 30% more


@dataclass(frozen=True, eq=False)
class TilePlan:
    """The tiles of a pattern, in tensors alone, so that a compiled graph doesn't depend on them.

    Args:
        tiles_N9: int64 on the CPU; of each tile: query start and stop, near start and stop,
            offset and number of far keys, offset and number of rows of its bias, and whether a
            query is padding.
        far: int64, flat positions of all tiles' far keys.
        bias: float32, all tiles' biases, one after the other; those of equal tiles are stored
            once, and where all queries of a tile see the same, so is their row.
        real_N: bool, False where a query is padding.
    """

    tiles_N9: Tensor
    far: Tensor
    bias: Tensor
    real_N: Tensor

    def to(self, device: torch.device) -> TilePlan:
        """The plan on another device; the tiles' numbers stay on the CPU."""
        far, bias, real_N = (
            tensor.to(device, non_blocking=True) for tensor in (self.far, self.bias, self.real_N)
        )
        return replace(self, far=far, bias=bias, real_N=real_N)


@dataclass(frozen=True, eq=False)
class Tile:
    """One tile of a plan: flat positions of its queries, its contiguous keys and its other ones.

    Args:
        far: (E,) int64.
        bias_QK: over the near keys followed by the far ones: 0, -inf or the log of a count.
        has_padding: some query is padding.
    """

    query: slice
    near: slice
    far: Tensor
    bias_QK: Tensor
    has_padding: bool

    @property
    def num_near(self) -> int:
        return self.near.stop - self.near.start


@dataclass(frozen=True, eq=False)
class Group:
    """Tiles that follow one another and share their far keys."""

    query: slice
    far: Tensor
    tiles: tuple[Tile, ...]


def tiles(tiles_N9: Tensor, far: Tensor, bias: Tensor) -> Iterator[Tile]:
    """The tiles of a plan's tensors."""
    for start, stop, low, high, far_start, num_far, bias_start, rows, has_padding in tiles_N9.tolist():
        num_keys = high - low + num_far
        bias_RK = bias[bias_start : bias_start + rows * num_keys].view(rows, num_keys)
        yield Tile(
            slice(start, stop),
            slice(low, high),
            far[far_start : far_start + num_far],
            bias_RK.expand(stop - start, -1),
            bool(has_padding),
        )


def groups(tiles_N9: Tensor, far: Tensor, bias: Tensor) -> Iterator[Group]:
    """The tiles of a plan's tensors, those with the same far keys together."""
    members: list[Tile] = []
    for tile in [*tiles(tiles_N9, far, bias), None]:
        if members and (tile is None or not _go_together(members[-1], tile)):
            query = slice(members[0].query.start, members[-1].query.stop)
            yield Group(query, members[0].far, tuple(members))
            members = []
        if tile is not None:
            members.append(tile)


def _go_together(before: Tile, tile: Tile) -> bool:
    same_far = before.far.data_ptr() == tile.far.data_ptr() and len(before.far) == len(tile.far)
    return same_far and before.query.stop == tile.query.start and len(tile.far) <= FEW_GLOBALS


def plan(pattern: SparsePattern) -> TilePlan:
    """Cut a pattern that is on the CPU into tiles."""
    numbers, far, biases = [], [NO_KEYS], [torch.zeros(0)]
    num_far = num_bias = 0
    places: dict[Hashable, list[int]] = {}
    real_N = pattern.valid_BT.flatten()
    num_real = [0, *real_N.cumsum(0).tolist()]
    special = _special_tokens(pattern)

    for keys in _window_keys(pattern) if pattern.counts_BHNN is None else _block_keys(pattern):
        same = _signature(keys, pattern, special)
        if same not in places:
            bias_RK = _bias(keys, pattern)
            places[same] = [num_bias, len(bias_RK)]
            biases.append(bias_RK.flatten())
            num_bias += bias_RK.numel()
        if not torch.equal(keys.far, far[-1]):
            far.append(keys.far)
            num_far += len(keys.far)
        query, near = keys.query, keys.near
        has_padding = num_real[query.stop] - num_real[query.start] < query.stop - query.start
        numbers.append([query.start, query.stop, near.start, near.stop])
        numbers[-1] += [num_far - len(keys.far), len(keys.far), *places[same], int(has_padding)]

    tiles_N9 = torch.tensor(numbers, dtype=torch.int64).reshape(-1, 9)
    return TilePlan(tiles_N9, torch.cat(far), torch.cat(biases), real_N)


@dataclass(frozen=True, eq=False)
class _Keys:
    """Queries `query` may see the keys `near` and `far`; the last `filler` of them are copies."""

    query: slice
    near: slice
    far: Tensor
    filler: int = 0


NO_KEYS = torch.zeros(0, dtype=torch.int64)


def tile_tokens(window_tokens: int) -> int:
    """Queries of a tile: few, for little waste beside a narrow window, but enough for the products."""
    return 96 if window_tokens > 128 else 64


def _window_keys(pattern: SparsePattern) -> Iterator[_Keys]:
    assert pattern.window_tokens is not None
    reach, globals_G = pattern.window_tokens, pattern.global_positions
    begins, ends = pattern.documents.T.tolist()
    global_list, size = globals_G.tolist(), tile_tokens(reach)
    for start in range(0, pattern.document_BT.numel(), size):
        stop = min(start + size, pattern.document_BT.numel())
        first, behind = bisect_right(ends, start), bisect_left(begins, stop)
        if first == behind:
            continue
        lowest, highest = begins[first], ends[behind - 1]
        query = slice(max(start, lowest), min(stop, highest))
        near = slice(max(lowest, query.start - reach), min(highest, query.stop + reach))
        far = globals_G[bisect_left(global_list, lowest) : bisect_left(global_list, highest)]
        if len(far) > FEW_GLOBALS:
            far = far[(far < near.start) | (far >= near.stop)]
        if len(far) > DENSE_SHARE * (highest - lowest):
            near, far = slice(lowest, highest), NO_KEYS
        # Copies of a key, hidden by the bias, until rows of scores end on a cache line.
        filler = -len(far) % LINE
        yield _Keys(query, near, torch.cat([far, far[:1].expand(filler)]), filler)


def _block_keys(pattern: SparsePattern) -> Iterator[_Keys]:
    assert pattern.counts_BHNN is not None
    assert pattern.block_tokens is not None
    size, num_tokens = pattern.block_tokens, pattern.num_tokens
    for low, high in pattern.documents.tolist():
        row = low // num_tokens
        origin = row * num_tokens

        def tokens(first: int, behind: int, low: int = low, high: int = high, o: int = origin) -> slice:
            return slice(max(o + first * size, low), min(o + behind * size, high))

        first, behind = (low - origin) // size, -(-(high - origin) // size)
        for block in range(first, behind):
            query = tokens(block, block + 1)
            seen = pattern.counts_BHNN[row, 0, block].nonzero().flatten()
            if len(seen) > DENSE_SHARE * (behind - first):
                yield _Keys(query, slice(low, high), NO_KEYS)
                continue
            begin, end = max(first, block - NEIGHBOURS), min(behind, block + NEIGHBOURS + 1)
            other = seen[(seen < begin) | (seen >= end)]
            far = (origin + other[:, None] * size + torch.arange(size)).flatten()
            yield _Keys(query, tokens(begin, end), far[(far >= low) & (far < high)])


def _special_tokens(pattern: SparsePattern) -> tuple[list[int], list[int]]:
    """How many tokens before each are padding or global, and how many begin a document."""
    special_N = pattern.global_BT.flatten() | ~pattern.valid_BT.flatten()
    first_N = torch.zeros_like(special_N)
    first_N[pattern.documents[:, 0]] = True
    return [0, *special_N.cumsum(0).tolist()], [0, *first_N.cumsum(0).tolist()]


def _signature(keys: _Keys, pattern: SparsePattern, special: tuple[list[int], list[int]]) -> Hashable:
    """Equal for tiles with equal biases; an object of its own where that isn't known."""
    near, (hidden_or_global, firsts) = keys.near, special
    # The first near key may begin a document; no other may, and none may be padding or global.
    one_document = firsts[near.stop] == firsts[near.start + 1]
    plain = one_document and hidden_or_global[near.stop] == hidden_or_global[near.start]
    if pattern.counts_BHNN is not None or not plain:
        return keys
    # Far keys are global tokens of the only document in sight: all of them are seen.
    offset = keys.query.start - near.start
    lengths = (keys.query.stop - keys.query.start, near.stop - near.start, len(keys.far))
    return (offset, lengths, keys.filler)


def _bias(keys: _Keys, pattern: SparsePattern) -> Tensor:
    """(queries or 1, near + far keys) float32; a query that sees nothing has a row of zeros."""
    num_tokens, document_N = pattern.num_tokens, pattern.document_BT.flatten()
    query_Q1 = torch.arange(keys.query.start, keys.query.stop)[:, None]
    if pattern.counts_BHNN is not None:
        # All of a block see the same. Padding may as well: its output is left out.
        real = pattern.valid_BT.flatten()[keys.query].nonzero()
        query_Q1 = query_Q1[int(real[0]) if len(real) else 0][None]
    key_K = torch.cat([torch.arange(keys.near.start, keys.near.stop), keys.far])
    seen_QK = (document_N[query_Q1] == document_N[key_K]) & (document_N[query_Q1] != PADDING)
    seen_QK &= query_Q1 // num_tokens == key_K // num_tokens
    seen_QK[:, len(key_K) - keys.filler :] = False
    num_near = keys.near.stop - keys.near.start
    seen_QK[:, num_near:] &= (keys.far < keys.near.start) | (keys.far >= keys.near.stop)

    if pattern.counts_BHNN is None:
        assert pattern.window_tokens is not None
        in_window = (query_Q1 - key_K).abs() <= pattern.window_tokens
        seen_QK &= in_window | pattern.global_BT.flatten()[key_K]
        bias_QK = torch.zeros(seen_QK.shape)
    else:
        assert pattern.block_tokens is not None
        block_Q1, block_K = (index % num_tokens // pattern.block_tokens for index in (query_Q1, key_K))
        counts_NN = pattern.counts_BHNN[keys.query.start // num_tokens, 0]
        bias_QK = counts_NN[block_Q1, block_K].float().log_()
    bias_QK = bias_QK.masked_fill_(~seen_QK, -torch.inf)
    return bias_QK.masked_fill_(bias_QK.isneginf().all(dim=1, keepdim=True), 0.0)
