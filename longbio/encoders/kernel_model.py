"""What a Longformer and a BigBird with our kernels share: the forward pass around their stock layers.

The classes above keep the native names and add no parameter, so that a model saved from them is a plain
transformers checkpoint. `install` turns a stock instance into one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from longbio.attention.kernels import Kernel
from longbio.attention.pattern import SparsePattern
from longbio.encoders.families import first_position, takes_global
from longbio.encoders.prepared_batch import given_pattern, prepare, refuse_long


class KernelModel:
    """Above a stock encoder: makes the pattern once a batch and leaves padding out of the stock layers.

    A subclass has `rules` (`prepared_batch.Rules`), the `attention_dropout` of training, and two methods:
    `pool` gives (B, hidden size) of (B, T, hidden size); `touch_unused` gives the states back, so that
    parameters which this batch doesn't use get a gradient of zero, as data-parallel training needs.
    """

    kernel: Kernel | None = None
    output_class: type[Any]

    def forward(
        self: Any,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | SparsePattern | None = None,
        *,
        global_attention_mask: Tensor | None = None,
        document_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        inputs_embeds: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **unused: Any,
    ) -> Any:
        """Encode: the arguments and results of the stock model, attentions apart.

        Args:
            attention_mask: 0 for padding, or a pattern: see `prepared_batch.batch_pattern`.
            document_ids: (B, T) integers, several documents packed into a row; none sees another, and each
                has positions of its own. A BigBird's start at multiples of the block size.
        """
        config = self.config
        if config.output_attentions if output_attentions is None else output_attentions:
            raise ValueError("attention weights are never formed; load with kernel='stock' to get them")
        batch = _batch_shape(input_ids, inputs_embeds)
        weight = self.embeddings.word_embeddings.weight
        global_mask = global_attention_mask if takes_global(config.model_type) else None
        documents = given_pattern(attention_mask, global_mask, document_ids, batch, weight.device)
        dropout = self.attention_dropout if self.training else 0.0
        prepared = prepare(documents, self.rules, self.kernel, dtype=computing_dtype(weight), dropout=dropout)
        if position_ids is None and prepared.position_BT is not None:
            position_ids = prepared.position_BT + first_position(config)
        elif position_ids is None:
            refuse_long(batch[1], self.rules.max_tokens)

        hidden = self.embeddings(
            input_ids=input_ids,
            position_ids=position_ids,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        states = [prepared.leave_out_padding(hidden)]
        for layer, attention in zip(self.encoder.layer, prepared.layers, strict=True):
            output = layer(states[-1], attention_mask=attention)
            states.append(output[0] if isinstance(output, tuple) else output)

        hidden = prepared.put_back(states[-1], batch)
        pooled = None if self.pooler is None else self.pool(hidden)
        if self.training and torch.distributed.is_initialized():
            hidden = self.touch_unused(hidden, pooled, documents)
        wanted = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        result = self.output_class(
            last_hidden_state=hidden,
            pooler_output=pooled,
            hidden_states=tuple(prepared.put_back(state, batch) for state in states) if wanted else None,
        )
        as_dict = config.return_dict if return_dict is None else return_dict
        return result if as_dict else result.to_tuple()


def install(
    model: nn.Module, kernel: Kernel | None, native: Mapping[type[nn.Module], type[nn.Module]]
) -> None:
    """Put `kernel`, None for `auto`, into this instance of a stock model: `native` has our class for each."""
    for module in model.modules():
        if type(module) in native:
            module.__class__ = native[type(module)]
        if isinstance(module, KernelModel):
            module.kernel = kernel


def computing_dtype(weight: Tensor) -> torch.dtype:
    """Of queries, keys and values: the weights', or autocast's."""
    if torch.is_autocast_enabled(weight.device.type):
        return torch.get_autocast_dtype(weight.device.type)
    return weight.dtype


def round_once(hidden: Tensor) -> Tensor:
    """Under autocast: the states as projections see them, rounded once in place of by each; their
    gradients add up in that precision. The same states elsewhere."""
    return hidden if hidden.dtype == torch.float64 else hidden.to(computing_dtype(hidden))


def _batch_shape(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> tuple[int, int]:
    inputs = [tensor for tensor in (input_ids, inputs_embeds) if tensor is not None]
    if len(inputs) != 1:
        raise ValueError("give either input_ids or inputs_embeds")
    return inputs[0].shape[0], inputs[0].shape[1]
