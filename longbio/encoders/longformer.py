"""Longformer with our kernels inside: Hugging Face's modules and weights, another attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.models.longformer import modeling_longformer as stock

from longbio.attention import dense
from longbio.attention.pattern import SparsePattern
from longbio.encoders import kernel_model
from longbio.encoders.kernel_model import KernelModel, round_once
from longbio.encoders.masked_loss import WithMaskedLoss
from longbio.encoders.prepared_batch import LayerAttention, Rules


@dataclass(frozen=True, kw_only=True)
class Windows(Rules):
    """The rules of a Longformer: `window_tokens` to each side, of every layer."""

    window_tokens: tuple[int, ...]

    def layers(self, documents: SparsePattern) -> Sequence[SparsePattern]:
        """Layers with one window share one pattern."""
        patterns = {
            window: documents
            if documents.window_tokens == window
            else replace(documents, window_tokens=window, cache={})
            for window in set(self.window_tokens)
        }
        return [patterns[window] for window in self.window_tokens]


class LongformerSelfAttention(stock.LongformerSelfAttention):
    """Window and global columns through a kernel, global rows dense through `*_global`.

    The stock layers hand through, as `attention_mask`, kernel and pattern of the layer.
    """

    def forward(  # type: ignore[override]  # the stock layers hand our attention through
        self, hidden_states: Tensor, attention_mask: LayerAttention, **unused: Any
    ) -> tuple[Tensor]:
        dropout = self.dropout if self.training else 0.0
        hidden_states = round_once(hidden_states)
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
            dense_GC = self._global_rows(hidden_states.flatten(0, 1), rows, dropout).flatten(1)
            flat = context.flatten(0, 1)
            # A backward pass needs the kernel's output as it was.
            put = flat.index_copy if torch.is_grad_enabled() else flat.index_copy_
            context = put(0, rows.index_G, dense_GC.to(context.dtype)).view_as(context)
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


class LongformerModel(KernelModel, stock.LongformerModel):
    """See `KernelModel`."""

    output_class = stock.LongformerBaseModelOutputWithPooling

    @property
    def attention_dropout(self: Any) -> float:
        return float(self.encoder.layer[0].attention.self.dropout)

    def pool(self: Any, hidden: Tensor) -> Tensor:
        pooled: Tensor = self.pooler(hidden)
        return pooled

    def touch_unused(self: Any, hidden: Tensor, pooled: Tensor | None, documents: SparsePattern) -> Tensor:
        # FSDP does without; to it a parameter is whole within its own layer alone.
        unused = [
            parameter.flatten()[0]
            for layer in self.encoder.layer
            for name, parameter in layer.attention.self.named_parameters()
            if "_global" in name and parameter.requires_grad and not isinstance(parameter, DTensor)
        ]
        return hidden if documents.has_globals or not unused else hidden + 0.0 * torch.stack(unused).sum()

    @property
    def rules(self) -> Windows:
        config, layers = cast("Any", self.config), cast("Any", self.encoder.layer)
        return Windows(
            window_tokens=tuple(layer.attention.self.one_sided_attn_window_size for layer in layers),
            max_tokens=self.embeddings.position_embeddings.num_embeddings - config.pad_token_id - 1,
        )


class LongformerForMaskedLM(WithMaskedLoss, stock.LongformerForMaskedLM):
    """See `WithMaskedLoss`."""

    output_class = stock.LongformerMaskedLMOutput


NATIVE: dict[type[nn.Module], type[nn.Module]] = {
    stock.LongformerSelfAttention: LongformerSelfAttention,
    stock.LongformerModel: LongformerModel,
    stock.LongformerForMaskedLM: LongformerForMaskedLM,
}


install = partial(kernel_model.install, native=NATIVE)


def refuse_windows(attention_window: int | Sequence[int]) -> None:
    """Raise ValueError on windows that have no two equal sides."""
    every = [attention_window] if isinstance(attention_window, int) else attention_window
    for window in every:
        if window < 2 or window % 2:
            raise ValueError(
                f"attention_window is {window}; it counts the keys of both sides: "
                "give an even number, 2 or more"
            )


def refresh_global_projections(model: nn.Module) -> None:
    """Copy q, k, v into `*_global`, which masked-LM training without global tokens left behind, as does
    Longformer's recipe (Beltagy et al. 2020); other models are left as they are."""
    for module in model.modules():
        if isinstance(module, stock.LongformerSelfAttention):
            for name in ("query", "key", "value"):
                getattr(module, f"{name}_global").load_state_dict(getattr(module, name).state_dict())
