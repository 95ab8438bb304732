"""The one predicate: which key a query may look at, and how often it counts.

Every kernel computes a softmax over `scores + pattern.bias(query, key)`. A Longformer has a
sliding window and global tokens, a BigBird has blocks; both have padding, and both can hold
several documents in one row, none of which sees another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

PADDING = -1


@contextmanager
def ordinary_tensors() -> Iterator[None]:
    """What is made within may be kept: also under `torch.inference_mode()`, whose own tensors no later
    backward pass can use. Whether gradients are recorded stays as it is."""
    gradients = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(gradients):
        yield


@dataclass(frozen=True, eq=False)
class SparsePattern:
    """What each token of a batch may look at. Build it with `sliding_window` or `block_sparse`.

    A padding token looks at nothing, is seen by nothing, and its output is zero.

    Args:
        document_BT: int64, the document of its row that a token belongs to, -1 for padding.
            A document is one stretch of its row; padding may stand inside it.
        global_BT: bool, tokens that every query of their document sees. The rows of the global
            tokens themselves are dense and use projections of their own: see `dense`. Here they
            are treated as any other query.
        window_tokens: keys seen to **each side** of a query, its own position apart; `None` for
            a block pattern.
        block_tokens: tokens in a block; `None` for a sliding window.
        counts_BHNN: int64, how often the keys of block [n, m] count for the queries of block n;
            H is 1 where all heads share the pattern.
        host: the same pattern on the CPU, where kernels derive their plans without asking the
            device anything; `None` when this one is there already.
    """

    document_BT: Tensor
    global_BT: Tensor
    window_tokens: int | None = None
    block_tokens: int | None = None
    counts_BHNN: Tensor | None = None
    host: SparsePattern | None = field(default=None, repr=False)
    cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    """What a kernel derives from this pattern once, for all layers to read."""

    @cached_property
    @ordinary_tensors()
    def valid_BT(self) -> Tensor:
        """False for padding."""
        return self.document_BT != PADDING

    @property
    def num_tokens(self) -> int:
        """T, padding included."""
        return self.document_BT.shape[1]

    @property
    def device(self) -> torch.device:
        return self.document_BT.device

    @property
    def on_host(self) -> SparsePattern:
        """This pattern on the CPU: where it comes from there, nothing is copied back."""
        if self.device.type == "cpu":
            return self
        if self.host is None:
            object.__setattr__(self, "host", self._copied_to_host())
        assert self.host is not None
        return self.host

    @ordinary_tensors()
    def _copied_to_host(self) -> SparsePattern:
        # The one wait for the device, when nobody built the pattern before the batch went there.
        document_BT, global_BT = torch.stack([self.document_BT, self.global_BT.long()]).cpu()
        counts = None if self.counts_BHNN is None else self.counts_BHNN.cpu()
        return SparsePattern(document_BT, global_BT.bool(), self.window_tokens, self.block_tokens, counts)

    @property
    def has_globals(self) -> bool:
        return self.global_positions.numel() > 0

    @cached_property
    @ordinary_tensors()
    def global_positions(self) -> Tensor:
        """(G,) int64 on the CPU, ascending: flat positions, row * T + token, of the global tokens."""
        return self.on_host.global_BT.flatten().nonzero().flatten()

    @cached_property
    @ordinary_tensors()
    def documents(self) -> Tensor:
        """(documents, 2) int64 on the CPU: flat start and stop of each, in order.

        Raises ValueError where a document goes on after another one.
        """
        position = self.on_host.valid_BT.flatten().nonzero().flatten()
        if not position.numel():
            return torch.zeros(0, 2, dtype=torch.int64)
        row = position // self.num_tokens
        number = self.on_host.document_BT.flatten()[position]
        change = (row.diff() != 0) | (number.diff() != 0)
        first = torch.cat([torch.tensor([0]), change.nonzero().flatten() + 1])
        last = torch.cat([change.nonzero().flatten(), torch.tensor([len(position) - 1])])
        named = torch.stack([row[first], number[first]], dim=1)
        if len(named.unique(dim=0)) < len(named):
            raise ValueError(
                "document_ids come back after another document; a document is one stretch of its row"
            )
        return torch.stack([position[first], position[last] + 1], dim=1)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SparsePattern:
        """This pattern on another device; what stays on the CPU goes along for the plans."""
        device = torch.device(device)
        if device == self.device:
            return self
        host = self.on_host
        if device.type == "cpu":
            return host
        counts = host.counts_BHNN
        return SparsePattern(
            host.document_BT.to(device, non_blocking=non_blocking),
            host.global_BT.to(device, non_blocking=non_blocking),
            host.window_tokens,
            host.block_tokens,
            None if counts is None else counts.to(device, non_blocking=non_blocking),
            host,
        )

    def once(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept in the cache under a name, made the first time it is asked for."""
        if name not in self.cache:
            with ordinary_tensors():
                self.cache[name] = make()
        return self.cache[name]

    def bias(self, query_index: Tensor, key_index: Tensor) -> Tensor:
        """What is added to the scores of queries and keys at these positions.

        Args:
            query_index: (Q,) or (B, Q) int64 positions; `key_index` likewise.

        Returns:
            (B, 1 or H, Q, K) float32: 0 where the key is seen once, -inf where it isn't, the
            logarithm of the count where it is seen several times.
        """
        query_BQ1 = self._rows(query_index)[:, :, None]
        key_B1K = self._rows(key_index)[:, None, :]
        row_B11 = torch.arange(len(self.document_BT), device=self.device)[:, None, None]
        document_BQ1 = self.document_BT[row_B11, query_BQ1]
        together = (document_BQ1 == self.document_BT[row_B11, key_B1K]) & (document_BQ1 != PADDING)

        if self.counts_BHNN is None:
            assert self.window_tokens is not None
            near = (query_BQ1 - key_B1K).abs_() <= self.window_tokens
            seen = near.logical_or_(self.global_BT[row_B11, key_B1K]).logical_and_(together)
            return torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, -torch.inf)[:, None]

        assert self.block_tokens is not None
        head_H11 = torch.arange(self.counts_BHNN.shape[1], device=self.device)[:, None, None]
        size = self.block_tokens
        count = self.counts_BHNN[
            row_B11[:, None], head_H11, (query_BQ1 // size)[:, None], (key_B1K // size)[:, None]
        ]
        return count.float().log_().masked_fill_(~together[:, None], -torch.inf)

    def _rows(self, index: Tensor) -> Tensor:
        return index if index.dim() == 2 else index.expand(len(self.document_BT), -1)


def sliding_window(
    valid_BT: Tensor,
    global_BT: Tensor | None,
    *,
    window_tokens: int,
    document_BT: Tensor | None = None,
) -> SparsePattern:
    """Longformer's pattern: keys within `window_tokens` to each side, and the global tokens.

    Args:
        valid_BT: bool, False for padding.
        global_BT: bool, the global tokens; None for none. Padding is never global.
        window_tokens: half of Hugging Face's `attention_window`.
        document_BT: integers, the documents packed into each row; None for one a row.

    Raises:
        ValueError: shapes or dtypes disagree, or the window is not positive.
    """
    check_mask(valid_BT, "valid_BT")
    if window_tokens < 1:
        raise ValueError(f"window_tokens is {window_tokens}, but a window has at least 1 token each side")
    documents = number_documents(valid_BT, document_BT)
    if global_BT is None:
        return SparsePattern(documents, torch.zeros_like(valid_BT), window_tokens=window_tokens)
    check_mask(global_BT, "global_BT")
    if global_BT.shape != valid_BT.shape:
        raise ValueError(f"global_BT is {tuple(global_BT.shape)}, valid_BT is {tuple(valid_BT.shape)}")
    return SparsePattern(documents, global_BT & valid_BT, window_tokens=window_tokens)


def number_documents(valid_BT: Tensor, document_BT: Tensor | None) -> Tensor:
    """The documents of every token, -1 for padding. Raises ValueError at another shape, or no integers."""
    if document_BT is None:
        return valid_BT.long() - 1
    if document_BT.shape != valid_BT.shape or document_BT.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"document_ids are {document_BT.dtype} of shape {tuple(document_BT.shape)}; "
            f"give integers of shape {tuple(valid_BT.shape)}"
        )
    return document_BT.long().clamp(min=PADDING).masked_fill(~valid_BT, PADDING)


