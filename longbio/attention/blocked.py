"""Tiles of queries, each with only the keys its queries may see. Any device and dtype.

Scores of a tile stay in the cache; two batched matrix products and one softmax run over all heads
at once, which on a CPU is faster than fused attention. Weights are computed in float32 (float64
for float64), whatever the tensors' dtype. The backward pass recomputes them a tile at a time, so
memory is linear in the length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from longbio.attention.pattern import SparsePattern
from longbio.attention.planned import Three, attend_by_plan, flatten, refuse_heads
from longbio.attention.tiles import Group, Tile, TilePlan, groups, plan


def supports(
    pattern: SparsePattern | None, *, device: torch.device, dtype: torch.dtype, dropout: float
) -> str | None:
    """Why this kernel can't run, or None: see `kernels.Supports`."""
    return None if pattern is None else refuse_heads(pattern)


def _plan(pattern: SparsePattern) -> TilePlan:
    if reason := refuse_heads(pattern):
        raise ValueError(reason)
    return plan(pattern.on_host).to(pattern.device)


def _attend(three: Three, pattern: SparsePattern, plan: TilePlan, dropout: float) -> Tensor:
    query_NHD, key_NHD, value_NHD = map(flatten, three)
    output_NHD = run(query_NHD, key_NHD, value_NHD, plan, dropout)
    return output_NHD.unflatten(0, pattern.document_BT.shape).transpose(1, 2)


attend, prepare = attend_by_plan("blocked", _plan, _attend)


def run(query_NHD: Tensor, key_NHD: Tensor, value_NHD: Tensor, plan: TilePlan, dropout: float) -> Tensor:
    """Attention of one sequence of queries over one of keys, as a plan has it: (N, H, D)."""
    # A seed of its own lets the backward pass, and a test, draw the same masks again.
    seed = torch.randint(1 << 62, (1,)) if dropout else torch.zeros(1, dtype=torch.int64)
    attention: Callable[..., Tensor] = torch.ops.longbio.blocked
    return attention(
        query_NHD, key_NHD, value_NHD, plan.tiles_N9, plan.far, plan.bias, plan.real_N, dropout, seed
    )


