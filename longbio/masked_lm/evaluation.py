"""Bits per masked token: how well a model guesses, at any input length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from longbio.masked_lm.head import summed_loss
from longbio.masked_lm.masking import IGNORED, Ids

TOKENS_AT_ONCE = 8192


@torch.no_grad()
def bits_of(model: nn.Module, pieces: Sequence[tuple[Ids, Ids]], frame: tuple[int, int, int]) -> float:
    """Mean -log2 of the probability given to the right token.

    Args:
        model: a masked-LM model, in evaluation mode.
        pieces: ids after masking, and labels: -100 where nothing is predicted.
        frame: ids of [CLS], [SEP] and padding.
    """
    device = next(model.parameters()).device
    chosen = sorted((piece for piece in pieces if (piece[1] != IGNORED).any()), key=lambda p: -len(p[0]))
    predicted = sum(int((labels != IGNORED).sum()) for _, labels in chosen)
    total = 0.0
    while chosen:
        size = max(1, TOKENS_AT_ONCE // (len(chosen[0][0]) + 2))
        batch = _framed(chosen[:size], frame)
        total += summed_loss(model, {name: value.to(device) for name, value in batch.items()}).item()
        chosen = chosen[size:]
    return total / math.log(2) / max(1, predicted)


def bits_per_masked_token(
    model: nn.Module, corrupted: Ids, labels: Ids, *, num_tokens: int, frame: tuple[int, int, int]
) -> float:
    """`bits_of` one text, cut into pieces of `num_tokens`, two special tokens included.

    The same masked tokens are predicted whatever `num_tokens`, so that lengths compare.

    Args:
        model: a masked-LM model, in evaluation mode.
        corrupted: (T,) ids of a text without special tokens, after masking.
        labels: (T,) the right ids, -100 where nothing is predicted.
        num_tokens: length of one input.
        frame: ids of [CLS], [SEP] and padding.
    """
    room = num_tokens - 2
    starts = range(0, len(corrupted), room)
    pieces = [(corrupted[start : start + room], labels[start : start + room]) for start in starts]
    return bits_of(model, pieces, frame)


def _framed(pieces: Sequence[tuple[Ids, Ids]], frame: tuple[int, int, int]) -> dict[str, torch.Tensor]:
    first, last, padding = frame
    shape = (len(pieces), max(len(ids) for ids, _ in pieces) + 2)
    batch = {
        "input_ids": np.full(shape, padding, dtype=np.int64),
        "attention_mask": np.zeros(shape, dtype=np.int64),
        "labels": np.full(shape, IGNORED, dtype=np.int64),
    }
    for row, (ids, labels) in enumerate(pieces):
        end = len(ids) + 1
        batch["input_ids"][row, 0], batch["input_ids"][row, end] = first, last
        batch["input_ids"][row, 1:end], batch["labels"][row, 1:end] = ids, labels
        batch["attention_mask"][row, : end + 1] = 1
    return {name: torch.from_numpy(array) for name, array in batch.items()}
