"""Longformer with our kernels inside: Hugging Face's modules and weights, another attention.

The classes here carry the native names and add no parameter, so that a model saved from them is
a plain transformers checkpoint. `install` turns a stock instance into one of them.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.longformer import modeling_longformer as stock

from longbio.attention.dense import attend_from_global
from longbio.attention.kernels import Kernel
from longbio.attention.pattern import SparsePattern, sliding_window


class LongformerSelfAttention(stock.LongformerSelfAttention):
    """Window and global columns through `kernel`, global rows dense through `*_global`."""

    kernel: Kernel

    def forward(  # type: ignore[override]  # the stock layers hand our patterns through
        self,
        hidden_states: Tensor,
        attention_mask: dict[int, SparsePattern],
        **unused: Any,
    ) -> tuple[Tensor]:
        """Attend.

        Args:
            hidden_states: (B, T, hidden size).
            attention_mask: the batch's patterns, by window tokens each side.
        """
        pattern = attention_mask[self.one_sided_attn_window_size]
        dropout = self.dropout if self.training else 0.0
        context_BHTD = self.kernel(
            self._heads(self.query(hidden_states)),
            self._heads(self.key(hidden_states)),
            self._heads(self.value(hidden_states)),
            pattern,
            dropout=dropout,
        )
        context = context_BHTD.transpose(1, 2).flatten(2)
        rows = pattern.global_rows()
        if rows is not None:
            context = self._with_global_rows(context, hidden_states, pattern, rows, dropout)
        return (context,)

    def _with_global_rows(
        self,
        context: Tensor,
        hidden_states: Tensor,
        pattern: SparsePattern,
        rows: tuple[Tensor, Tensor],
        dropout: float,
    ) -> Tensor:
        index_BG, real_BG = rows
        row_B1 = torch.arange(len(index_BG), device=index_BG.device)[:, None]
        global_BHGD = attend_from_global(
            self._heads(self.query_global(hidden_states[row_B1, index_BG])),
            self._heads(self.key_global(hidden_states)),
            self._heads(self.value_global(hidden_states)),
            pattern,
            dropout=dropout,
        )
        rows_BG = global_BHGD.transpose(1, 2).flatten(2)
        row, column = real_BG.nonzero(as_tuple=True)
        return context.index_put((row, index_BG[row, column]), rows_BG[row, column].to(context.dtype))

    def _heads(self, states: Tensor) -> Tensor:
        return states.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2)


class LongformerModel(stock.LongformerModel):
    """Makes the pattern once a batch, pads nothing, and runs the stock layers over it."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **unused: Any,
    ) -> Any:
        """Encode: the arguments and results of the stock model, attentions apart."""
        config, layers = cast("Any", self.config), cast("Any", self.encoder.layer)
        refuse_attentions(config.output_attentions if output_attentions is None else output_attentions)
        shape = batch_shape(input_ids, inputs_embeds)
        device = self.embeddings.word_embeddings.weight.device
        refuse_long(shape[1], config.max_position_embeddings - config.pad_token_id - 1)

        valid_BT, merged_BT = bool_mask(attention_mask, shape, device), None
        if global_attention_mask is not None:
            merged_BT = bool_mask(global_attention_mask, shape, device)
        windows = {layer.attention.self.one_sided_attn_window_size for layer in layers}
        patterns = {window: sliding_window(valid_BT, merged_BT, window_tokens=window) for window in windows}

        hidden = self.embeddings(
            input_ids=input_ids,
            position_ids=position_ids,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        states = [hidden]
        for layer in layers:
            hidden = layer(hidden, attention_mask=patterns)[0]
            states.append(hidden)

        wanted = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = stock.LongformerBaseModelOutputWithPooling(
            last_hidden_state=hidden,
            pooler_output=None if self.pooler is None else self.pooler(hidden),
            hidden_states=tuple(states) if wanted else None,
        )
        as_dict = config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()


NATIVE: dict[type[nn.Module], type[nn.Module]] = {
    stock.LongformerSelfAttention: LongformerSelfAttention,
    stock.LongformerModel: LongformerModel,
}


def install(model: nn.Module, kernel: Kernel) -> None:
    """Put `kernel` into this instance of any stock Longformer model, and into no other."""
    for module in model.modules():
        if type(module) in NATIVE:
            module.__class__ = NATIVE[type(module)]
        if isinstance(module, LongformerSelfAttention):
            module.kernel = kernel


def refuse_attentions(wanted: bool | None) -> None:
    """Raise when attention weights are asked for: no fast kernel ever holds them."""
    if wanted:
        raise ValueError("attention weights are never formed; load with kernel='stock' to get them")


def refuse_long(num_tokens: int, max_tokens: int) -> None:
    """Raise when a batch is longer than the position table."""
    if num_tokens > max_tokens:
        raise ValueError(
            f"the batch has {num_tokens} tokens and the model {max_tokens} positions; "
            "split the text into windows"
        )


def batch_shape(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> tuple[int, int]:
    """(B, T) of whichever input was given.

    Raises:
        ValueError: both or none were given.
    """
    given = [tensor for tensor in (input_ids, inputs_embeds) if tensor is not None]
    if len(given) != 1:
        raise ValueError("give either input_ids or inputs_embeds")
    return given[0].shape[0], given[0].shape[1]


def bool_mask(mask: Tensor | None, shape: tuple[int, int], device: torch.device) -> Tensor:
    """A (B, T) bool mask of a 0/1 mask; all True when none is given.

    Raises:
        ValueError: its shape isn't that of the batch.
    """
    if mask is None:
        return torch.ones(shape, dtype=torch.bool, device=device)
    if tuple(mask.shape) != shape:
        raise ValueError(f"the mask is {tuple(mask.shape)}, the batch is {shape}")
    return mask.to(device=device) > 0


def refresh_global_projections(model: nn.Module) -> None:
    """Copy q, k, v into `*_global`, which masked-LM training without global tokens left behind.

    Longformer's recipe (Beltagy et al. 2020) does so after pre-training. Other models are left
    as they are.
    """
    for module in model.modules():
        if isinstance(module, stock.LongformerSelfAttention):
            for name in ("query", "key", "value"):
                getattr(module, f"{name}_global").load_state_dict(getattr(module, name).state_dict())
