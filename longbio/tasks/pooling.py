"""A whole document, or a pair of texts, as rows of a classifier, and the logits of these rows pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat, Row, default_overlap
from longbio.encoders.roles import Role
from longbio.encoders.token_windows import Tokens, windows_of
from longbio.tasks.task import Array, Sample

Part = Literal["windows", "head", "head-tail"]
"""What is read of a document beyond the model's reach: all of it in overlapping windows, its beginning,
or half a row of its beginning and half of its end."""

Pooling = Literal["mean", "max", "attention"]
"""Of the logits of a document's windows: `attention` is a mean whose weights are learned, a softmax over the
windows of one more number that the head gives of each."""

WEIGHT = "(weight of the window)"
"""What a config calls that number among its classes."""


@dataclass(frozen=True)
class Reading:
    """How a document is read that is longer than the model.

    Args:
        part: what of it.
        pooling: of windows.
        overlap: tokens that neighbouring windows share at least; 128, or a quarter of what a very
            short model reads, when None.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    part: Part = "windows"
    pooling: Pooling = "mean"
    overlap: int | None = None

    def __post_init__(self) -> None:
        if self.overlap is not None and self.overlap < 0:
            raise ValueError("an overlap is 0 or more")


@dataclass(frozen=True, eq=False)
class WholeRows:
    """A document as the rows that a model reads, the tokens of its text, and how many stand in no row."""

    document: Document
    rows: tuple[Row, ...]
    num_tokens: int
    num_unread: int

    def details(self) -> dict[str, int]:
        """How it was read, for a prediction's details."""
        return {"tokens": self.num_tokens, "windows": len(self.rows), "unread_tokens": self.num_unread}


def whole_rows(document: Document, inputs: InputFormat, reading: Reading, roles: Sequence[Role]) -> WholeRows:
    """A document's text behind its query, if it has one, which is never cut.

    Raises:
        LongbioError: the query is longer than half of what the model reads.
    """
    tokens = inputs.tokens(document.text, roles)
    query = query_of(document, inputs)
    room, size = inputs.room(query), len(tokens.ids)
    if size <= room or reading.part == "windows":
        overlap = default_overlap(room) if reading.overlap is None else min(reading.overlap, room // 2)
        windows = windows_of(0, size, max_tokens=room + 2, overlap=overlap)
        rows = [inputs.row(tokens, window.tokens, query, roles) for window in windows]
        return WholeRows(document, tuple(rows), size, 0)
    tail = room // 2 if reading.part == "head-tail" else 0
    part = np.concatenate([np.arange(room - tail), np.arange(size - tail, size)])
    row = inputs.row(tokens, part, query, roles)
    return WholeRows(document, (row,), size, size - room)


def query_of(document: Document, inputs: InputFormat) -> Tokens | None:
    """What is read before a document's text, if there is something.

    Raises:
        LongbioError: it is longer than half of what the model reads, and is never cut.
    """
    if document.query is None:
        return None
    query = inputs.tokens(document.query)
    inputs.refuse_long_query(query, f"document {document.id}")
    return query


def pooled_targets(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """`labels` (S,), or (S, L) of several labels, and `row_samples` (B,), the sample of each row."""
    counts = torch.tensor([len(sample.rows) for sample in samples])
    return {
        "labels": torch.from_numpy(np.stack([sample.labels[0] for sample in samples])),
        "row_samples": torch.repeat_interleave(torch.arange(len(samples)), counts),
    }


def pool_logits(logits_BC: Tensor, samples_B: Tensor, pooling: Pooling) -> Tensor:
    """(S, C) logits of samples from those of their rows, float32."""
    count = int(samples_B.max()) + 1
    index = samples_B[:, None].expand_as(logits_BC)
    if pooling == "attention":
        return _pool_by_attention(logits_BC.float(), samples_B, count)
    empty = logits_BC.new_zeros((count, logits_BC.shape[1]), dtype=torch.float32)
    reduce = "mean" if pooling == "mean" else "amax"
    return empty.scatter_reduce(0, index, logits_BC.float(), reduce, include_self=False)


def _pool_by_attention(logits_BC: Tensor, samples_B: Tensor, count: int) -> Tensor:
    """(S, C - 1) means of each sample's logits, the last of which says how much its row weighs."""
    logits, weights = logits_BC[:, :-1], logits_BC[:, -1]
    highest = weights.new_full((count,), -torch.inf).scatter_reduce(0, samples_B, weights.detach(), "amax")
    shares = (weights - highest[samples_B]).exp()
    sums = shares.new_zeros((count, logits.shape[1])).index_add(0, samples_B, shares[:, None] * logits)
    return sums / shares.new_zeros(count).index_add(0, samples_B, shares)[:, None]


def pool_outputs(outputs: Sequence[Array], pooling: Pooling) -> Array:
    """(C,) logits of a document from those of its rows."""
    stacked = np.stack(outputs).astype(np.float64)
    if pooling == "attention":
        rows = torch.from_numpy(stacked)
        return _pool_by_attention(rows, rows.new_zeros(len(rows), dtype=torch.long), 1)[0].numpy()
    return stacked.mean(axis=0) if pooling == "mean" else stacked.max(axis=0)
