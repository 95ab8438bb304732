"""Sliding windows through flash-attn 2, or the copy of it in torch; far global tokens as a second call.

Flash attention knows windows and no masks. So a first call sees the window. Queries that see the
same global keys outside of it form a stretch, and a second call gives each stretch these keys. No
key is in both, and the softmax over all keys is the sum of the two, each weighed by its share of the
normaliser: O = Σ exp(L_i - L) O_i with L = log Σ exp(L_i). In the backward pass either call needs
nothing of the other but L and the merged output (see FlashAttention-2, Dao 2023, section 3.1:
P = exp(S - L), dS = P * (dP - rowsum(dO * O))).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from longbio.attention.pattern import SparsePattern, check_tensors

MOST_FEATURES = 256  # of a head
FEATURE_STEP = 8  # head sizes are multiples of it
FAR_KEYS = 4  # for each token, over all stretches; with more, a mask costs less than their copies
STRETCH = 2048  # queries at most: stretches run in parallel
EVERYWHERE = -1  # flash attention's word for no window
NO_DROPOUT = "flash attention in two calls has no dropout"


@dataclass(frozen=True, eq=False)
class Spans:
    """Which keys belong to which queries: stretch n of the ones to stretch n of the others.

    Args:
        query: int32, (stretches + 1,), where each begins, and the number of queries.
        key: likewise.
        longest_query: of a stretch.
        longest_key: likewise.
        reach: keys seen to each side, or `EVERYWHERE`.
    """

    query: Tensor
    key: Tensor
    longest_query: int
    longest_key: int
    reach: int

    @classmethod
    def of(cls, queries: Tensor, keys: Tensor, reach: int, device: torch.device) -> Spans:
        """From the lengths of the stretches, on the CPU."""
        query, key = (
            functional.pad(lengths.cumsum(0), (1, 0)).int().to(device, non_blocking=True)
            for lengths in (queries, keys)
        )
        longest_query, longest_key = (
            int(lengths.max()) if len(lengths) else 0 for lengths in (queries, keys)
        )
        return cls(query, key, longest_query, longest_key, reach)


@dataclass(frozen=True, eq=False)
class Far:
    """Global keys outside the windows. Positions count M real tokens.

    Args:
        query_F: int64, queries that see some, stretch by stretch; none twice.
        key_E: int64, what they see; a key comes once for each of its stretches.
        spans: the stretches.
        key_G: int64, the different ones of `key_E`.
        which_E: int64, where each of `key_E` stands among them.
    """

    query_F: Tensor
    key_E: Tensor
    spans: Spans
    key_G: Tensor
    which_E: Tensor


@dataclass(frozen=True, eq=False)
class Plan:
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
    calls: Calls


Three = tuple[Tensor, Tensor, Tensor]
Saved = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Query, key, value, output and normalisers."""


class Calls(Protocol):
    """Attention within stretches: (M, H, D) tensors of one dtype, log-normalisers (H, M) float32."""

    def forward(
        self, query_MHD: Tensor, key_MHD: Tensor, value_MHD: Tensor, spans: Spans, scale: float
    ) -> tuple[Tensor, Tensor]:
        """The output and the logarithm of each query's normaliser."""
        ...

    def backward(self, grad_MHD: Tensor, saved: Saved, spans: Spans, scale: float) -> Three:
        """dq, dk and dv, where output and normalisers are those over all keys, not this call's own."""
        ...


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
    if dropout:
        return NO_DROPOUT
    return None if pattern is None else _unfit(pattern)


def _unfit(pattern: SparsePattern) -> str | None:
    """What flash attention can't do about a pattern."""
    if pattern.window_tokens is None:
        return "flash attention knows windows, not blocks"
    spans, host = pattern.documents, pattern.on_host
    if int((spans[:, 1] - spans[:, 0]).sum()) != int(host.valid_BT.sum()):
        return "there is padding inside a document, and without it the tokens behind would move up"
    if (pairs := _far_ranges(pattern).num_pairs) > FAR_KEYS * int(host.valid_BT.sum()):
        return f"there are too many global tokens for flash attention: {pairs} copies of their keys"
    return None


