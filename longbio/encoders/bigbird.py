"""BigBird with our kernels inside: Hugging Face's modules and weights, one fixed pattern.

The stock class draws its random blocks anew for training, drops them in evaluation, stays on full attention
after one short batch and reseeds NumPy. Here the pattern comes from a seed in the config and from each
document's length; `install` can reproduce either of the stock patterns instead (`bigbird_stock`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions, MaskedLMOutput
from transformers.models.big_bird import modeling_big_bird as stock

from longbio.attention.blocks import block_sparse
from longbio.attention.kernels import Kernel
from longbio.attention.pattern import SparsePattern
from longbio.encoders import kernel_model
from longbio.encoders.bigbird_stock import StockBlocks
from longbio.encoders.kernel_model import KernelModel, round_once
from longbio.encoders.masked_loss import WithMaskedLoss
from longbio.encoders.prepared_batch import LayerAttention, Rules

DEFAULT_SEED = 0
PATTERNS = ("longbio", "stock-training", "stock-evaluation")
"""Whose blocks a BigBird reads: one pattern in training and evaluation, or one of the stock two."""


@dataclass(frozen=True, kw_only=True)
class Blocks(Rules):
    """The rules of a BigBird of ours: one pattern for all layers, by document."""

    random_blocks: int
    seed: int
    num_layers: int
    full: bool
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
    """Self-attention of one layer through a kernel, then the stock output projection.

    The stock layers hand through, as `attention_mask`, kernel and pattern of the layer.
    """

    def forward(  # type: ignore[override]  # the stock layers hand our attention through
        self, hidden_states: Tensor, attention_mask: LayerAttention, **unused: Any
    ) -> tuple[Tensor, None]:
        heads = (self.config.num_attention_heads, -1)
        rounded = round_once(hidden_states)
        query, key, value = (
            projection(rounded).unflatten(2, heads).transpose(1, 2)
            for projection in (self.self.query, self.self.key, self.self.value)
        )
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        context_BHTD = attention_mask.kernel.attend(
            query, key, value, attention_mask.pattern, dropout=dropout
        )
        return self.output(context_BHTD.transpose(1, 2).flatten(2), hidden_states), None


class BigBirdModel(KernelModel, stock.BigBirdModel):
    """See `KernelModel`."""

    output_class = BaseModelOutputWithPoolingAndCrossAttentions
    stock_rules: StockBlocks | None = None

    @property
    def attention_dropout(self) -> float:
        return float(self.config.attention_probs_dropout_prob)

    def pool(self, hidden: Tensor) -> Tensor:
        pooled: Tensor = self.activation(self.pooler(hidden[:, 0]))
        return pooled

    def touch_unused(self, hidden: Tensor, pooled: Tensor | None, documents: SparsePattern) -> Tensor:
        # Most heads don't use the pooler.
        return hidden if pooled is None else hidden + 0.0 * pooled.sum()

    @property
    def rules(self) -> Rules:
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
    """As `kernel_model.install`, with one of `PATTERNS`; None leaves what it reads as it is."""
    if model.config.is_decoder:
        raise ValueError("a BigBird decoder has no kernel here; load it with kernel='stock'")
    kernel_model.install(model, kernel, NATIVE)
    for module in model.modules():
        if isinstance(module, BigBirdModel) and pattern is not None:
            training = pattern == "stock-training"
            module.stock_rules = None if pattern == "longbio" else StockBlocks.of(module, training=training)
