"""FlexAttention: one fused kernel, compiled from the pattern. CUDA, or a CPU without gradients.

Scores are never stored, and blocks of 128 x 128 tokens that nobody looks at are never computed. Which
those are is found block against block, so no mask of T x T is made at any length.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from longbio.attention.pattern import PADDING, SparsePattern
from longbio.attention.planned import Three, attend_by_plan

BLOCK = 128  # tokens; FlexAttention's own size, which its kernels are tuned for
LEAST_HEAD = 16  # features; Triton multiplies no smaller matrices
RECOMPILES = 64  # of shapes, dtypes and windows in one process; torch's limit of 8 suits one model
HALF_OPTIONS = {"fwd_BLOCK_M": 64, "fwd_BLOCK_N": 64, "fwd_num_warps": 4}
"""In half precision on CUDA: smaller tiles than torch's for Hopper, which spill with masks like ours."""
MOST_FEATURES = 128  # of a head with these tiles; with more they need more memory than a processor has
NO_DROPOUT = "FlexAttention has no dropout"
NO_BACKWARD = "FlexAttention has no backward pass on a CPU; wrap the call in torch.no_grad()"

Index = Tensor
MaskMod = Callable[[Index, Index, Index, Index], Tensor]
ScoreMod = Callable[[Tensor, Index, Index, Index, Index], Tensor]


@dataclass(frozen=True, eq=False)
class FlexPlan:
    """What FlexAttention is given for a pattern, and FlexAttention itself, compiled."""

    run: Callable[..., Tensor]
    mask: BlockMask
    score_mod: ScoreMod | None


def supports(
    pattern: SparsePattern | None, *, device: torch.device, dtype: torch.dtype, dropout: float
) -> str | None:
    """Why this kernel can't run, or None: see `kernels.Supports`."""
    if dropout:
        return NO_DROPOUT
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return f"FlexAttention computes in float32, bfloat16 or float16, not {dtype}"
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "FlexAttention needs triton on a CUDA device"
    if device.type != "cpu":
        return f"longbio runs FlexAttention on CUDA devices and CPUs, not on {device.type}"
    if torch.is_grad_enabled():
        return NO_BACKWARD
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        return "FlexAttention needs a CPU with AVX2"
    if shutil.which(_compiler()) is None:
        return f"FlexAttention on a CPU needs a C++ compiler, and there is no {_compiler()!r} on the PATH"
    return None


def _attend(three: Three, pattern: SparsePattern, plan: FlexPlan, dropout: float) -> Tensor:
    on_cpu, head_size = pattern.device.type == "cpu", three[0].shape[3]
    if dropout:
        raise ValueError(NO_DROPOUT)
    if on_cpu and torch.is_grad_enabled():
        raise ValueError(NO_BACKWARD)
    tensors = list(three)
    if on_cpu:
        tensors = [tensor.detach() for tensor in tensors]
    elif head_size < LEAST_HEAD:
        tensors = [functional.pad(tensor, (0, LEAST_HEAD - head_size)) for tensor in tensors]

    half = three[0].dtype != torch.float32
    smaller_tiles = half and not on_cpu and head_size <= MOST_FEATURES
    inside = torch.compiler.is_compiling()
    with nullcontext() if inside else torch._dynamo.config.patch(recompile_limit=RECOMPILES):
        output_BHTD = plan.run(
            *tensors,
            score_mod=plan.score_mod,
            block_mask=plan.mask,
            scale=head_size**-0.5,
            kernel_options=HALF_OPTIONS if smaller_tiles else None,
        )
    return output_BHTD[..., :head_size]


def _compiler() -> str:
    """The C++ compiler that torch calls."""
    return os.environ.get("CXX", "g++")


@lru_cache
def _compile(device_type: str) -> Callable[..., Tensor]:
    # Without `fullgraph` torch falls back, unsaid, to a matrix of all scores. On a CPU every shape is
    # compiled: torch 2.13 mixes up the names of symbolic sizes there once a kernel has ten of them.
    dynamic = False if device_type == "cpu" else None
    return torch.compile(flex_attention, fullgraph=True, dynamic=dynamic)


# ---------------------------------------------------------------------------------------- plan


def _plan(pattern: SparsePattern) -> FlexPlan:
    some_BHNN, all_BHNN = (
        blocks.to(pattern.device, non_blocking=True) for blocks in _seen_blocks(pattern.on_host)
    )
    mask_mod, score_mod = _window_mods(pattern) if pattern.counts_BHNN is None else _block_mods(pattern)
    mask = BlockMask.from_kv_blocks(
        *_order_blocks(some_BHNN & ~all_BHNN),
        *_order_blocks(all_BHNN),
        BLOCK_SIZE=BLOCK,
        mask_mod=mask_mod,
        seq_lengths=(pattern.num_tokens, pattern.num_tokens),
    )
    return FlexPlan(_compile(pattern.device.type), mask, score_mod)


attend, prepare = attend_by_plan("flex", _plan, _attend)


def _order_blocks(blocks_BHNN: Tensor) -> tuple[Tensor, Tensor]:
    """How many key blocks each query block has, and which: those come first."""
    number_BHN = blocks_BHNN.sum(dim=-1, dtype=torch.int32)
    return number_BHN, blocks_BHNN.byte().argsort(dim=-1, descending=True, stable=True).int()


