"""The one predicate: which key a query may look at, and how often it counts.

Every kernel computes a softmax over `scores + pattern.bias(query, key)`. A Longformer has a
sliding window and global tokens, a BigBird has blocks; both have padding.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NEIGHBOURS = 1  # BigBird: blocks seen to each side of a query's own
ENDS = 2  # BigBird: the first and the last block of a row are global


@dataclass(frozen=True, eq=False)
class SparsePattern:
    """What each token of a batch may look at. Build it with `sliding_window` or `block_sparse`.

    A padding token looks at nothing, is seen by nothing, and its output is zero.

    Args:
        valid_BT: bool, False for padding.
        global_BT: bool, tokens that every query of their row sees. The rows of the global tokens
            themselves are dense and use projections of their own: see `global_rows`. Here they
            are treated as any other query.
        window_tokens: keys seen to **each side** of a query, its own position apart; `None` for
            a block pattern.
        block_tokens: tokens in a block; `None` for a sliding window.
        counts_BNN: int64, how often the keys of block [n, m] count for the queries of block n.
    """

    valid_BT: Tensor
    global_BT: Tensor
    window_tokens: int | None = None
    block_tokens: int | None = None
    counts_BNN: Tensor | None = None
    cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    """What a kernel derives from this pattern once, for all layers to read."""

    @property
    def num_tokens(self) -> int:
        """T, padding included."""
        return self.valid_BT.shape[1]

    def bias(self, query_index: Tensor, key_index: Tensor) -> Tensor:
        """What is added to the scores of queries and keys at these positions.

        Args:
            query_index: (Q,) or (B, Q) int64 positions.
            key_index: (K,) or (B, K) int64 positions.

        Returns:
            (B, Q, K) float32: 0 where the key is seen once, -inf where it isn't, the logarithm
            of the count where it is seen several times.
        """
        query_BQ1 = self._rows(query_index)[:, :, None]
        key_B1K = self._rows(key_index)[:, None, :]
        row_B11 = torch.arange(len(self.valid_BT), device=self.valid_BT.device)[:, None, None]
        both_real = self.valid_BT[row_B11, query_BQ1] & self.valid_BT[row_B11, key_B1K]

        if self.counts_BNN is None:
            near = (query_BQ1 - key_B1K).abs_() <= self._window()
            seen = near.logical_or_(self.global_BT[row_B11, key_B1K]).logical_and_(both_real)
            return torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, -torch.inf)

        size = self._block()
        count = self.counts_BNN[row_B11, query_BQ1 // size, key_B1K // size]
        return count.float().log_().masked_fill_(~both_real, -torch.inf)

    def global_rows(self) -> tuple[Tensor, Tensor] | None:
        """Where the global tokens stand, or None when the batch has none.

        Returns:
            index_BG: int64 positions, padded with 0 to the batch's largest number.
            real_BG: bool, False for that padding.
        """
        if "global_rows" not in self.cache:
            count_B = self.global_BT.sum(dim=1)
            most = int(count_B.max())
            index_BG = self.global_BT.int().sort(dim=1, descending=True, stable=True).indices
            real_BG = torch.arange(most, device=count_B.device) < count_B[:, None]
            rows = (index_BG[:, :most].masked_fill(~real_BG, 0), real_BG) if most else None
            self.cache["global_rows"] = rows
        found: tuple[Tensor, Tensor] | None = self.cache["global_rows"]
        return found

    def _rows(self, index: Tensor) -> Tensor:
        return index.expand(len(self.valid_BT), -1) if index.dim() == 1 else index

    def _window(self) -> int:
        assert self.window_tokens is not None
        return self.window_tokens

    def _block(self) -> int:
        assert self.block_tokens is not None
        return self.block_tokens


def sliding_window(valid_BT: Tensor, global_BT: Tensor | None, *, window_tokens: int) -> SparsePattern:
    """Longformer's pattern: keys within `window_tokens` to each side, and the global tokens.

    Args:
        valid_BT: bool, False for padding.
        global_BT: bool, the global tokens; None for none. Padding is never global.
        window_tokens: half of Hugging Face's `attention_window`.

    Raises:
        ValueError: shapes or dtypes disagree, or the window is not positive.
    """
    _check_mask(valid_BT, "valid_BT")
    if window_tokens < 1:
        raise ValueError(f"window_tokens is {window_tokens}, but a window has at least 1 token each side")
    if global_BT is None:
        return SparsePattern(valid_BT, torch.zeros_like(valid_BT), window_tokens=window_tokens)
    _check_mask(global_BT, "global_BT")
    if global_BT.shape != valid_BT.shape:
        raise ValueError(f"global_BT is {tuple(global_BT.shape)}, valid_BT is {tuple(valid_BT.shape)}")
    return SparsePattern(valid_BT, global_BT & valid_BT, window_tokens=window_tokens)


def block_sparse(valid_BT: Tensor, *, block_tokens: int, random_blocks: int, seed: int) -> SparsePattern:
    """BigBird's pattern: neighbouring blocks, the two ends of each row, and random blocks.

    A row of at most (5 + 2 * random_blocks) blocks is read with full attention. What a row sees
    depends on its own tokens only, never on what shares its batch or on training mode; rows of
    different lengths keep the same random blocks as far as they have them.

    Args:
        valid_BT: bool, False for padding.
        block_tokens: tokens in a block.
        random_blocks: random blocks seen by each query block.
        seed: draws the random blocks.

    Raises:
        ValueError: a wrong mask, a block of no tokens, a negative number of random blocks.
    """
    _check_mask(valid_BT, "valid_BT")
    if block_tokens < 1 or random_blocks < 0:
        raise ValueError(f"block_tokens is {block_tokens} and random_blocks is {random_blocks}")

    num_tokens = valid_BT.shape[1]
    num_blocks = -(-num_tokens // block_tokens)
    full_tokens = (3 + ENDS + 2 * random_blocks) * block_tokens
    position_T = torch.arange(num_tokens, device=valid_BT.device)
    length_B = valid_BT.sum(dim=1)
    first_B = torch.where(valid_BT, position_T, num_tokens).amin(dim=1) // block_tokens
    last_B = torch.where(valid_BT, position_T, -1).amax(dim=1) // block_tokens

    block_N = torch.arange(num_blocks, device=valid_BT.device)
    near_NN = (block_N[:, None] - block_N[None, :]).abs() <= NEIGHBOURS
    end_BN = (block_N == first_B[:, None]) | (block_N == last_B[:, None])
    inside_BN = (block_N >= first_B[:, None]) & (block_N <= last_B[:, None])

    fixed_BNN = near_NN | end_BN[:, :, None] | end_BN[:, None, :]
    may_draw_BNN = inside_BN[:, None, :] & ~fixed_BNN
    drawn_BNN = _lowest(_lottery(num_blocks, seed, valid_BT.device), may_draw_BNN, random_blocks)
    full_B11 = (length_B <= full_tokens)[:, None, None]

    return SparsePattern(
        valid_BT,
        torch.zeros_like(valid_BT),
        block_tokens=block_tokens,
        counts_BNN=(fixed_BNN | drawn_BNN | full_B11).long(),
    )


def _lottery(num_blocks: int, seed: int, device: torch.device) -> Tensor:
    """(N, N) int64 tickets, a hash of (seed, query block, key block) and of nothing else."""
    block_N = torch.arange(num_blocks, device=device)
    ticket = (seed * 1_000_003 + block_N[:, None]) * 1_000_003 + block_N[None, :] + 1
    for multiplier in (0x5851F42D4C957F2D, 0x14057B7EF767814F):
        ticket = (ticket ^ (ticket >> 29)) * multiplier
    return (ticket ^ (ticket >> 32)) & 0x7FFF_FFFF_FFFF


def _lowest(ticket_NN: Tensor, may_draw_BNN: Tensor, how_many: int) -> Tensor:
    """Per query block, the `how_many` key blocks with the lowest tickets among the allowed."""
    ticket_BNN = ticket_NN.expand_as(may_draw_BNN).masked_fill(~may_draw_BNN, 1 << 62)
    rank_BNN = ticket_BNN.argsort(dim=2).argsort(dim=2)
    return (rank_BNN < how_many) & may_draw_BNN


def _check_mask(mask_BT: Tensor, name: str) -> None:
    if mask_BT.dtype != torch.bool or mask_BT.dim() != 2:
        shape = tuple(mask_BT.shape)
        raise ValueError(f"{name} is {mask_BT.dtype} of shape {shape}; give a bool mask (batch, tokens)")
