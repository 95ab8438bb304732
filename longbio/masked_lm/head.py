"""The masked-LM loss over the masked positions only.

All logits of 4,096 tokens over 30,522 words are 500 MB a sequence, and all but 15% of them are
thrown away. The head is given the masked positions alone, through the model's ordinary forward,
so that it works for every family, stock or ours, and under any parallel wrapper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from longbio.encoders.families import FAMILIES
from longbio.encoders.masked_loss import predicted_positions, summed_nats
from longbio.masked_lm.masking import Ids


def head_of(model: nn.Module) -> nn.Module:
    """The masked-LM head of a model, wrapped for parallel training or not."""
    inner: Any = getattr(model, "module", model)
    return inner.get_submodule(FAMILIES[inner.config.model_type].head_module)


def start_head(model: Any, counts: Ids) -> None:
    """Let a masked-LM model's new head start from what is known: the word embeddings and how frequent words
    are.

    Its dense layer is the identity, its bias the logarithm of each token's frequency, by (V,) counts of what
    it will learn from.
    """
    smooth = counts + 0.5
    with torch.no_grad():
        model.get_output_embeddings().bias.copy_(torch.from_numpy(np.log(smooth / smooth.mean())))
        for module in head_of(model).modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(1.0)
                module.bias.zero_()
            elif isinstance(module, nn.Linear) and module.in_features == module.out_features:
                nn.init.eye_(module.weight)
                module.bias.zero_()


@contextmanager
def only_at(model: nn.Module, positions_M: Tensor) -> Iterator[None]:
    """Within, a masked-LM model's logits are (M, vocabulary), at int64 flat positions (row * T + token),
    instead of (B, T, vocabulary)."""

    def choose(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (arguments[0].flatten(0, 1)[positions_M], *arguments[1:])

    handle = head_of(model).register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()


def summed_loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Cross-entropy in nats, summed over the masked positions of the batch.

    Args:
        model: a masked-LM model.
        batch: its inputs; `labels` (B, T), -100 where nothing is predicted; and perhaps
            `label_positions`, where something is, which spares a wait for the device.
    """
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "label_positions")}
    positions_M = batch.get("label_positions")
    if positions_M is None:
        positions_M = predicted_positions(batch["labels"])
    with only_at(model, positions_M):
        logits = model(**inputs).logits
    return summed_nats(logits, batch["labels"], positions_M)