def _numbers(pattern: SparsePattern) -> tuple[Tensor, Tensor]:
    """(B, T) int32 documents of queries and of keys; padding has another number as a key. Kernels hold
    a number for each query and key of a tile: wider ones spill, and cost ten times as much."""
    host = pattern.on_host
    # Counted anew: those that were given may be as wide as a hash.
    position_N = torch.arange(host.document_BT.numel())
    number_N = torch.searchsorted(pattern.documents[:, 0].contiguous(), position_N, right=True).int() - 1
    number_BT, padding_BT = number_N.view(host.document_BT.shape), ~host.valid_BT
    query_BT, key_BT = (number_BT.masked_fill(padding_BT, number) for number in (PADDING, PADDING - 1))
    return query_BT.to(pattern.device, non_blocking=True), key_BT.to(pattern.device, non_blocking=True)


def _window_mods(pattern: SparsePattern) -> tuple[MaskMod, None]:
    """`pattern.bias` of a sliding window, for one query and one key."""
    assert pattern.window_tokens is not None
    query_BT, key_BT = _numbers(pattern)
    # The last bit of a key says whether it is global: one number to load in place of two.
    key_BT = 2 * key_BT + pattern.global_BT
    # A tensor: a number would be part of the kernel, compiled for each window.
    reach = torch.full((), pattern.window_tokens, device=pattern.device, dtype=torch.int32)

    def seen(row: Index, head: Index, query: Index, key: Index) -> Tensor:
        number = key_BT[row, key]
        near = (query - key).abs() <= reach
        return (query_BT[row, query] == number >> 1) & (near | (number & 1 == 1))

    return seen, None


def _block_mods(pattern: SparsePattern) -> tuple[MaskMod, ScoreMod | None]:
    """`pattern.bias` of blocks, for one query and one key."""
    assert pattern.counts_BHNN is not None
    assert pattern.block_tokens is not None
    query_BT, key_BT = _numbers(pattern)
    block_T = torch.arange(pattern.num_tokens, device=pattern.device, dtype=torch.int32)
    block_T = block_T // pattern.block_tokens
    several_heads = pattern.counts_BHNN.shape[1] > 1
    counted_BHNN = pattern.counts_BHNN > 0
    # Finite where nothing is seen, for the mask alone to hide.
    log_count_BHNN = pattern.counts_BHNN.clamp(min=1).float().log()

    def seen(row: Index, head: Index, query: Index, key: Index) -> Tensor:
        together = query_BT[row, query] == key_BT[row, key]
        return together & counted_BHNN[row, head if several_heads else 0, block_T[query], block_T[key]]

    def add_log_count(score: Tensor, row: Index, head: Index, query: Index, key: Index) -> Tensor:
        return score + log_count_BHNN[row, head if several_heads else 0, block_T[query], block_T[key]]

    host = pattern.on_host.counts_BHNN
    assert host is not None
    return seen, add_log_count if bool((host > 1).any()) else None


def _seen_blocks(pattern: SparsePattern) -> tuple[Tensor, Tensor]:
    """Of each pair of blocks of 128 tokens, on the CPU: whether some and whether all of it may be seen.

    A pair of the first kind can turn out to be empty, which costs time and nothing else.

    Returns:
        Two bool tensors (B, 1 or H, N, N).
    """
    rows, num_tokens = pattern.document_BT.shape
    num_blocks = -(-num_tokens // BLOCK)
    behind = num_blocks * BLOCK - num_tokens

    some_BNN = torch.zeros(rows, num_blocks, num_blocks, dtype=torch.bool)
    for start, stop in pattern.documents.tolist():
        row, first = divmod(start, num_tokens)
        blocks = slice(first // BLOCK, (stop - 1 - row * num_tokens) // BLOCK + 1)
        some_BNN[row, blocks, blocks] = True
    lowest_BN, highest_BN = (
        functional.pad(pattern.document_BT, (0, behind), value=PADDING)
        .unflatten(1, (-1, BLOCK))
        .aminmax(dim=2)
    )
    inner_BN = (lowest_BN == highest_BN) & (lowest_BN != PADDING)
    all_BNN = (lowest_BN[:, :, None] == lowest_BN[:, None]) & inner_BN[:, :, None] & inner_BN[:, None]

    if pattern.counts_BHNN is not None:
        some_counted, all_counted = _counted_blocks(pattern, num_blocks)
        return some_BNN[:, None] & some_counted, all_BNN[:, None] & all_counted
    assert pattern.window_tokens is not None
    global_B1NE = functional.pad(pattern.global_BT, (0, behind)).unflatten(1, (-1, BLOCK))[:, None]
    block_N = torch.arange(num_blocks)
    apart_NN = (block_N[:, None] - block_N).abs() * BLOCK
    some_near = apart_NN - (BLOCK - 1) <= pattern.window_tokens
    all_near = apart_NN + (BLOCK - 1) <= pattern.window_tokens
    some_BNN &= some_near | global_B1NE.any(dim=3)
    all_BNN &= all_near | global_B1NE.all(dim=3)
    return some_BNN[:, None], all_BNN[:, None]


def _counted_blocks(pattern: SparsePattern, num_blocks: int) -> tuple[Tensor, Tensor]:
    """The same from a block pattern's counts alone, whatever the size of its blocks."""
    assert pattern.counts_BHNN is not None
    assert pattern.block_tokens is not None
    start_N1 = torch.arange(num_blocks)[:, None] * BLOCK
    start_C = torch.arange(pattern.counts_BHNN.shape[-1]) * pattern.block_tokens
    # Which of the pattern's blocks C touches which of the N of 128 tokens.
    touches_NC = ((start_C < start_N1 + BLOCK) & (start_C + pattern.block_tokens > start_N1)).float()
    counted = (pattern.counts_BHNN > 0).float()
    some = touches_NC @ counted @ touches_NC.T > 0
    missed = touches_NC @ (1 - counted) @ touches_NC.T > 0
    return some, ~missed