def check_mask(mask_BT: Tensor, name: str) -> None:
    """Raise ValueError unless this is a bool mask of (batch, tokens)."""
    if mask_BT.dtype != torch.bool or mask_BT.dim() != 2:
        shape = tuple(mask_BT.shape)
        raise ValueError(f"{name} is {mask_BT.dtype} of shape {shape}; give a bool mask (batch, tokens)")


def check_tensors(
    query_BHTD: Tensor, key_BHTD: Tensor, value_BHTD: Tensor, pattern: SparsePattern, dropout: float
) -> None:
    """Raise ValueError, before any work, where shapes, dtypes or devices disagree, or dropout is none."""
    query, key, value = (tuple(tensor.shape) for tensor in (query_BHTD, key_BHTD, value_BHTD))
    # Compared and not counted in a set, which would fix the sizes of a compiled graph.
    if query != key or query != value or len(query) != 4:
        shapes = f"query {query}, key {key}, value {value}"
        raise ValueError(f"{shapes}: give three of one shape (batch, heads, tokens, head size)")
    dtypes = {tensor.dtype for tensor in (query_BHTD, key_BHTD, value_BHTD)}
    if len(dtypes) > 1 or not query_BHTD.is_floating_point():
        raise ValueError(
            f"query, key and value are {', '.join(sorted(map(str, dtypes)))}; give one float dtype"
        )
    batch = (query_BHTD.shape[0], query_BHTD.shape[2])
    if batch != tuple(pattern.document_BT.shape):
        raise ValueError(
            f"query has {batch[0]} rows of {batch[1]} tokens, "
            f"the pattern {pattern.document_BT.shape[0]} of {pattern.num_tokens}"
        )
    if query_BHTD.device != pattern.device:
        raise ValueError(
            f"query is on {query_BHTD.device}, the pattern on {pattern.device}; move it: pattern.to(device)"
        )
    heads = 1 if pattern.counts_BHNN is None else pattern.counts_BHNN.shape[1]
    if heads not in (1, query_BHTD.shape[1]):
        raise ValueError(f"the pattern is for {heads} heads, query has {query_BHTD.shape[1]}")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout is {dropout}; give a probability below 1")