class _Buffers:
    """Scratch memory that all tiles share."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.held: dict[str, Tensor] = {}

    def take(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        size = math.prod(shape)
        if name not in self.held or self.held[name].numel() < size:
            self.held[name] = torch.empty(size, dtype=dtype, device=self.device)
        return self.held[name][:size].view(shape)


class Dropout:
    """Which weights of a plan's tiles are kept: a hash of the seed, (1,) int64, and of each weight's number.

    On a CPU it is many times as fast as a generator. Its steps are those of a finaliser of 32 bits (multiply,
    shift, exclusive or), with the seed coming in twice. The rate is kept to a precision of 2^-32.
    """

    def __init__(self, rate: float, seed: Tensor, device: torch.device) -> None:
        self.rate = rate
        self.scale = 1.0 / (1.0 - rate)
        # Both halves depend on every bit of the seed.
        mixed = _mix(int(seed))
        self.start, self.stir = mixed & 0xFFFFFFFF, mixed >> 32
        self.used = 0
        self.buffers = _Buffers(device)
        self.places = torch.zeros(0, dtype=torch.int32, device=device)

    def keep(self, like_HQK: Tensor) -> Tensor | None:
        """1 where a weight of the next tile is kept, 0 where it is dropped, in the shape of `like`."""
        if not self.rate:
            return None
        size = like_HQK.numel()
        if len(self.places) < size:
            self.places = torch.arange(size, dtype=torch.int32, device=self.buffers.device) * _GOLDEN
        word, moved = (self.buffers.take(name, torch.int32, size) for name in ("word", "moved"))
        torch.add(self.places[:size], _as_int32(self.start + self.used * _GOLDEN), out=word)
        self.used += size
        word.bitwise_xor_(torch.bitwise_right_shift(word, 16, out=moved)).mul_(_as_int32(0x7FEB352D))
        word += _as_int32(self.stir)
        word.bitwise_xor_(torch.bitwise_right_shift(word, 15, out=moved)).mul_(_as_int32(0x846CA68B))
        # Of 2^32 equally likely numbers the lowest ones are dropped.
        lowest = min(max(round(self.rate * 2**32), 1), 2**32 - 1) - 2**31
        word.clamp_(lowest - 1, lowest).sub_(lowest - 1)
        return self.buffers.take("keep", like_HQK.dtype, *like_HQK.shape).copy_(word.view_as(like_HQK))


_GOLDEN = -1640531535  # 2^32 / golden ratio, odd: neighbouring places get distant numbers


def _mix(number: int) -> int:
    """64 bits, each of which depends on every bit of the number."""
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        number = (number ^ (number >> 30)) * multiplier % 2**64
    return number ^ (number >> 31)


def _as_int32(number: int) -> int:
    """The int32 with the same lowest 32 bits."""
    return (number + 2**31) % 2**32 - 2**31


class _Weights:
    """Attention weights of tiles: the same in the forward and in the backward pass."""

    def __init__(self, query_HND: Tensor, key_HND: Tensor) -> None:
        self.query, self.key = query_HND, key_HND
        self.scale = query_HND.shape[-1] ** -0.5
        self.buffers = _Buffers(query_HND.device)

    def of(self, group: Group) -> Iterator[tuple[Tile, slice, Tensor]]:
        """Each tile of a group, its queries' place in the group, and (H, Q, near + far) weights.

        The weights are a softmax over the tile's bias, before dropout, and hold until the next.
        """
        far_HQE = None
        if len(group.far):
            far_HQE = self._scores("far", self.query[:, group.query], gather(self.key, group.far))
        for tile in group.tiles:
            place = slice(tile.query.start - group.query.start, tile.query.stop - group.query.start)
            scores = self._scores("near", self.query[:, tile.query], self.key[:, tile.near])
            if far_HQE is None:
                scores += tile.bias_QK
            else:
                near_HQK, num_near = scores, tile.num_near
                scores = self.buffers.take("both", scores.dtype, *scores.shape[:2], tile.bias_QK.shape[1])
                torch.add(near_HQK, tile.bias_QK[:, :num_near], out=scores[:, :, :num_near])
                torch.add(far_HQE[:, place], tile.bias_QK[:, num_near:], out=scores[:, :, num_near:])
            yield tile, place, torch.softmax(scores, dim=-1, out=scores)

    def _scores(self, name: str, query_HQD: Tensor, key_HKD: Tensor) -> Tensor:
        shape = (*query_HQD.shape[:2], key_HKD.shape[1])
        scores = self.buffers.take(name, query_HQD.dtype, *shape)
        return torch.baddbmm(scores, query_HQD, key_HKD.mT, beta=0, alpha=self.scale, out=scores)


def gather(tensor_HND: Tensor, far: Tensor) -> Tensor:
    """(H, far keys, D); rows of all heads lie together in memory and are copied together."""
    return tensor_HND.transpose(0, 1).index_select(0, far).transpose(0, 1)


def _heads_first(tensor_NHD: Tensor) -> Tensor:
    """(H, N, D) in the dtype that weights are computed in."""
    return tensor_NHD.to(torch.promote_types(tensor_NHD.dtype, torch.float32)).transpose(0, 1)


@torch.library.custom_op("longbio::blocked", mutates_args=())
def _blocked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    tile_numbers: Tensor,
    far: Tensor,
    bias: Tensor,
    real: Tensor,
    dropout: float,
    seed: Tensor,
) -> Tensor:
    query_HND, key_HND, value_HND = map(_heads_first, (query, key, value))
    exact = query_HND.dtype
    output = torch.empty_like(query, dtype=exact, memory_format=torch.contiguous_format)
    if int((tile_numbers[:, 1] - tile_numbers[:, 0]).sum()) < len(query):
        output.zero_()
    weights, buffers = _Weights(query_HND, key_HND), _Buffers(query.device)
    coins = Dropout(dropout, seed, query.device)

    for group in groups(tile_numbers, far, bias.to(exact)):
        far_HED = gather(value_HND, group.far) if len(group.far) else None
        for tile, _, weights_HQK in weights.of(group):
            keep_HQK = coins.keep(weights_HQK)
            if keep_HQK is not None:
                weights_HQK *= keep_HQK
            near_HQK, far_HQE = weights_HQK[:, :, : tile.num_near], weights_HQK[:, :, tile.num_near :]
            result = buffers.take("result", exact, *weights_HQK.shape[:2], query.shape[2])
            torch.baddbmm(result, near_HQK, value_HND[:, tile.near], beta=0, alpha=coins.scale, out=result)
            if far_HED is not None:
                result.baddbmm_(far_HQE, far_HED, alpha=coins.scale)
            if tile.has_padding:
                result.masked_fill_(~real[tile.query, None], 0.0)
            output[tile.query].transpose(0, 1).copy_(result)
    return output.to(query.dtype)


@_blocked.register_fake
def _(query: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


class _Gradients:
    """What the keys of a tile, or of a group, add to the gradients."""

    def __init__(
        self, weights: _Weights, keep_scale: float, grad_HND: Tensor, common_HN1: Tensor, dquery_HND: Tensor
    ) -> None:
        self.query, self.scale, self.keep_scale = weights.query, weights.scale, keep_scale
        self.grad, self.common, self.dquery = grad_HND, common_HN1, dquery_HND
        self.buffers = _Buffers(grad_HND.device)

    def add(
        self,
        at: slice,
        keys: tuple[Tensor, Tensor],
        seen: tuple[Tensor, Tensor | None],
        sums: tuple[Tensor, Tensor],
    ) -> None:
        """Add to dquery, and to `sums`, what these keys and values have to do with them."""
        (key_HKD, value_HKD), (weights_HQK, keep_HQK), (dkey_HKD, dvalue_HKD) = keys, seen, sums
        grad_HQD = self.grad[:, at]
        dscores = self.buffers.take("dscores", weights_HQK.dtype, *weights_HQK.shape)
        if keep_HQK is None:
            dvalue_HKD.baddbmm_(weights_HQK.mT, grad_HQD)
            torch.bmm(grad_HQD, value_HKD.mT, out=dscores)
        else:
            torch.mul(weights_HQK, keep_HQK, out=dscores)
            dvalue_HKD.baddbmm_(dscores.mT, grad_HQD, alpha=self.keep_scale)
            torch.baddbmm(dscores, grad_HQD, value_HKD.mT, beta=0, alpha=self.keep_scale, out=dscores)
            dscores *= keep_HQK
        dscores.sub_(self.common[:, at]).mul_(weights_HQK)
        dkey_HKD.baddbmm_(dscores.mT, self.query[:, at], alpha=self.scale)
        self.dquery[:, at].baddbmm_(dscores, key_HKD, alpha=self.scale)


@torch.library.custom_op("longbio::blocked_backward", mutates_args=())
def _blocked_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    tile_numbers: Tensor,
    far: Tensor,
    bias: Tensor,
    real: Tensor,
    dropout: float,
    seed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    query_HND, key_HND, value_HND, grad_HND = map(_heads_first, (query, key, value, grad))
    exact, heads = query_HND.dtype, len(query_HND)
    dquery, dkey, dvalue = (
        torch.zeros_like(tensor, dtype=exact, memory_format=torch.contiguous_format)
        for tensor in (query, key, value)
    )
    dquery_HND, dkey_HND, dvalue_HND = (total.transpose(0, 1) for total in (dquery, dkey, dvalue))
    # Of a softmax's gradient: sum over keys of weight * its gradient, the same for all keys.
    common_HN1 = (grad_HND * _heads_first(output)).sum(dim=2, keepdim=True)
    if bool(tile_numbers[:, 8].any()):
        grad_HND = grad_HND.masked_fill(~real[:, None], 0.0)
    weights, buffers = _Weights(query_HND, key_HND), _Buffers(query.device)
    coins = Dropout(dropout, seed, query.device)
    gradients = _Gradients(weights, coins.scale, grad_HND, common_HN1, dquery_HND)

    for group in groups(tile_numbers, far, bias.to(exact)):
        shape = (heads, group.query.stop - group.query.start, len(group.far))
        far_HQE = buffers.take("far", exact, *shape)
        far_keep_HQE = buffers.take("far keep", exact, *shape) if dropout else None
        for tile, place, weights_HQK in weights.of(group):
            keep_HQK = coins.keep(weights_HQK)
            near = slice(0, tile.num_near)
            gradients.add(
                tile.query,
                (key_HND[:, tile.near], value_HND[:, tile.near]),
                (weights_HQK[:, :, near], None if keep_HQK is None else keep_HQK[:, :, near]),
                (dkey_HND[:, tile.near], dvalue_HND[:, tile.near]),
            )
            far_HQE[:, place] = weights_HQK[:, :, tile.num_near :]
            if keep_HQK is not None and far_keep_HQE is not None:
                far_keep_HQE[:, place] = keep_HQK[:, :, tile.num_near :]
        if len(group.far):
            sums = [
                buffers.take(name, exact, len(group.far), *key.shape[1:]).zero_() for name in ("dk", "dv")
            ]
            keys = (gather(key_HND, group.far), gather(value_HND, group.far))
            dkey_HED, dvalue_HED = (total.transpose(0, 1) for total in sums)
            gradients.add(group.query, keys, (far_HQE, far_keep_HQE), (dkey_HED, dvalue_HED))
            dkey.index_add_(0, group.far, sums[0])
            dvalue.index_add_(0, group.far, sums[1])

    return dquery.to(query.dtype), dkey.to(key.dtype), dvalue.to(value.dtype)


@_blocked_backward.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    dquery, dkey, dvalue = (
        torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in (query, key, value)
    )
    return dquery, dkey, dvalue


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, dropout, seed = inputs
    ctx.save_for_backward(output, *tensors, seed)
    ctx.dropout = dropout


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    output, query, key, value, *numbers, seed = ctx.saved_tensors
    gradients: Callable[..., tuple[Tensor, ...]] = torch.ops.longbio.blocked_backward
    three = gradients(grad, query, key, value, output, *numbers, ctx.dropout, seed)
    return (*three, None, None, None, None, None, None)


_blocked.register_autograd(_backward, setup_context=_setup)
