"""Stretches of queries that see the same global keys outside their windows, for kernels without masks.

A global key is too far from the queries to the left and to the right of its reach. Where such ranges
begin and end, stretches do. All of it is computed on the CPU, from where documents and global tokens
stand; positions count the M tokens of a batch that are no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from longbio.attention.pattern import SparsePattern

STRETCH = 2048  # queries at most: stretches run in parallel
EVERYWHERE = -1  # flash attention's word for no window


@dataclass(frozen=True, eq=False)
class Spans:
    """Which keys belong to which queries: stretch n of the ones to stretch n of the others.

    Args:
        query: int32, (stretches + 1,), where each begins, and the number of queries; `key` likewise.
        longest_query: queries of the longest stretch; `longest_key` likewise.
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
        key_E: int64, the keys of each stretch; a stretch that sees none is given one all the same.
        spans: the stretches, of all queries.
        none_M: bool, queries that see none.
        key_G: int64, the different ones of `key_E`.
        which_E: int64, where each of `key_E` stands among them.
    """

    key_E: Tensor
    spans: Spans
    none_M: Tensor
    key_G: Tensor
    which_E: Tensor


def real_tokens(pattern: SparsePattern) -> Tensor:
    """(M,) int64 on the CPU: flat positions, row * T + token, of what is no padding."""
    return pattern.on_host.valid_BT.flatten().nonzero().flatten()


@dataclass(frozen=True, eq=False)
class Ranges:
    """Queries that are too far from a global key: two ranges for each, to its left and to its right.

    Args:
        cut_S: int64, ascending, from 0: where ranges begin and end, and so stretches.
        first_R: int64, the first cut of each range that isn't empty; `stop_R` its last one, `key_R` its
            global key.
    """

    cut_S: Tensor
    first_R: Tensor
    stop_R: Tensor
    key_R: Tensor

    @property
    def num_pairs(self) -> int:
        """Pairs of a stretch and a key that it sees."""
        return int((self.stop_R - self.first_R).sum())


def far_ranges(pattern: SparsePattern) -> Ranges:
    """The ranges of a window pattern, made once and kept with it."""
    ranges: Ranges = pattern.once("far ranges", lambda: _ranges(pattern))
    return ranges


def _ranges(pattern: SparsePattern) -> Ranges:
    assert pattern.window_tokens is not None
    real_M = real_tokens(pattern)
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
    cut_S = cut_S[cut_S < len(real_M)]
    return Ranges(cut_S, torch.searchsorted(cut_S, start_R), torch.searchsorted(cut_S, stop_R), key_R)


def far_keys(ranges: Ranges, num_queries: int, device: torch.device) -> Far | None:
    """The stretches of all queries and their keys; None where no key is far from any query."""
    if not ranges.num_pairs:
        return None
    times_R = ranges.stop_R - ranges.first_R
    # Range r covers the stretches first, first + 1, ... up to stop.
    within_E = torch.arange(ranges.num_pairs) - torch.repeat_interleave(times_R.cumsum(0) - times_R, times_R)
    stretch_E = torch.repeat_interleave(ranges.first_R, times_R) + within_E
    key_E = torch.repeat_interleave(ranges.key_R, times_R)

    queries_S = ranges.cut_S.diff(append=torch.tensor([num_queries]))
    none_S = torch.ones(len(queries_S), dtype=torch.bool).index_fill(0, stretch_E, False)
    none_M = torch.repeat_interleave(none_S, queries_S)
    stretch_E = torch.cat([stretch_E, none_S.nonzero().flatten()])
    key_E = torch.cat([key_E, key_E[:1].expand(int(none_S.sum()))])
    stretch_E, order_E = stretch_E.sort(stable=True)
    key_G, which_E = (key_E := key_E[order_E]).unique(return_inverse=True)
    spans = Spans.of(queries_S, stretch_E.bincount(), EVERYWHERE, device)
    key_E, none_M, key_G, which_E = (
        tensor.to(device, non_blocking=True) for tensor in (key_E, none_M, key_G, which_E)
    )
    return Far(key_E, spans, none_M, key_G, which_E)
