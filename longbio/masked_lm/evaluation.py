"""Bits per masked token: how well a model guesses, at any input length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from longbio.encoders.batches import IGNORED, Numbers, length_batches, mask_of, pad
from longbio.masked_lm.head import summed_loss
from longbio.masked_lm.masking import Ids

TOKENS_AT_ONCE = 8192

Pieces = Sequence[tuple[Numbers, Numbers]]
"""(T,) ids after masking and (T,) labels, -100 where nothing is predicted: special tokens included."""


def masked_batch(pieces: Pieces, padding_id: int) -> dict[str, Tensor]:
    """Inputs and `labels` of a masked-LM model, each (B, T)."""
    ids, labels = [ids for ids, _ in pieces], [labels for _, labels in pieces]
    return {
        "input_ids": pad(ids, padding_id),
        "attention_mask": mask_of(ids),
        "labels": pad(labels, IGNORED),
    }


@torch.no_grad()
def bits_of(model: nn.Module, pieces: Pieces, padding_id: int) -> float:
    """Sum of -log2 of the probabilities that a masked-LM model, in evaluation mode, gives to the right tokens
    of pieces, each of which predicts something."""
    device, nats = next(model.parameters()).device, 0.0
    for numbers in length_batches([len(ids) for ids, _ in pieces], TOKENS_AT_ONCE):
        batch = masked_batch([pieces[number] for number in numbers], padding_id)
        nats += summed_loss(model, {name: value.to(device) for name, value in batch.items()}).item()
    return nats / math.log(2)


def bits_per_masked_token(
    model: nn.Module, texts: Sequence[tuple[Ids, Ids]], *, num_tokens: int, frame: tuple[int, int, int]
) -> float:
    """Mean -log2 of the probability given to the right token, texts cut into pieces of `num_tokens`.

    The same masked tokens are predicted whatever `num_tokens`, so that lengths compare.

    Args:
        model: a masked-LM model, in evaluation mode.
        texts: of each (T,) ids after masking and (T,) labels, -100 where nothing is predicted, without
            special tokens.
        num_tokens: length of one input, two special tokens included.
        frame: ids of [CLS], [SEP] and padding.
    """
    first, last, padding = frame
    room = num_tokens - 2
    pieces = [
        (np.r_[first, ids[start : start + room], last], np.r_[IGNORED, wanted, IGNORED])
        for ids, labels in texts
        for start in range(0, len(ids), room)
        if ((wanted := labels[start : start + room]) != IGNORED).any()
    ]
    predicted = sum(int((labels != IGNORED).sum()) for _, labels in pieces)
    return bits_of(model, pieces, padding) / max(1, predicted)
