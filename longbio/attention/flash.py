"""Sliding windows through flash-attn 2, or the copy of it in torch; far global tokens as a second call.

Flash attention knows windows and no masks. So a first call sees the window. Queries that see the
same global keys outside of it form a stretch, and a second call gives each stretch these keys. No
key is in both, and the softmax over all keys is the sum of the two, each weighed by its share of the
normaliser: O = Σ exp(L_i - L) O_i with L = log Σ exp(L_i). In the backward pass either call needs
nothing of the other but L and the merged output (see FlashAttention-2, Dao 2023, section 3.1:
P = exp(S - L), dS = P * (dP - rowsum(dO * O))). Dropout of either is dropout of the whole.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from longbio.attention.pattern import SparsePattern
from longbio.attention.planned import Three, attend_by_plan, flatten
from longbio.attention.stretches import Far, Spans, far_keys, far_ranges, real_tokens

logger = logging.getLogger(__name__)

MOST_FEATURES = 256  # of a head
FEATURE_STEP = 8  # head sizes are multiples of it
FAR_KEYS = 4  # for each token, over all stretches; with more, a mask costs less than their copies


@dataclass(frozen=True, eq=False)
class FlashPlan:
    """A pattern's M real tokens, one document after the other.

    Args:
        real_M: int64, their flat positions, row * T + token; None where no token is padding.
        near: the documents, and their window.
        far: what the windows leave out; None for nothing.
        calls: flash attention.
    """

    real_M: Tensor | None
    near: Spans
    far: Far | None
    calls: _FlashAttn | _TorchFlash


Saved = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Query, key, value, output and normalisers."""
Dice = tuple[Tensor, ...]
"""What draws the same dropout again."""


