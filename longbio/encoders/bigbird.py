"""BigBird with our kernels inside: Hugging Face's modules and weights, one pattern for good.

The stock class draws its random blocks anew for training, drops them in evaluation, stays on full
attention after one short batch and reseeds NumPy. Here the pattern comes from a seed in the
config and from each document's length; `install` can be told to reproduce either of the stock
class's patterns instead (`bigbird_stock`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions, MaskedLMOutput
from transformers.models.big_bird import modeling_big_bird as stock

from longbio.attention.blocks import block_sparse
from longbio.attention.kernels import Kernel
from longbio.attention.pattern import SparsePattern
from longbio.encoders.bigbird_stock import StockBlocks
from longbio.encoders.inputs import (
    LayerAttention,
    Rules,
    batch_shape,
    computing_dtype,
    given_pattern,
    prepare,
    refuse_attentions,
    refuse_long,
    rounded_once,
)
from longbio.encoders.masked_lm import WithMaskedLoss

DEFAULT_SEED = 0
PATTERNS = ("longbio", "stock-training", "stock-evaluation")
"""Whose blocks a BigBird reads: one pattern in training and evaluation, or one of the stock two."""


@dataclass(frozen=True)
class Blocks:
    """The rules of a BigBird of ours: one pattern for all layers, by document."""

    block_tokens: int
    random_blocks: int
    seed: int
    max_tokens: int
    num_layers: int
    full: bool
    keeps_padding: bool = False
    numbers_padding: bool = True

    def layers(self, documents: SparsePattern) -> Sequence[SparsePattern]:
        """All layers share one pattern."""
        pattern = block_sparse(
            documents.valid_BT,
            block_tokens=self.block_tokens,
            # With more random blocks than there are, every document is read in full.
            random_blocks=documents.num_tokens if self.full else self.random_blocks,
            seed=self.seed,
            document_BT=documents.document_BT,
        )
        return [pattern] * self.num_layers


class BigBirdAttention(stock.BigBirdAttention):
    """Self-attention of one layer through a kernel, then the stock output projection."""

    def forward(  # type: ignore[override]  # the stock layers hand our attention through
        self, hidden_states: Tensor, attention_mask: LayerAttention, **unused: Any
    ) -> tuple[Tensor, None]:
        """Attend.

        Args:
            hidden_states: (B, T, hidden size).
            attention_mask: kernel and pattern of this layer.
        """
        heads = (self.config.num_attention_heads, -1)
        rounded = rounded_once(hidden_states)
        query, key, value = (
            projection(rounded).unflatten(2, heads).transpose(1, 2)
            for projection in (self.self.query, self.self.key, self.self.value)
        )
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        context_BHTD = attention_mask.kernel.attend(
            query, key, value, attention_mask.pattern, dropout=dropout
        )
        return self.output(context_BHTD.transpose(1, 2).flatten(2), hidden_states), None


class BigBirdModel(stock.BigBirdModel):
    """Makes the pattern once a batch, leaves padding out, and runs the stock layers over the rest."""

    kernel: Kernel | None = None
    stock_rules: StockBlocks | None = None

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | SparsePattern | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        document_ids: Tensor | None = None,
        **unused: Any,
    ) -> Any:
        """Encode: the arguments and results of the stock encoder, attentions apart.

        Args:
            attention_mask: 0 for padding, or a pattern: see `inputs.batch_pattern`.
            document_ids: (B, T) integers, several documents packed into a row, each from a
                multiple of the block size on; none sees another, and each has positions of its
                own.
        """
        config = self.config
        refuse_attentions(config.output_attentions if output_attentions is None else output_attentions)
        batch = batch_shape(input_ids, inputs_embeds)
        weight = self.embeddings.word_embeddings.weight
        documents = given_pattern(attention_mask, None, document_ids, batch, weight.device)
        prepared = prepare(
            documents,
            self.rules,
            self.kernel,
            dtype=computing_dtype(weight),
            dropout=config.attention_probs_dropout_prob if self.training else 0.0,
        )
        if position_ids is None and prepared.position_BT is not None:
            position_ids = prepared.position_BT
        elif position_ids is None:
            refuse_long(batch[1], self.rules.max_tokens)

        hidden = self.embeddings(
            input_ids=input_ids,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
        )
        hidden = prepared.leave_out_padding(hidden)
        states = [hidden]
        for layer, attention in zip(self.encoder.layer, prepared.layers, strict=True):
            hidden = layer(hidden, attention_mask=attention)
            states.append(hidden)

        hidden = prepared.put_back(hidden, batch)
        wanted = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        pooled = None if self.pooler is None else self.activation(self.pooler(hidden[:, 0]))
        if self.training and torch.distributed.is_initialized() and pooled is not None:
            # Most heads don't use it, and parameters without a gradient stop distributed training.
            hidden = hidden + 0.0 * pooled.sum()
        output = BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden,
            pooler_output=pooled,
            hidden_states=tuple(prepared.put_back(state, batch) for state in states) if wanted else None,
        )
        as_dict = config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()

    @property
    def rules(self) -> Rules:
        """How the layers look at documents."""
        config, num_layers = self.config, len(self.encoder.layer)
        if self.stock_rules is not None:
            return self.stock_rules.cut(num_layers)
        return Blocks(
            block_tokens=config.block_size,
            random_blocks=config.num_random_blocks,
            seed=getattr(config, "random_pattern_seed", DEFAULT_SEED),
            max_tokens=self.embeddings.position_embeddings.num_embeddings,
            num_layers=num_layers,
            full=config.attention_type == "original_full",
        )


class BigBirdForMaskedLM(WithMaskedLoss, stock.BigBirdForMaskedLM):
    """See `WithMaskedLoss`."""

    output_class = MaskedLMOutput


NATIVE: dict[type[nn.Module], type[nn.Module]] = {
    stock.BigBirdAttention: BigBirdAttention,
    stock.BigBirdModel: BigBirdModel,
    stock.BigBirdForMaskedLM: BigBirdForMaskedLM,
}


def install(model: Any, kernel: Kernel | None, pattern: str | None = None) -> None:
    """Put `kernel` into this instance of any stock BigBird model, and into no other.

    Args:
        model: changed in place.
        kernel: None chooses one when the batch is known.
        pattern: one of `PATTERNS`; None leaves what it reads as it is.

    Raises:
        ValueError: the model is a decoder.
    """
    if model.config.is_decoder:
        raise ValueError("a BigBird decoder has no kernel here; load it with kernel='stock'")
    for module in model.modules():
        if type(module) in NATIVE:
            module.__class__ = NATIVE[type(module)]
        if isinstance(module, BigBirdModel):
            module.kernel = kernel
        if isinstance(module, BigBirdModel) and pattern is not None:
            is_ours = pattern == "longbio"
            module.stock_rules = (
                None if is_ours else StockBlocks.of(module, training=pattern == "stock-training")
            )
