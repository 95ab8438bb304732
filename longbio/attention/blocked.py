"""SDPA over tiles of queries, each with only the keys its queries may see. Any device and dtype.

A tile's keys are one contiguous slice (read in place) and the few further ones, gathered: global
tokens, or a BigBird's end and random blocks. The backward pass recomputes a tile at a time, so
memory is linear in the length and nothing but queries, keys and values is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from longbio.attention.pattern import NEIGHBOURS, SparsePattern

QUERY_TILE = 128  # tokens; measured best of 64 ... 512 on a CPU at window 512


@dataclass(frozen=True)
class Tile:
    """Queries `query` look at the keys `near` and, where there are any, at `far_BE`.

    `bias_B1QK` is over the near keys followed by the far ones.
    """

    query: slice
    near: slice
    far_BE: Tensor | None
    bias_B1QK: Tensor


def attend(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    pattern: SparsePattern,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of every token: same arguments, shapes and result as `reference.attend`."""
    key = ("blocked", query_BHTD.dtype)
    if key not in pattern.cache:
        pattern.cache[key] = [_with_bias(tile, pattern, query_BHTD.dtype) for tile in _tiles(pattern)]
    run: Any = _Blocked.apply
    output: Tensor = run(query_BHTD, key_BHTD, value_BHTD, pattern.cache[key], dropout)
    return output.masked_fill(~pattern.valid_BT[:, None, :, None], 0.0)


@dataclass(frozen=True)
class _Keys:
    query: slice
    near: slice
    far_BE: Tensor | None
    far_real_BE: Tensor | None


def _tiles(pattern: SparsePattern) -> Iterator[_Keys]:
    return _window_tiles(pattern) if pattern.counts_BNN is None else _block_tiles(pattern)


def _window_tiles(pattern: SparsePattern) -> Iterator[_Keys]:
    assert pattern.window_tokens is not None
    rows = pattern.global_rows()
    for start in range(0, pattern.num_tokens, QUERY_TILE):
        end = min(start + QUERY_TILE, pattern.num_tokens)
        near = slice(
            max(0, start - pattern.window_tokens),
            min(pattern.num_tokens, end + pattern.window_tokens),
        )
        if rows is None:
            yield _Keys(slice(start, end), near, None, None)
            continue
        # A global token inside the slice is already among the near keys, seen from every query.
        index_BG, real_BG = rows
        yield _Keys(slice(start, end), near, index_BG, real_BG & ~_inside(index_BG, near))


def _block_tiles(pattern: SparsePattern) -> Iterator[_Keys]:
    assert pattern.counts_BNN is not None
    assert pattern.block_tokens is not None
    size, counts_BNN = pattern.block_tokens, pattern.counts_BNN
    num_blocks = counts_BNN.shape[1]
    for block in range(num_blocks):
        query = slice(block * size, min((block + 1) * size, pattern.num_tokens))
        seen_BN = counts_BNN[:, block] > 0
        if 2 * int(seen_BN.sum(dim=1).max()) > num_blocks:
            # A global block, or a row read with full attention: nothing is won by gathering.
            yield _Keys(query, slice(0, pattern.num_tokens), None, None)
            continue
        near_blocks = slice(max(0, block - NEIGHBOURS), min(num_blocks, block + NEIGHBOURS + 1))
        seen_BN = seen_BN.clone()
        seen_BN[:, near_blocks] = False
        near = slice(near_blocks.start * size, min(near_blocks.stop * size, pattern.num_tokens))
        yield _Keys(query, near, *_tokens_of(seen_BN, size, pattern.num_tokens))


def _tokens_of(seen_BN: Tensor, size: int, num_tokens: int) -> tuple[Tensor | None, Tensor | None]:
    """Positions of the tokens of these blocks, padded per row, and which of them are real."""
    count_B = seen_BN.sum(dim=1)
    most = int(count_B.max())
    if most == 0:
        return None, None
    block_BM = seen_BN.int().sort(dim=1, descending=True, stable=True).indices[:, :most]
    real_BM = torch.arange(most, device=count_B.device) < count_B[:, None]
    offset_S = torch.arange(size, device=count_B.device)
    index_BE = (block_BM[:, :, None] * size + offset_S).flatten(1)
    real_BE = real_BM.repeat_interleave(size, dim=1) & (index_BE < num_tokens)
    return index_BE.masked_fill(~real_BE, 0), real_BE


