"""The two patterns of Hugging Face's BigBird, to reproduce a downloaded model to the digit.

In training each layer draws its random blocks from its own number as seed, other ones for every
head; in evaluation every random block is block 0, which so counts several times. Blocks are those
of the padded row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.models.big_bird import modeling_big_bird as stock

from longbio.attention.blocks import full_attention_tokens
from longbio.attention.pattern import SparsePattern
from longbio.encoders.prepared_batch import Rules


@dataclass(frozen=True, kw_only=True, eq=False)
class StockBlocks(Rules):
    """The rules of a stock BigBird, in training or in evaluation."""

    attentions: tuple[stock.BigBirdBlockSparseAttention, ...] = field(repr=False)
    training: bool
    full: bool
    keeps_padding: bool = True
    numbers_padding: bool = True

    @classmethod
    def of(cls, model: Any, *, training: bool) -> StockBlocks:
        """The rules of this `BigBirdModel`."""
        config = model.config
        return cls(
            attentions=tuple(layer.attention.self for layer in model.encoder.layer),
            training=training,
            block_tokens=config.block_size,
            max_tokens=model.embeddings.position_embeddings.num_embeddings,
            full=config.attention_type == "original_full",
        )

    def cut(self, num_layers: int) -> StockBlocks:
        """The rules of its lowest layers: these where it has no more."""
        if num_layers == len(self.attentions):
            return self
        return replace(self, attentions=self.attentions[:num_layers])

    def layers(self, documents: SparsePattern) -> Sequence[SparsePattern]:
        """In training every layer has its own pattern.

        Raises:
            ValueError: several documents are packed into a row.
        """
        rows, num_tokens = documents.document_BT.shape
        if len(documents.documents) > rows:
            raise ValueError("a stock BigBird pattern has one document a row; unpack the batch")
        numbers = [self._counts(attention, num_tokens) for attention in self._differing]
        patterns = [
            SparsePattern(
                documents.document_BT,
                documents.global_BT,
                block_tokens=self.block_tokens,
                counts_BHNN=counts_HNN.expand(rows, -1, -1, -1),
            )
            for counts_HNN in numbers
        ]
        return patterns if len(patterns) == len(self.attentions) else patterns * len(self.attentions)

    @property
    def _differing(self) -> Sequence[stock.BigBirdBlockSparseAttention]:
        return self.attentions if self.training and not self.full else self.attentions[:1]

    def _counts(self, attention: Any, num_tokens: int) -> Tensor:
        """(H or 1, N, N): how often a block of keys counts for a block of queries."""
        size = self.block_tokens
        num_blocks = -(-num_tokens // size)
        if self.full or num_tokens <= full_attention_tokens(size, attention.num_random_blocks):
            return torch.ones(1, num_blocks, num_blocks, dtype=torch.int64)

        drawn_HNR = self._random_blocks(attention, num_blocks * size)
        counts_HNN = torch.zeros(len(drawn_HNR), num_blocks, num_blocks, dtype=torch.int64)
        counts_HNN[:, [0, -1]] = 1
        for block in range(1, num_blocks - 1):
            fixed = {0, num_blocks - 1, block - 1, block, block + 1}
            counts_HNN[:, block, sorted(fixed)] = 1
        inner = counts_HNN[:, 1:-1]
        inner.scatter_add_(2, drawn_HNR, torch.ones_like(drawn_HNR))
        return counts_HNN

    def _random_blocks(self, attention: Any, num_tokens: int) -> Tensor:
        """(H or 1, inner blocks, random blocks) int64, as the stock class draws them."""
        size, wanted = attention.block_size, attention.num_random_blocks
        if not self.training:
            return torch.zeros(1, num_tokens // size - 2, wanted, dtype=torch.int64)
        heads = attention.num_attention_heads
        with _as_in_training(attention):
            if num_tokens in (1024, 3072, 4096):
                rows = num_tokens // size - 2
                longest = attention.max_seqlen
                drawn = [
                    attention._bigbird_block_rand_mask(longest, longest, size, size, wanted, last_idx=1024)[
                        :rows
                    ]
                    for _ in range(heads)
                ]
            else:
                lengths, numbers = attention._get_rand_attn_plan(num_tokens, size, wanted)
                drawn = attention._bigbird_block_rand_mask_with_head(
                    from_seq_length=num_tokens,
                    to_seq_length=num_tokens,
                    from_block_size=size,
                    to_block_size=size,
                    num_heads=heads,
                    plan_from_length=lengths,
                    plan_num_rand_blocks=numbers,
                )
        return torch.from_numpy(np.stack(drawn)).long()


@contextmanager
def _as_in_training(attention: Any) -> Iterator[None]:
    """The stock class seeds NumPy's global generator; afterwards it is as it was."""
    state, training = np.random.get_state(), attention.training
    np.random.seed(attention.seed)
    attention.training = True
    try:
        yield
    finally:
        np.random.set_state(state)
        attention.training = training
