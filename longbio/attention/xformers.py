"""Tiles through xformers' memory-efficient attention, with a bias of any kind and with dropout. CUDA.

The tiles are those of `blocked`. Tiles with about as many keys become one batch: their queries and
keys are gathered, and ordinary autograd takes the gradients back where they belong.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from longbio.attention.pattern import SparsePattern
from longbio.attention.planned import Three, attend_by_plan, flatten, refuse_heads
from longbio.attention.tiles import Tile, plan, tiles

KEY_STEP = 64  # keys; tiles are alike up to it, and rows of biases must begin at multiples of 8
FEATURE_STEP = 8  # head sizes are multiples of it
NEWEST = (9, 0)  # compute capability; the kernel with a tensor bias knows no later one


@dataclass(frozen=True, eq=False)
class Batch:
    """Some tiles E of one shape. Copies fill them up: queries whose output is left out, hidden keys.

    Args:
        query_EQ: int64, flat positions, row * T + token; `key_EK` likewise.
        bias_EQK: float32, as in `tiles.Tile`; -inf for the copies.
        real: int64, which of the E * Q outputs belong to a token that is no padding.
        position: int64, the flat positions of those tokens.
    """

    query_EQ: Tensor
    key_EK: Tensor
    bias_EQK: Tensor
    real: Tensor
    position: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


def supports(
    pattern: SparsePattern | None, *, device: torch.device, dtype: torch.dtype, dropout: float
) -> str | None:
    """Why this kernel can't run, or None: see `kernels.Supports`."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return f"xformers needs a CUDA device, not {device.type}"
    if importlib.util.find_spec("xformers") is None:
        return "xformers isn't installed: pip install 'longbio[xformers]'"
    if not _is_usable():
        return "xformers was built for another CUDA or torch; python -m xformers.info says for which"
    if torch.cuda.get_device_capability(device) > NEWEST:
        return "the xformers kernel with a bias runs up to compute capability 9.0 (Hopper)"
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return f"xformers computes in float32, bfloat16 or float16, not {dtype}"
    return None if pattern is None else refuse_heads(pattern)


@lru_cache
def _is_usable() -> bool:
    """Whether its library can be loaded: xformers itself only warns."""
    import xformers

    return bool(getattr(xformers, "_has_cpp_library", True))


def _attend(three: Three, pattern: SparsePattern, batches: list[Batch], dropout: float) -> Tensor:
    head_size = three[0].shape[3]
    query_NHD, key_NHD, value_NHD = (flatten(tensor, FEATURE_STEP) for tensor in three)
    output_NHD = torch.zeros_like(query_NHD, memory_format=torch.contiguous_format)
    for batch in batches:
        bias_E1QK = batch.bias_EQK.to(query_NHD.dtype)[:, None]
        output_EQHD = _memory_efficient(
            _gather(query_NHD, batch.query_EQ),
            _gather(key_NHD, batch.key_EK),
            _gather(value_NHD, batch.key_EK),
            attn_bias=bias_E1QK.expand(-1, query_NHD.shape[1], -1, -1),
            p=dropout,
            scale=head_size**-0.5,
        )
        output_NHD = output_NHD.index_copy(0, batch.position, output_EQHD.flatten(0, 1)[batch.real])
    return output_NHD[..., :head_size].unflatten(0, pattern.document_BT.shape).transpose(1, 2)


def _memory_efficient(*tensors: Tensor, **options: Any) -> Tensor:
    from xformers.ops import memory_efficient_attention

    output_EQHD: Tensor = memory_efficient_attention(*tensors, **options)
    return output_EQHD


def _gather(tensor_NHD: Tensor, index: Tensor) -> Tensor:
    """The tokens at these positions; a key's gradient, a sum over its tiles, is taken in float32."""
    gathered = tensor_NHD.float().index_select(0, index.flatten()).to(tensor_NHD.dtype)
    return gathered.unflatten(0, index.shape)


# ---------------------------------------------------------------------------------------- plan


def _batches(pattern: SparsePattern) -> list[Batch]:
    if reason := refuse_heads(pattern):
        raise ValueError(reason)
    tiling = plan(pattern.on_host)
    alike: dict[int, list[Tile]] = {}
    for tile in tiles(tiling.tiles_N9, tiling.far, tiling.bias):
        alike.setdefault(-(-tile.bias_QK.shape[1] // KEY_STEP), []).append(tile)
    batches = [_batch(members, steps * KEY_STEP, tiling.real_N) for steps, members in alike.items()]
    return [batch.to(pattern.device) for batch in batches]


attend, prepare = attend_by_plan("xformers", _batches, _attend)


def _batch(members: list[Tile], num_keys: int, real_N: Tensor) -> Batch:
    num_queries = max(len(tile.bias_QK) for tile in members)
    query_EQ = torch.zeros(len(members), num_queries, dtype=torch.int64)
    key_EK = torch.zeros(len(members), num_keys, dtype=torch.int64)
    bias_EQK = torch.zeros(len(members), num_queries, num_keys)
    real_EQ = torch.zeros(len(members), num_queries, dtype=torch.bool)
    for number, tile in enumerate(members):
        queries, keys = tile.bias_QK.shape
        query_EQ[number, :queries] = torch.arange(tile.query.start, tile.query.stop)
        key_EK[number, :keys] = torch.cat([torch.arange(tile.near.start, tile.near.stop), tile.far])
        bias_EQK[number, :queries, :keys] = tile.bias_QK
        bias_EQK[number, :, keys:] = -torch.inf
        real_EQ[number, :queries] = real_N[tile.query]
    real = real_EQ.flatten().nonzero().flatten()
    return Batch(query_EQ, key_EK, bias_EQK, real, query_EQ.flatten()[real])