def _inside(index: Tensor, bounds: slice) -> Tensor:
    return (index >= bounds.start) & (index < bounds.stop)


def _with_bias(keys: _Keys, pattern: SparsePattern, dtype: torch.dtype) -> Tile:
    device = pattern.valid_BT.device
    query_index = torch.arange(keys.query.start, keys.query.stop, device=device)
    bias = pattern.bias(query_index, torch.arange(keys.near.start, keys.near.stop, device=device))
    if keys.far_BE is not None and keys.far_real_BE is not None:
        far = pattern.bias(query_index, keys.far_BE)
        bias = torch.cat([bias, far.masked_fill(~keys.far_real_BE[:, None], -torch.inf)], dim=2)
    # A padding query sees nothing; a finite row keeps its softmax finite, its output is zeroed.
    seen = bias.isfinite().any(dim=2, keepdim=True)
    bias = bias.masked_fill(~seen, 0.0).to(dtype)
    return Tile(keys.query, keys.near, keys.far_BE, bias[:, None])


class _Blocked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, tiles: list[Tile], dropout: float
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.tiles, ctx.dropout = tiles, dropout
        ctx.random_state = _random_state(query.device) if dropout else None
        output = torch.empty_like(query)
        for tile in tiles:
            output[:, :, tile.query] = scaled_dot_product_attention(
                query[:, :, tile.query],
                _take(key, tile),
                _take(value, tile),
                attn_mask=tile.bias_B1QK,
                dropout_p=dropout,
            )
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        (grad_output,) = grads
        # Sums of many tiles are kept in float32, whatever the tensors' own dtype.
        grad_query = torch.empty_like(query)
        grad_key = torch.zeros_like(key, dtype=torch.float32)
        grad_value = torch.zeros_like(value, dtype=torch.float32)

        with _replayed(query.device, ctx.random_state):
            for tile in ctx.tiles:
                part = (query[:, :, tile.query], _take(key, tile), _take(value, tile))
                q, k, v = (tensor.detach().requires_grad_() for tensor in part)
                with torch.enable_grad():
                    output = scaled_dot_product_attention(
                        q, k, v, attn_mask=tile.bias_B1QK, dropout_p=ctx.dropout
                    )
                dq, dk, dv = torch.autograd.grad(output, (q, k, v), grad_output[:, :, tile.query])
                grad_query[:, :, tile.query] = dq
                _put(grad_key, dk, tile)
                _put(grad_value, dv, tile)

        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None


def _take(tensor_BHTD: Tensor, tile: Tile) -> Tensor:
    near = tensor_BHTD[:, :, tile.near]
    if tile.far_BE is None:
        return near
    return torch.cat([near, tensor_BHTD.gather(2, _far_index(tile.far_BE, tensor_BHTD))], dim=2)


def _put(total_BHTD: Tensor, part_BHKD: Tensor, tile: Tile) -> None:
    num_near = tile.near.stop - tile.near.start
    total_BHTD[:, :, tile.near] += part_BHKD[:, :, :num_near]
    if tile.far_BE is not None:
        far = part_BHKD[:, :, num_near:].to(total_BHTD.dtype)
        total_BHTD.scatter_add_(2, _far_index(tile.far_BE, total_BHTD), far)


def _far_index(far_BE: Tensor, like_BHTD: Tensor) -> Tensor:
    return far_BE[:, None, :, None].expand(-1, like_BHTD.shape[1], -1, like_BHTD.shape[3])


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


class _replayed:
    """Inside, random numbers start again from `state`; outside, nothing has happened."""

    def __init__(self, device: torch.device, state: Tensor | None) -> None:
        self.device, self.state = device, state

    def __enter__(self) -> None:
        if self.state is not None:
            self.before = _random_state(self.device)
            self._set(self.state)

    def __exit__(self, *exception: object) -> None:
        if self.state is not None:
            self._set(self.before)

    def _set(self, state: Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state, self.device)
        else:
            torch.set_rng_state(state)
