"""The rows of a Longformer's global tokens: few queries, every key of their document."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

from longbio.attention import blocked
from longbio.attention.pattern import PADDING, SparsePattern
from longbio.attention.tiles import TilePlan

GLOBAL_TILE = 128  # queries
FOLDED_TOKENS = 64  # above it, projecting every key costs less than projecting every query back


@dataclass(frozen=True, eq=False)
class GlobalRows:
    """Where the global tokens of a batch stand, and what they see; all rows are one sequence.

    Args:
        index_G: int64, flat positions of the global tokens.
        bias_G1N: 0 or -inf where there are few of them and some see less than everything.
        plan: what they see, where there are many.
    """

    index_G: Tensor
    bias_G1N: Tensor | None = None
    plan: TilePlan | None = None

    def to(self, device: torch.device) -> GlobalRows:
        """The rows on another device."""
        bias_G1N = None if self.bias_G1N is None else self.bias_G1N.to(device, non_blocking=True)
        plan = None if self.plan is None else self.plan.to(device)
        return GlobalRows(self.index_G.to(device, non_blocking=True), bias_G1N, plan)


def global_rows(pattern: SparsePattern) -> GlobalRows | None:
    """The global rows of a pattern, made once; None when it has no global token."""

    def make() -> GlobalRows | None:
        return _rows(pattern.on_host).to(pattern.device) if pattern.has_globals else None

    rows: GlobalRows | None = pattern.once("global rows", make)
    return rows


def attend_from_global(
    query_GHD: Tensor, key_NHD: Tensor, value_NHD: Tensor, rows: GlobalRows, *, dropout: float = 0.0
) -> Tensor:
    """Dense attention of many global tokens over the real tokens of their documents.

    The projections are `*_global`: queries of the tokens at `rows.index_G`, keys and values of every token.

    Returns:
        (G, H, D).
    """
    assert rows.plan is not None
    return blocked.run(query_GHD, key_NHD, value_NHD, rows.plan, dropout)


def attend_from_few(
    query_GHD: Tensor,
    hidden_NC: Tensor,
    key: torch.nn.Linear,
    value: torch.nn.Linear,
    rows: GlobalRows,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """The same for few global tokens, which no key and no value is computed for.

    A score q (W x + b) is (q W) x + q b, and a mean of values W x + b is W of the mean of x, so
    the projections run over the global tokens instead of over all. In float32, or float64; in half
    precision, scores too, where the queries are on a GPU, whose matrix units need a tenth of the time
    for it.

    Args:
        query_GHD: `query_global` of the tokens at `rows.index_G`.
        hidden_NC: every token.
        key: the projection `key_global`; `value` likewise.

    Returns:
        (G, H, D) in the dtype of the queries.
    """
    dtype = _computing_dtype(query_GHD, hidden_NC)
    heads = query_GHD.shape[1:]
    with torch.autocast(hidden_NC.device.type, enabled=False):
        hidden_NC = hidden_NC.to(dtype)
        query = query_GHD.to(dtype) * heads[1] ** -0.5
        key_weight, value_weight = (p.weight.to(dtype).unflatten(0, heads) for p in (key, value))
        key_bias, value_bias = (p.bias.to(dtype).unflatten(0, heads) for p in (key, value))

        back_GHC = torch.einsum("ghd,hdc->ghc", query, key_weight)
        scores_GHN = back_GHC @ hidden_NC.T + (query * key_bias).sum(dim=2, keepdim=True)
        if rows.bias_G1N is not None:
            scores_GHN = scores_GHN + rows.bias_G1N
        exact = torch.promote_types(dtype, torch.float32)
        weights_GHN = drop(scores_GHN.softmax(dim=2, dtype=exact), dropout).to(dtype)
        mean_GHC = weights_GHN @ hidden_NC
        result = torch.einsum("ghc,hdc->ghd", mean_GHC, value_weight)
        # Dropout leaves weights that don't add up to 1.
        result = result + weights_GHN.sum(dim=2, keepdim=True) * value_bias
    return result.to(query_GHD.dtype)


def _computing_dtype(query_GHD: Tensor, hidden_NC: Tensor) -> torch.dtype:
    if hidden_NC.device.type == "cuda" and query_GHD.dtype in (torch.bfloat16, torch.float16):
        return query_GHD.dtype
    return torch.promote_types(hidden_NC.dtype, torch.float32)


def _rows(pattern: SparsePattern) -> GlobalRows:
    index_G = pattern.global_positions
    document_N = pattern.document_BT.flatten()
    num_tokens = pattern.num_tokens
    if len(index_G) <= FOLDED_TOKENS:
        seen_GN = (document_N == document_N[index_G, None]) & (
            torch.arange(len(document_N)) // num_tokens == index_G[:, None] // num_tokens
        )
        bias_GN = torch.zeros(seen_GN.shape).masked_fill_(~seen_GN, -torch.inf)
        return GlobalRows(index_G, None if bool(seen_GN.all()) else bias_GN[:, None])

    tiles, biases, num_bias = [], [], 0
    owner = torch.searchsorted(pattern.documents[:, 0].contiguous(), index_G, right=True) - 1
    for number in owner.unique().tolist():
        low, high = pattern.documents[number].tolist()
        bias_K = torch.zeros(high - low).masked_fill_(document_N[low:high] == PADDING, -torch.inf)
        mine = (owner == number).nonzero().flatten()
        first, behind = int(mine[0]), int(mine[-1]) + 1
        biases.append(bias_K)
        for start in range(first, behind, GLOBAL_TILE):
            stop = min(start + GLOBAL_TILE, behind)
            tiles.append([start, stop, low, high, 0, 0, num_bias, 1, 0])
        num_bias += high - low
    plan = TilePlan(
        torch.tensor(tiles, dtype=torch.int64),
        torch.zeros(0, dtype=torch.int64),
        torch.cat(biases),
        torch.ones(len(index_G), dtype=torch.bool),
    )
    return GlobalRows(index_G, plan=plan)
