"""Sliding windows through flash-attn 2, or the copy of it in torch; global tokens as a second part.

Flash attention knows windows and no masks. So it sees the window, and a plain matrix product sees
the few global tokens outside of it. No key is in both parts, and the softmax over all keys is their
sum, each weighed by its share of the normaliser: O = Σ exp(L_i - L) O_i with L = log Σ exp(L_i).
In the backward pass either part needs nothing of the other but L and the merged output (see
FlashAttention-2, Dao 2023, section 3.1: P = exp(S - L), dS = P * (dP - rowsum(dO * O))).
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

from longbio.attention.pattern import PADDING, SparsePattern, check_tensors

MOST_FEATURES = 256  # of a head
FEATURE_STEP = 8  # head sizes are multiples of it
COLUMN_SCORES = 1 << 22  # of global keys, per head, held at once
LEAST_CHUNK, MOST_CHUNK = 128, 8192  # queries that look at their global keys at once


@dataclass(frozen=True, eq=False)
class Columns:
    """Global keys that some of the queries see outside their windows. Positions count M real tokens."""

    query: slice
    keys_G: Tensor


@dataclass(frozen=True, eq=False)
class Plan:
    """A pattern's M real tokens, one document after the other.

    Args:
        real_M: int64, their flat positions, row * T + token; None where no token is padding.
        starts: int32, (documents + 1,), where each document begins, and M.
        document_M: int32, the document of each token, numbered over the batch.
        longest: tokens in the longest document.
        reach: keys seen to each side.
        columns: what the windows leave out.
        window: computes the rest.
    """

    real_M: Tensor | None
    starts: Tensor
    document_M: Tensor
    longest: int
    reach: int
    columns: tuple[Columns, ...]
    window: WindowPart


Three = tuple[Tensor, Tensor, Tensor]
Saved = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Query, key, value, output and normalisers."""


class WindowPart(Protocol):
    """Attention within the window: (M, H, D) tensors of one dtype, log-normalisers (H, M) float32."""

    def forward(
        self, query_MHD: Tensor, key_MHD: Tensor, value_MHD: Tensor, plan: Plan, scale: float
    ) -> tuple[Tensor, Tensor]:
        """The output and the logarithm of each query's normaliser."""
        ...

    def backward(self, grad_MHD: Tensor, saved: Saved, plan: Plan, scale: float) -> Three:
        """dq, dk and dv, where output and normalisers are those over all keys, not the window's own."""
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
        return "the part for global tokens has no dropout"
    return None if pattern is None else _unfit(pattern)


def _unfit(pattern: SparsePattern) -> str | None:
    """What flash attention can't do about a pattern."""
    if pattern.window_tokens is None:
        return "flash attention knows windows, not blocks"
    spans, host = pattern.documents, pattern.on_host
    if int((spans[:, 1] - spans[:, 0]).sum()) != int(host.valid_BT.sum()):
        return "there is padding inside a document, and without it the tokens behind would move up"
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
        raise ValueError("the part for global tokens has no dropout")
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
    spans, device = pattern.documents, pattern.device
    real_M = (pattern.on_host.document_BT != PADDING).flatten().nonzero().flatten()
    lengths = spans[:, 1] - spans[:, 0]
    starts = functional.pad(lengths.cumsum(0), (1, 0))
    document_M = torch.repeat_interleave(torch.arange(len(spans)), lengths)
    global_G = torch.searchsorted(real_M, pattern.global_positions)
    columns = _columns(global_G, document_M, starts, pattern.window_tokens)
    return Plan(
        None if len(real_M) == pattern.document_BT.numel() else real_M.to(device, non_blocking=True),
        starts.int().to(device, non_blocking=True),
        document_M.int().to(device, non_blocking=True),
        int(lengths.max()) if len(lengths) else 0,
        pattern.window_tokens,
        tuple(Columns(chunk.query, chunk.keys_G.to(device, non_blocking=True)) for chunk in columns),
        _window_part(),
    )


