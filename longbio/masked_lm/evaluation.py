"""Bits per masked token: how well a model guesses, at any input length."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from longbio.masked_lm.head import summed_loss
from longbio.masked_lm.masking import IGNORED, Ids


@torch.no_grad()
def bits_per_masked_token(
    model: nn.Module, corrupted: Ids, labels: Ids, *, num_tokens: int, frame: tuple[int, int]
) -> float:
    """Mean -log2 of the probability given to the right token.

    The same masked tokens are predicted whatever `num_tokens`: the text is cut into pieces of
    that length, each framed by [CLS] and [SEP], so that lengths compare with each other.

    Args:
        model: a masked-LM model, in evaluation mode.
        corrupted: (T,) ids of a text without special tokens, after masking.
        labels: (T,) the right ids, -100 where nothing is predicted.
        num_tokens: length of one input, its two special tokens included.
        frame: ids of [CLS] and [SEP].
    """
    device = next(model.parameters()).device
    total, predicted = 0.0, int((labels != IGNORED).sum())
    for start in range(0, len(corrupted), num_tokens - 2):
        piece = slice(start, start + num_tokens - 2)
        batch = {
            "input_ids": _framed(corrupted[piece], *frame),
            "labels": _framed(labels[piece], IGNORED, IGNORED),
        }
        if (batch["labels"] == IGNORED).all():
            continue
        total += summed_loss(model, {k: v.to(device) for k, v in batch.items()}).item()
    return total / math.log(2) / predicted


def _framed(ids: Ids, first: int, last: int) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([[first], ids, [last]]).astype(np.int64))[None]
