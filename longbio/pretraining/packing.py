"""Texts become sequences of one length, nothing dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from longbio.encoders.tokens import tokenize
from longbio.masked_lm.masking import Ids


def pack(texts: Iterable[str], tokenizer: Any, max_tokens: int) -> list[Ids]:
    """One stream of all texts, [SEP] between them, cut into sequences of `max_tokens`.

    The last sequence reaches back so that it is full too; a stream shorter than one sequence
    stays as short as it is.

    Args:
        texts: read in order.
        tokenizer: a fast tokenizer.
        max_tokens: length of a sequence, its [CLS] and [SEP] included.
    """
    parts = [np.append(tokenize(text, tokenizer).ids, tokenizer.sep_token_id) for text in texts]
    stream = np.concatenate(parts)[:-1] if parts else np.zeros(0, dtype=np.int64)
    room = max_tokens - 2
    starts = [*range(0, max(1, len(stream) - room), room)]
    if len(stream) > room and starts[-1] + room < len(stream):
        starts.append(len(stream) - room)
    return [
        np.concatenate([[tokenizer.cls_token_id], stream[s : s + room], [tokenizer.sep_token_id]])
        for s in starts
    ]
