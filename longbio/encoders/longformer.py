"""Longformer with our kernels inside: Hugging Face's modules and weights, another attention.

The classes here carry the native names and add no parameter, so that a model saved from them is
a plain transformers checkpoint. `install` turns a stock instance into one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.models.longformer import modeling_longformer as stock

from longbio.attention import dense
from longbio.attention.kernels import Kernel
from longbio.attention.pattern import SparsePattern
from longbio.encoders.inputs import (
    LayerAttention,
    batch_shape,
    computing_dtype,
    given_pattern,
    prepare,
    refuse_attentions,
    refuse_long,
    rounded_once,
)
from longbio.encoders.masked_lm import WithMaskedLoss


@dataclass(frozen=True)
class Windows:
    """The rules of a Longformer: `window_tokens` to each side, of every layer."""

    window_tokens: tuple[int, ...]
    max_tokens: int
    block_tokens: int = 1
    keeps_padding: bool = False
    numbers_padding: bool = False

    def layers(self, documents: SparsePattern) -> Sequence[SparsePattern]:
        """Layers with one window share one pattern."""
        made = {
            window: documents
            if documents.window_tokens == window
            else replace(documents, window_tokens=window, cache={})
            for window in set(self.window_tokens)
        }
        return [made[window] for window in self.window_tokens]


class LongformerSelfAttention(stock.LongformerSelfAttention):
    """Window and global columns through a kernel, global rows dense through `*_global`."""

    def forward(  # type: ignore[override]  # the stock layers hand our attention through
        self, hidden_states: Tensor, attention_mask: LayerAttention, **unused: Any
    ) -> tuple[Tensor]:
        """Attend.

        Args:
            hidden_states: (B, T, hidden size).
            attention_mask: kernel and pattern of this layer.
        """
        dropout = self.dropout if self.training else 0.0
        hidden_states = rounded_once(hidden_states)
        context_BHTD = attention_mask.kernel.attend(
            self._heads(self.query(hidden_states)).transpose(1, 2),
            self._heads(self.key(hidden_states)).transpose(1, 2),
            self._heads(self.value(hidden_states)).transpose(1, 2),
            attention_mask.pattern,
            dropout=dropout,
        )
        context = context_BHTD.transpose(1, 2).flatten(2)
        rows = dense.global_rows(attention_mask.pattern)
        if rows is not None:
            found = self._global_rows(hidden_states.flatten(0, 1), rows, dropout).flatten(1)
            flat = context.flatten(0, 1)
            # A backward pass needs the kernel's output as it was.
            put = flat.index_copy if torch.is_grad_enabled() else flat.index_copy_
            context = put(0, rows.index_G, found.to(context.dtype)).view_as(context)
        return (context,)

    def _global_rows(self, hidden_NC: Tensor, rows: dense.GlobalRows, dropout: float) -> Tensor:
        query_GHD = self._heads(self.query_global(hidden_NC[rows.index_G]))
        if rows.plan is None:
            return dense.attend_from_few(
                query_GHD, hidden_NC, self.key_global, self.value_global, rows, dropout=dropout
            )
        key_NHD = self._heads(self.key_global(hidden_NC))
        value_NHD = self._heads(self.value_global(hidden_NC))
        return dense.attend_from_global(query_GHD, key_NHD, value_NHD, rows, dropout=dropout)

    def _heads(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.num_heads, self.head_dim))


class LongformerModel(stock.LongformerModel):
    """Makes the pattern once a batch, leaves padding out, and runs the stock layers over the rest."""

    kernel: Kernel | None = None

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | SparsePattern | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        document_ids: Tensor | None = None,
        **unused: Any,
    ) -> Any:
        """Encode: the arguments and results of the stock model, attentions apart.

        Args:
            attention_mask: 0 for padding, or a pattern: see `inputs.batch_pattern`.
            document_ids: (B, T) integers, several documents packed into a row; none sees
                another, and each has positions of its own.
        """
        config, layers = cast("Any", self.config), cast("Any", self.encoder.layer)
        refuse_attentions(config.output_attentions if output_attentions is None else output_attentions)
        batch = batch_shape(input_ids, inputs_embeds)
        weight = self.embeddings.word_embeddings.weight
        documents = given_pattern(attention_mask, global_attention_mask, document_ids, batch, weight.device)
        prepared = prepare(
            documents,
            self.rules,
            self.kernel,
            dtype=computing_dtype(weight),
            dropout=layers[0].attention.self.dropout if self.training else 0.0,
        )
        if position_ids is None and prepared.position_BT is not None:
            position_ids = prepared.position_BT + config.pad_token_id + 1
        elif position_ids is None:
            refuse_long(batch[1], self.rules.max_tokens)

        hidden = self.embeddings(
            input_ids=input_ids,
            position_ids=position_ids,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        hidden = prepared.leave_out_padding(hidden)
        states = [hidden]
        for layer, attention in zip(layers, prepared.layers, strict=True):
            hidden = layer(hidden, attention_mask=attention)[0]
            states.append(hidden)
        if self.training and torch.distributed.is_initialized() and not documents.has_globals:
            hidden = _touch_global_projections(hidden, layers)

        hidden = prepared.put_back(hidden, batch)
        wanted = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = stock.LongformerBaseModelOutputWithPooling(
            last_hidden_state=hidden,
            pooler_output=None if self.pooler is None else self.pooler(hidden),
            hidden_states=tuple(prepared.put_back(state, batch) for state in states) if wanted else None,
        )
        as_dict = config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()

    @property
    def rules(self) -> Windows:
        """How the layers look at documents."""
        config, layers = cast("Any", self.config), cast("Any", self.encoder.layer)
        return Windows(
            tuple(layer.attention.self.one_sided_attn_window_size for layer in layers),
            self.embeddings.position_embeddings.num_embeddings - config.pad_token_id - 1,
        )


class LongformerForMaskedLM(WithMaskedLoss, stock.LongformerForMaskedLM):
    """See `WithMaskedLoss`."""

    output_class = stock.LongformerMaskedLMOutput


NATIVE: dict[type[nn.Module], type[nn.Module]] = {
    stock.LongformerSelfAttention: LongformerSelfAttention,
    stock.LongformerModel: LongformerModel,
    stock.LongformerForMaskedLM: LongformerForMaskedLM,
}


def install(model: nn.Module, kernel: Kernel | None) -> None:
    """Put `kernel` into this instance of any stock Longformer model, and into no other.

    Args:
        model: changed in place.
        kernel: None chooses one when the batch is known.
    """
    for module in model.modules():
        if type(module) in NATIVE:
            module.__class__ = NATIVE[type(module)]
        if isinstance(module, LongformerModel):
            module.kernel = kernel


def refuse_windows(attention_window: int | Sequence[int]) -> None:
    """Raise on windows that have no two equal sides.

    Raises:
        ValueError: one is odd or not positive.
    """
    every = [attention_window] if isinstance(attention_window, int) else attention_window
    for window in every:
        if window < 2 or window % 2:
            raise ValueError(
                f"attention_window is {window}; it counts the keys of both sides: "
                "give an even number, 2 or more"
            )


def refresh_global_projections(model: nn.Module) -> None:
    """Copy q, k, v into `*_global`, which masked-LM training without global tokens left behind.

    Longformer's recipe (Beltagy et al. 2020) does so after pre-training. Other models are left
    as they are.
    """
    for module in model.modules():
        if isinstance(module, stock.LongformerSelfAttention):
            for name in ("query", "key", "value"):
                getattr(module, f"{name}_global").load_state_dict(getattr(module, name).state_dict())


def _touch_global_projections(hidden: Tensor, layers: Sequence[Any]) -> Tensor:
    """Parameters without a gradient stop data-parallel training; these get one of zero.

    FSDP does without; to it a parameter is whole within its own layer alone.
    """
    unused = [
        parameter
        for layer in layers
        for name, parameter in layer.attention.self.named_parameters()
        if "_global" in name and parameter.requires_grad and not isinstance(parameter, DTensor)
    ]
    if not unused:
        return hidden
    return hidden + 0.0 * torch.stack([parameter.flatten()[0] for parameter in unused]).sum()