def prepare(pattern: SparsePattern) -> None:
    """Make the plan of a pattern, before the first layer asks for it."""
    if "flash" not in pattern.cache:
        pattern.cache["flash"] = _plan(pattern)


def attend(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    pattern: SparsePattern,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of every token: same arguments, shapes and result as `reference.attend`.

    Raises:
        ValueError: shapes, dtypes or devices disagree; dropout; a pattern or head size that flash
            attention can't do.
    """
    check_tensors(query_BHTD, key_BHTD, value_BHTD, pattern, dropout)
    head_size = query_BHTD.shape[3]
    if dropout:
        raise ValueError(NO_DROPOUT)
    if head_size > MOST_FEATURES:
        raise ValueError(f"a head has {head_size} features; flash attention does up to {MOST_FEATURES}")
    prepare(pattern)
    plan: Plan = pattern.cache["flash"]

    three = [tensor.transpose(1, 2).flatten(0, 1) for tensor in (query_BHTD, key_BHTD, value_BHTD)]
    if plan.real_M is not None:
        three = [tensor.index_select(0, plan.real_M) for tensor in three]
    if missing := -head_size % FEATURE_STEP:
        three = [functional.pad(tensor, (0, missing)) for tensor in three]
    apply: Callable[..., Tensor] = _Attention.apply
    output = apply(*three, plan, head_size**-0.5)[..., :head_size]

    if plan.real_M is not None:
        empty = output.new_zeros(pattern.document_BT.numel(), *output.shape[1:])
        output = empty.index_copy(0, plan.real_M, output)
    return output.unflatten(0, pattern.document_BT.shape).transpose(1, 2)


# ---------------------------------------------------------------------------------------- plan


def _plan(pattern: SparsePattern) -> Plan:
    if reason := _unfit(pattern):
        raise ValueError(reason)
    assert pattern.window_tokens is not None
    device = pattern.device
    lengths = pattern.documents.diff(dim=1).flatten()
    real_M = _real(pattern)
    return Plan(
        None if len(real_M) == pattern.document_BT.numel() else real_M.to(device, non_blocking=True),
        Spans.of(lengths, lengths, pattern.window_tokens, device),
        _far(_far_ranges(pattern), device),
        _calls(),
    )


def _real(pattern: SparsePattern) -> Tensor:
    return pattern.on_host.valid_BT.flatten().nonzero().flatten()


@dataclass(frozen=True, eq=False)
class Ranges:
    """Queries that are too far from a global key: two ranges for each, to its left and to its right.

    Args:
        cut_S: int64, ascending: where ranges begin and end, and so stretches.
        first_R: int64, the first cut of each range that isn't empty,
        stop_R: and its last one.
        key_R: int64, its global key.
    """

    cut_S: Tensor
    first_R: Tensor
    stop_R: Tensor
    key_R: Tensor

    @property
    def num_pairs(self) -> int:
        """Of a stretch and a key that it sees."""
        return int((self.stop_R - self.first_R).sum())


def _far_ranges(pattern: SparsePattern) -> Ranges:
    if "flash ranges" not in pattern.cache:
        pattern.cache["flash ranges"] = _made_ranges(pattern)
    ranges: Ranges = pattern.cache["flash ranges"]
    return ranges


def _made_ranges(pattern: SparsePattern) -> Ranges:
    assert pattern.window_tokens is not None
    real_M = _real(pattern)
    global_G = torch.searchsorted(real_M, pattern.global_positions)
    stops = pattern.documents.diff(dim=1).flatten().cumsum(0)
    document_G = torch.searchsorted(stops, global_G, right=True)
    stop_G = stops[document_G]
    start_G = functional.pad(stops, (1, 0))[document_G]
    reach = pattern.window_tokens
    start_R = torch.cat([start_G, global_G + reach + 1])
    stop_R = torch.cat([global_G - reach, stop_G])
    filled = start_R < stop_R
    start_R, stop_R, key_R = start_R[filled], stop_R[filled], torch.cat([global_G, global_G])[filled]
    cut_S = torch.cat([start_R, stop_R, torch.arange(0, len(real_M), STRETCH)]).unique()
    return Ranges(cut_S, torch.searchsorted(cut_S, start_R), torch.searchsorted(cut_S, stop_R), key_R)


def _far(ranges: Ranges, device: torch.device) -> Far | None:
    if not ranges.num_pairs:
        return None
    times_R = ranges.stop_R - ranges.first_R
    key_E = torch.repeat_interleave(ranges.key_R, times_R)
    # Range r covers the stretches first, first + 1, ... up to stop.
    within_E = torch.arange(len(key_E)) - torch.repeat_interleave(times_R.cumsum(0) - times_R, times_R)
    stretch_E, order_E = (torch.repeat_interleave(ranges.first_R, times_R) + within_E).sort(stable=True)
    key_E = key_E[order_E]
    stretch_S, keys_S = stretch_E.unique_consecutive(return_counts=True)
    start_S = ranges.cut_S[stretch_S]
    queries_S = ranges.cut_S[stretch_S + 1] - start_S
    before_S = queries_S.cumsum(0) - queries_S
    query_F = torch.arange(int(queries_S.sum())) + torch.repeat_interleave(start_S - before_S, queries_S)
    key_G, which_E = key_E.unique(return_inverse=True)
    query_F, key_E, key_G, which_E = (
        index.to(device, non_blocking=True) for index in (query_F, key_E, key_G, which_E)
    )
    return Far(query_F, key_E, Spans.of(queries_S, keys_S, EVERYWHERE, device), key_G, which_E)


# -------------------------------------------------------------------------------------- kernel


class _Attention(torch.autograd.Function):
    """Both calls and their sum: (M, H, D) in, (M, H, D) out."""

    @staticmethod
    def forward(
        ctx: Any,
        query_MHD: Tensor,
        key_MHD: Tensor,
        value_MHD: Tensor,
        plan: Plan,
        scale: float,
    ) -> Tensor:
        if not len(query_MHD):
            output_MHD, norm_HM = torch.zeros_like(query_MHD), query_MHD.new_zeros(query_MHD.shape[1], 0)
        else:
            output_MHD, norm_HM = plan.calls.forward(query_MHD, key_MHD, value_MHD, plan.near, scale)
        if plan.far is not None:
            three = query_MHD, key_MHD, value_MHD
            _add_far(output_MHD, norm_HM, three, plan.far, plan.calls, scale)
        ctx.save_for_backward(query_MHD, key_MHD, value_MHD, output_MHD, norm_HM)
        ctx.plan, ctx.scale = plan, scale
        return output_MHD

    @staticmethod
    def backward(ctx: Any, grad_MHD: Tensor) -> tuple[Tensor | None, ...]:
        saved, plan, scale = ctx.saved_tensors, ctx.plan, ctx.scale
        if not len(grad_MHD):
            return (*(torch.zeros_like(tensor) for tensor in saved[:3]), None, None)
        grad_MHD = grad_MHD.contiguous()
        three = plan.calls.backward(grad_MHD, saved, plan.near, scale)
        if plan.far is not None:
            _add_far_gradients(three, grad_MHD, saved, plan.far, plan.calls, scale)
        return (*three, None, None)


def _add_far(output_MHD: Tensor, norm_HM: Tensor, three: Three, far: Far, calls: Calls, scale: float) -> None:
    """Merge the far keys into the output and the normalisers, in place."""
    query_FHD = three[0][far.query_F]
    key_EHD, value_EHD = (tensor[far.key_E] for tensor in three[1:])
    far_FHD, far_HF = calls.forward(query_FHD, key_EHD, value_EHD, far.spans, scale)
    norm_HF = torch.logaddexp(norm_HM[:, far.query_F], far_HF)
    share_FH1 = (far_HF - norm_HF).exp().T[:, :, None].to(output_MHD.dtype)
    output_MHD.index_copy_(0, far.query_F, torch.lerp(output_MHD[far.query_F], far_FHD, share_FH1))
    norm_HM.index_copy_(1, far.query_F, norm_HF)


def _add_far_gradients(
    three: Three, grad_MHD: Tensor, saved: Saved, far: Far, calls: Calls, scale: float
) -> None:
    """What the far keys add to dq, dk and dv, in place."""
    query_MHD, key_MHD, value_MHD, output_MHD, norm_HM = saved
    seen = (
        query_MHD[far.query_F],
        key_MHD[far.key_E],
        value_MHD[far.key_E],
        output_MHD[far.query_F],
        norm_HM[:, far.query_F],
    )
    dquery_FHD, *others = calls.backward(grad_MHD[far.query_F], seen, far.spans, scale)
    three[0].index_add_(0, far.query_F, dquery_FHD)
    # A global key sums over its stretches: in float32.
    for whole_MHD, far_EHD in zip(three[1:], others, strict=True):
        sum_GHD = whole_MHD[far.key_G].float().index_add_(0, far.which_E, far_EHD.float())
        whole_MHD.index_copy_(0, far.key_G, sum_GHD.to(whole_MHD.dtype))


# --------------------------------------------------------------------------------------- calls


class _FlashAttn:
    """The installed flash-attn 2."""

    def forward(
        self, query_MHD: Tensor, key_MHD: Tensor, value_MHD: Tensor, spans: Spans, scale: float
    ) -> tuple[Tensor, Tensor]:
        from flash_attn.flash_attn_interface import _flash_attn_varlen_forward

        output_MHD, norm_HM, _, _ = _flash_attn_varlen_forward(
            query_MHD, key_MHD, value_MHD, **self._options(spans, scale), return_softmax=False
        )
        return output_MHD, norm_HM

    def backward(self, grad_MHD: Tensor, saved: Saved, spans: Spans, scale: float) -> Three:
        from flash_attn.flash_attn_interface import _flash_attn_varlen_backward

        three = torch.empty_like(saved[0]), torch.empty_like(saved[1]), torch.empty_like(saved[2])
        _flash_attn_varlen_backward(
            *(grad_MHD, *saved, *three),
            **self._options(spans, scale),
            deterministic=torch.are_deterministic_algorithms_enabled(),
        )
        return three

    def _options(self, spans: Spans, scale: float) -> dict[str, Any]:
        return {
            "cu_seqlens_q": spans.query,
            "cu_seqlens_k": spans.key,
            "max_seqlen_q": spans.longest_query,
            "max_seqlen_k": spans.longest_key,
            "dropout_p": 0.0,
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
        self, query_MHD: Tensor, key_MHD: Tensor, value_MHD: Tensor, spans: Spans, scale: float
    ) -> tuple[Tensor, Tensor]:
        output_MHD, norm_HM, _, _, _ = torch.ops.aten._flash_attention_forward(
            *(query_MHD, key_MHD, value_MHD),
            *(spans.query, spans.key, spans.longest_query, spans.longest_key),
            *(0.0, False, False),  # no dropout, not causal, no debug mask
            scale=scale,
            window_size_left=spans.reach,
            window_size_right=spans.reach,
        )
        return output_MHD, norm_HM

    def backward(self, grad_MHD: Tensor, saved: Saved, spans: Spans, scale: float) -> Three:
        no_seed = torch.zeros(2, dtype=torch.uint64, device=grad_MHD.device)
        dquery, dkey, dvalue = torch.ops.aten._flash_attention_backward(
            *(grad_MHD, *saved),
            *(spans.query, spans.key, spans.longest_query, spans.longest_key),
            *(0.0, False),  # no dropout, not causal
            *(no_seed, torch.empty(0, device=grad_MHD.device)),
            scale=scale,
            window_size_left=spans.reach,
            window_size_right=spans.reach,
        )
        return dquery, dkey, dvalue


@lru_cache
def _has_flash_attn() -> bool:
    return importlib.util.find_spec("flash_attn") is not None


def _calls() -> Calls:
    return _FlashAttn() if _has_flash_attn() else _TorchFlash()
