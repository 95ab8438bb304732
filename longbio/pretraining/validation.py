"""Bits per masked token of held-out documents, at several lengths."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedModel

from longbio.masked_lm.evaluation import bits_per_masked_token
from longbio.masked_lm.masking import Ids, Vocabulary, mask_tokens
from longbio.pretraining.packing import Frame
from longbio.pretraining.shards import TokenizedCorpus


def held_out_bits(
    model: PreTrainedModel,
    corpus: TokenizedCorpus,
    documents: Ids,
    vocabulary: Vocabulary,
    frame: Frame,
    lengths: tuple[int, ...],
    *,
    max_tokens: int = 200_000,
) -> dict[int, float]:
    """Bits per masked token, 15% of the tokens masked, the same ones at every length and call.

    Args:
        model: a masked-LM model in evaluation mode.
        corpus: where the documents are.
        documents: by number, read in order until `max_tokens` are reached.
        vocabulary: of the tokenizer.
        frame: its special tokens.
        lengths: documents are cut into pieces of these, special tokens included.
        max_tokens: of all documents together, about.
    """
    masked, total = [], 0
    for number in documents.tolist():
        ids, starts = corpus.document(number)
        if total >= max_tokens or not len(ids):
            continue
        ordinary = np.ones(len(ids), dtype=bool)
        masked.append(mask_tokens(ids, ordinary, starts, vocabulary, seed=(number,)))
        total += len(ids)
    special = (frame.first, frame.last, frame.padding)
    return {n: bits_per_masked_token(model, masked, num_tokens=n, frame=special) for n in lengths}