def supports(
    pattern: SparsePattern | None, *, device: torch.device, dtype: torch.dtype, dropout: float
) -> str | None:
    """Why this kernel can't run, or None: see `kernels.Supports`."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return f"flash attention needs a CUDA device, not {device.type}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "flash attention needs an Ampere GPU or a later one"
    if not _has_flash_attn() and not torch.backends.cuda.is_flash_attention_available():
        return "flash-attn isn't installed, and this torch is built without flash attention"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"flash attention computes in float16 or bfloat16, not {dtype}"
    return None if pattern is None else _unfit(pattern)


def _unfit(pattern: SparsePattern) -> str | None:
    if pattern.window_tokens is None:
        return "flash attention knows windows, not blocks"
    spans, host = pattern.documents, pattern.on_host
    if int((spans[:, 1] - spans[:, 0]).sum()) != int(host.valid_BT.sum()):
        return "there is padding inside a document, and without it the tokens behind would move up"
    if (pairs := far_ranges(pattern).num_pairs) > FAR_KEYS * int(host.valid_BT.sum()):
        return f"there are too many global tokens for flash attention: {pairs} copies of their keys"
    return None


def _attend(three: Three, pattern: SparsePattern, plan: FlashPlan, dropout: float) -> Tensor:
    head_size = three[0].shape[3]
    if head_size > MOST_FEATURES:
        raise ValueError(f"a head has {head_size} features; flash attention does up to {MOST_FEATURES}")
    tensors = [flatten(tensor, FEATURE_STEP) for tensor in three]
    if plan.real_M is not None:
        tensors = [tensor.index_select(0, plan.real_M) for tensor in tensors]
    apply: Callable[..., Tensor] = _Attention.apply
    output = apply(*tensors, plan, head_size**-0.5, dropout)[..., :head_size]

    if plan.real_M is not None:
        empty = output.new_zeros(pattern.document_BT.numel(), *output.shape[1:])
        output = empty.index_copy(0, plan.real_M, output)
    return output.unflatten(0, pattern.document_BT.shape).transpose(1, 2)


# ---------------------------------------------------------------------------------------- plan


def _plan(pattern: SparsePattern) -> FlashPlan:
    if reason := _unfit(pattern):
        raise ValueError(reason)
    assert pattern.window_tokens is not None
    device = pattern.device
    lengths = pattern.documents.diff(dim=1).flatten()
    real_M = real_tokens(pattern)
    return FlashPlan(
        None if len(real_M) == pattern.document_BT.numel() else real_M.to(device, non_blocking=True),
        Spans.of(lengths, lengths, pattern.window_tokens, device),
        far_keys(far_ranges(pattern), len(real_M), device),
        _calls(),
    )


attend, prepare = attend_by_plan("flash", _plan, _attend)


# -------------------------------------------------------------------------------------- kernel


class _Attention(torch.autograd.Function):
    """Both calls and their sum: (M, H, D) in, (M, H, D) out."""

    @staticmethod
    def forward(
        ctx: Any,
        query_MHD: Tensor,
        key_MHD: Tensor,
        value_MHD: Tensor,
        plan: FlashPlan,
        scale: float,
        dropout: float,
    ) -> Tensor:
        if not len(query_MHD):
            ctx.save_for_backward(query_MHD, key_MHD, value_MHD)
            return torch.zeros_like(query_MHD)
        three, far = (query_MHD, key_MHD, value_MHD), plan.far
        output_MHD, norm_HM, ctx.dice = plan.calls.forward(three, plan.near, scale, dropout)
        if far is not None:
            seen = query_MHD, key_MHD[far.key_E], value_MHD[far.key_E]
            far_MHD, far_HM, ctx.far_dice = plan.calls.forward(seen, far.spans, scale, dropout)
            near_HM, far_HM = norm_HM, far_HM.masked_fill(far.none_M, -torch.inf)
            norm_HM = torch.logaddexp(near_HM, far_HM)
            share_MH1 = (far_HM - norm_HM).exp().T[:, :, None]
            output_MHD = torch.lerp(output_MHD, far_MHD, share_MH1.to(far_MHD.dtype))
        ctx.save_for_backward(*three, output_MHD, norm_HM)
        ctx.call = plan, scale, dropout
        return output_MHD

    @staticmethod
    def backward(ctx: Any, grad_MHD: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        if not len(grad_MHD):
            return (*(torch.zeros_like(tensor) for tensor in saved), None, None, None)
        plan, scale, dropout = ctx.call
        grad_MHD = grad_MHD.contiguous()
        three = plan.calls.backward(grad_MHD, saved, plan.near, scale, dropout, ctx.dice)
        if plan.far is not None:
            _add_far_gradients(three, grad_MHD, saved, plan, scale, dropout, ctx.far_dice)
        return (*three, None, None, None)


def _add_far_gradients(
    three: Three, grad_MHD: Tensor, saved: Saved, plan: FlashPlan, scale: float, dropout: float, dice: Dice
) -> None:
    """What the far keys add to dq, dk and dv, in place."""
    query_MHD, key_MHD, value_MHD, output_MHD, norm_HM = saved
    far = plan.far
    assert far is not None
    # exp(S - inf) = 0: the key that a stretch without any was given gets nothing and gives nothing.
    norm_HM = norm_HM.masked_fill(far.none_M, torch.inf)
    seen = query_MHD, key_MHD[far.key_E], value_MHD[far.key_E], output_MHD, norm_HM
    dquery_MHD, *others = plan.calls.backward(grad_MHD, seen, far.spans, scale, dropout, dice)
    three[0].add_(dquery_MHD)
    # A global key sums over its stretches: in float32.
    for whole_MHD, far_EHD in zip(three[1:], others, strict=True):
        sum_GHD = whole_MHD[far.key_G].float().index_add_(0, far.which_E, far_EHD.float())
        whole_MHD.index_copy_(0, far.key_G, sum_GHD.to(whole_MHD.dtype))


# --------------------------------------------------------------------------------------- calls
#
# Attention within stretches: (M, H, D) tensors of one dtype. `forward` gives the output and the logarithm of
# each query's normaliser, (H, M) float32; `backward` dq, dk and dv, where output and normalisers are those
# over all keys, not this call's own.


class _FlashAttn:
    """The installed flash-attn 2."""

    def forward(
        self, three: Three, spans: Spans, scale: float, dropout: float
    ) -> tuple[Tensor, Tensor, Dice]:
        from flash_attn.flash_attn_interface import _flash_attn_varlen_forward

        output_MHD, norm_HM, _, dice = _flash_attn_varlen_forward(
            *three, **self._options(spans, scale, dropout), return_softmax=False
        )
        return output_MHD, norm_HM, (dice,)

    def backward(
        self, grad_MHD: Tensor, saved: Saved, spans: Spans, scale: float, dropout: float, dice: Dice
    ) -> Three:
        from flash_attn.flash_attn_interface import _flash_attn_varlen_backward

        three = torch.empty_like(saved[0]), torch.empty_like(saved[1]), torch.empty_like(saved[2])
        _flash_attn_varlen_backward(
            *(grad_MHD, *saved, *three),
            **self._options(spans, scale, dropout),
            deterministic=torch.are_deterministic_algorithms_enabled(),
            rng_state=dice[0],
        )
        return three

    def _options(self, spans: Spans, scale: float, dropout: float) -> dict[str, Any]:
        return {
            "cu_seqlens_q": spans.query,
            "cu_seqlens_k": spans.key,
            "max_seqlen_q": spans.longest_query,
            "max_seqlen_k": spans.longest_key,
            "dropout_p": dropout,
            "softmax_scale": scale,
            "causal": False,
            "window_size_left": spans.reach,
            "window_size_right": spans.reach,
            "softcap": 0.0,
            "alibi_slopes": None,
        }


class _TorchFlash:
    """The copy of flash-attn 2 in torch, called as `torch.nn.attention.varlen` calls it."""

    def forward(
        self, three: Three, spans: Spans, scale: float, dropout: float
    ) -> tuple[Tensor, Tensor, Dice]:
        output_MHD, norm_HM, *dice, _ = torch.ops.aten._flash_attention_forward(
            *three,
            *(spans.query, spans.key, spans.longest_query, spans.longest_key),
            *(dropout, False, False),  # not causal, no debug mask
            scale=scale,
            window_size_left=spans.reach,
            window_size_right=spans.reach,
        )
        return output_MHD, norm_HM, tuple(dice)

    def backward(
        self, grad_MHD: Tensor, saved: Saved, spans: Spans, scale: float, dropout: float, dice: Dice
    ) -> Three:
        dquery, dkey, dvalue = torch.ops.aten._flash_attention_backward(
            *(grad_MHD, *saved),
            *(spans.query, spans.key, spans.longest_query, spans.longest_key),
            *(dropout, False, *dice),  # not causal
            scale=scale,
            window_size_left=spans.reach,
            window_size_right=spans.reach,
        )
        return dquery, dkey, dvalue


@lru_cache
def _has_flash_attn() -> bool:
    """Whether it can be loaded: one that was built for another torch can't."""
    if importlib.util.find_spec("flash_attn") is None:
        return False
    try:
        importlib.import_module("flash_attn.flash_attn_interface")
    except (ImportError, OSError) as error:
        logger.warning("flash-attn can't be loaded, torch's copy takes its place: %s", error)
        return False
    return True


def _calls() -> _FlashAttn | _TorchFlash:
    return _FlashAttn() if _has_flash_attn() else _TorchFlash()
