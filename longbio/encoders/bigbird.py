"""BigBird with our kernels inside: Hugging Face's modules and weights, one pattern for good.

The stock class draws its random blocks anew for training, drops them in evaluation, stays on full
attention after one short batch and reseeds NumPy. Here the pattern comes from a seed in the
config and from each row's length.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions
from transformers.models.big_bird import modeling_big_bird as stock

from longbio.attention.kernels import Kernel
from longbio.attention.pattern import SparsePattern, block_sparse
from longbio.encoders.longformer import batch_shape, bool_mask, refuse_attentions, refuse_long

DEFAULT_SEED = 0


class BigBirdAttention(stock.BigBirdAttention):
    """Self-attention of one layer through `kernel`, then the stock output projection."""

    kernel: Kernel

    def forward(  # type: ignore[override]  # the stock layers hand our pattern through
        self, hidden_states: Tensor, attention_mask: SparsePattern, **unused: Any
    ) -> tuple[Tensor, None]:
        """Attend.

        Args:
            hidden_states: (B, T, hidden size).
            attention_mask: the batch's pattern.
        """
        heads = (self.config.num_attention_heads, -1)
        query, key, value = (
            projection(hidden_states).unflatten(2, heads).transpose(1, 2)
            for projection in (self.self.query, self.self.key, self.self.value)
        )
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        context_BHTD = self.kernel(query, key, value, attention_mask, dropout=dropout)
        return self.output(context_BHTD.transpose(1, 2).flatten(2), hidden_states), None


class BigBirdModel(stock.BigBirdModel):
    """Makes the pattern once a batch, pads nothing, and runs the stock layers over it."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **unused: Any,
    ) -> Any:
        """Encode: the arguments and results of the stock encoder, attentions apart."""
        config = self.config
        refuse_attentions(config.output_attentions if output_attentions is None else output_attentions)
        shape = batch_shape(input_ids, inputs_embeds)
        device = self.embeddings.word_embeddings.weight.device
        refuse_long(shape[1], config.max_position_embeddings)

        valid_BT = bool_mask(attention_mask, shape, device)
        pattern = pattern_for(config, valid_BT)
        hidden = self.embeddings(
            input_ids=input_ids,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
        )
        states = [hidden]
        for layer in self.encoder.layer:
            hidden = layer(hidden, attention_mask=pattern)
            states.append(hidden)

        wanted = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        pooled = None if self.pooler is None else self.activation(self.pooler(hidden[:, 0]))
        output = BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden,
            pooler_output=pooled,
            hidden_states=tuple(states) if wanted else None,
        )
        as_dict = config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()


def pattern_for(config: Any, valid_BT: Tensor) -> SparsePattern:
    """The pattern that a BigBird of this config reads a batch with.

    Args:
        config: a `BigBirdConfig`; `random_pattern_seed` in it draws the random blocks.
        valid_BT: bool, False for padding.
    """
    num_tokens = valid_BT.shape[1]
    full = config.attention_type == "original_full"
    return block_sparse(
        valid_BT,
        block_tokens=max(num_tokens, 1) if full else config.block_size,
        random_blocks=config.num_random_blocks,
        seed=getattr(config, "random_pattern_seed", DEFAULT_SEED),
    )


NATIVE: dict[type[nn.Module], type[nn.Module]] = {
    stock.BigBirdAttention: BigBirdAttention,
    stock.BigBirdModel: BigBirdModel,
}


def install(model: Any, kernel: Kernel) -> None:
    """Put `kernel` into this instance of any stock BigBird model, and into no other.

    Raises:
        ValueError: the model is a decoder.
    """
    if model.config.is_decoder:
        raise ValueError("a BigBird decoder has no kernel here; load it with kernel='stock'")
    for module in model.modules():
        if type(module) in NATIVE:
            module.__class__ = NATIVE[type(module)]
        if isinstance(module, BigBirdAttention):
            module.kernel = kernel