def _columns(global_G: Tensor, document_M: Tensor, starts: Tensor, reach: int) -> list[Columns]:
    columns = []
    document_G = document_M[global_G]
    size = min(max(COLUMN_SCORES // max(len(global_G), 1), LEAST_CHUNK), MOST_CHUNK)
    for query in (slice(start, start + size) for start in range(0, len(document_M), size)):
        inside = document_M[query]
        first, last = int(inside[0]), int(inside[-1])
        # A key matters to a query of its document that is further away than the window reaches.
        lowest_G = starts[document_G].clamp(min=query.start)
        highest_G = starts[document_G + 1].clamp(max=query.start + len(inside)) - 1
        far_G = (global_G - lowest_G > reach) | (highest_G - global_G > reach)
        keys_G = global_G[(document_G >= first) & (document_G <= last) & far_G]
        if len(keys_G):
            columns.append(Columns(slice(query.start, query.start + len(inside)), keys_G))
    return columns


# -------------------------------------------------------------------------------------- kernel


class _Attention(torch.autograd.Function):
    """Both parts and their sum: (M, H, D) in, (M, H, D) out."""

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
            output_MHD, norm_HM = plan.window.forward(query_MHD, key_MHD, value_MHD, plan, scale)
        # Autocast would round the products of the columns, which are taken in float32 on purpose.
        with torch.autocast(query_MHD.device.type, enabled=False):
            for columns in plan.columns:
                _add_columns(output_MHD, norm_HM, query_MHD, key_MHD, value_MHD, columns, plan, scale)
        ctx.save_for_backward(query_MHD, key_MHD, value_MHD, output_MHD, norm_HM)
        ctx.plan, ctx.scale = plan, scale
        return output_MHD

    @staticmethod
    def backward(ctx: Any, grad_MHD: Tensor) -> tuple[Tensor | None, ...]:
        saved, plan, scale = ctx.saved_tensors, ctx.plan, ctx.scale
        if not len(grad_MHD):
            return (*(torch.zeros_like(tensor) for tensor in saved[:3]), None, None)
        grad_MHD = grad_MHD.contiguous()
        three = plan.window.backward(grad_MHD, saved, plan, scale)
        if plan.columns:
            with torch.autocast(grad_MHD.device.type, enabled=False):
                three = _with_column_gradients(three, grad_MHD, saved, plan, scale)
        return (*three, None, None)


def _add_columns(
    output_MHD: Tensor,
    norm_HM: Tensor,
    query_MHD: Tensor,
    key_MHD: Tensor,
    value_MHD: Tensor,
    columns: Columns,
    plan: Plan,
    scale: float,
) -> None:
    """Merge a chunk's global keys into the output and the normalisers, in place."""
    query, keys_G = columns.query, columns.keys_G
    query_HQD, key_HGD, value_HGD = _heads(query_MHD[query], key_MHD[keys_G], value_MHD[keys_G])
    scores_HQG = _scores(query_HQD, key_HGD, columns, plan, scale)
    before_HQ = norm_HM[:, query]
    # Finite even where no global key is seen: the window shows each query itself.
    norm_HQ = torch.logaddexp(before_HQ, scores_HQG.logsumexp(dim=-1))
    kept_HQD = _heads(output_MHD[query])[0] * (before_HQ - norm_HQ).exp()[..., None]
    merged_HQD = kept_HQD + (scores_HQG - norm_HQ[..., None]).exp() @ value_HGD
    output_MHD[query] = merged_HQD.transpose(0, 1).to(output_MHD.dtype)
    norm_HM[:, query] = norm_HQ


def _with_column_gradients(three: Three, grad_MHD: Tensor, saved: Saved, plan: Plan, scale: float) -> Three:
    """dq, dk and dv of the window part, and what the global keys outside the windows add to them."""
    query_MHD, key_MHD, value_MHD, output_MHD, norm_HM = saved
    # One global key sums over all queries, a chunk at a time: in float32.
    dquery_MHD, dkey_MHD, dvalue_MHD = (tensor.float() for tensor in three)
    for columns in plan.columns:
        query, keys_G = columns.query, columns.keys_G
        query_HQD, grad_HQD, output_HQD = _heads(query_MHD[query], grad_MHD[query], output_MHD[query])
        key_HGD, value_HGD = _heads(key_MHD[keys_G], value_MHD[keys_G])
        scores_HQG = _scores(query_HQD, key_HGD, columns, plan, scale)
        weights_HQG = (scores_HQG - norm_HM[:, query, None]).exp()
        common_HQ1 = (grad_HQD * output_HQD).sum(dim=-1, keepdim=True)
        dscores_HQG = weights_HQG * (grad_HQD @ value_HGD.mT - common_HQ1) * scale
        dquery_MHD[query] += (dscores_HQG @ key_HGD).transpose(0, 1)
        dkey_MHD.index_add_(0, keys_G, (dscores_HQG.mT @ query_HQD).transpose(0, 1))
        dvalue_MHD.index_add_(0, keys_G, (weights_HQG.mT @ grad_HQD).transpose(0, 1))
    dtype = query_MHD.dtype
    return dquery_MHD.to(dtype), dkey_MHD.to(dtype), dvalue_MHD.to(dtype)


def _heads(*tensors_QHD: Tensor) -> list[Tensor]:
    """(H, Q, D) float32 of each."""
    return [tensor.transpose(0, 1).float() for tensor in tensors_QHD]


def _scores(query_HQD: Tensor, key_HGD: Tensor, columns: Columns, plan: Plan, scale: float) -> Tensor:
    """(H, Q, G), -inf for another document's key and for one that the window part has seen."""
    document_M, query, keys_G = plan.document_M, columns.query, columns.keys_G
    position_Q1 = torch.arange(query.start, query.stop, device=keys_G.device)[:, None]
    hidden_QG = (position_Q1 - keys_G).abs() <= plan.reach
    hidden_QG |= document_M[query, None] != document_M[keys_G]
    return (query_HQD @ key_HGD.mT).mul_(scale).masked_fill_(hidden_QG, -torch.inf)


# -------------------------------------------------------------------------------- window parts


class _FlashAttn:
    """The installed flash-attn 2."""

    def forward(
        self, query_MHD: Tensor, key_MHD: Tensor, value_MHD: Tensor, plan: Plan, scale: float
    ) -> tuple[Tensor, Tensor]:
        from flash_attn.flash_attn_interface import _flash_attn_varlen_forward

        output_MHD, norm_HM, _, _ = _flash_attn_varlen_forward(
            query_MHD, key_MHD, value_MHD, **self._options(plan, scale), return_softmax=False
        )
        return output_MHD, norm_HM

    def backward(self, grad_MHD: Tensor, saved: Saved, plan: Plan, scale: float) -> Three:
        from flash_attn.flash_attn_interface import _flash_attn_varlen_backward

        three = torch.empty_like(grad_MHD), torch.empty_like(grad_MHD), torch.empty_like(grad_MHD)
        _flash_attn_varlen_backward(
            *(grad_MHD, *saved, *three),
            **self._options(plan, scale),
            deterministic=torch.are_deterministic_algorithms_enabled(),
        )
        return three

    def _options(self, plan: Plan, scale: float) -> dict[str, Any]:
        return {
            "cu_seqlens_q": plan.starts,
            "cu_seqlens_k": plan.starts,
            "max_seqlen_q": plan.longest,
            "max_seqlen_k": plan.longest,
            "dropout_p": 0.0,
            "softmax_scale": scale,
            "causal": False,
            "window_size_left": plan.reach,
            "window_size_right": plan.reach,
            "softcap": 0.0,
            "alibi_slopes": None,
        }


class _TorchFlash:
    """The copy of flash-attn 2 in torch, called as `torch.nn.attention.varlen` calls it."""

    def forward(
        self, query_MHD: Tensor, key_MHD: Tensor, value_MHD: Tensor, plan: Plan, scale: float
    ) -> tuple[Tensor, Tensor]:
        output_MHD, norm_HM, _, _, _ = torch.ops.aten._flash_attention_forward(
            *(query_MHD, key_MHD, value_MHD),
            *(plan.starts, plan.starts, plan.longest, plan.longest),
            *(0.0, False, False),  # no dropout, not causal, no debug mask
            scale=scale,
            window_size_left=plan.reach,
            window_size_right=plan.reach,
        )
        return output_MHD, norm_HM

    def backward(self, grad_MHD: Tensor, saved: Saved, plan: Plan, scale: float) -> Three:
        no_seed = torch.zeros(2, dtype=torch.uint64, device=grad_MHD.device)
        dquery, dkey, dvalue = torch.ops.aten._flash_attention_backward(
            *(grad_MHD, *saved),
            *(plan.starts, plan.starts, plan.longest, plan.longest),
            *(0.0, False),  # no dropout, not causal
            *(no_seed, torch.empty(0, device=grad_MHD.device)),
            scale=scale,
            window_size_left=plan.reach,
            window_size_right=plan.reach,
        )
        return dquery, dkey, dvalue


@lru_cache
def _has_flash_attn() -> bool:
    return importlib.util.find_spec("flash_attn") is not None


def _window_part() -> WindowPart:
    return _FlashAttn() if _has_flash_attn() else _TorchFlash()
