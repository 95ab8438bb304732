"""Which weights a phase changes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from longbio.encoders.families import max_positions
from longbio.errors import LongbioError
from longbio.pretraining.phase import Learns
from longbio.training.processes import weights_are_sharded


def choose_learning(
    model: PreTrainedModel, learns: Learns, new_from: int | None = None, *, global_cls: bool = False
) -> None:
    """Let the chosen weights learn and freeze the others. See `Phase`.

    Raises:
        LongbioError: there is no row from `new_from` on, or new rows shall learn under FSDP or
            DeepSpeed.
    """
    if learns == "all":
        if not global_cls:
            for name, weight in model.named_parameters():
                # Without a gradient; FSDP can't resume an optimizer that has no state for some.
                weight.requires_grad_("_global." not in name)
        return
    if learns == "head":
        # Tied to the head's decoder, the word embeddings stay as they are with the encoder.
        model.base_model.requires_grad_(False)
        return
    if weights_are_sharded():
        raise LongbioError(
            "rows of a table can't learn alone where weights are divided among processes",
            where=f"learns: {learns}",
            remedy="launch it without FSDP and DeepSpeed",
        )
    assert new_from is not None
    model.requires_grad_(False)
    encoder: Any = model.base_model
    if learns == "new-positions":
        table = encoder.embeddings.position_embeddings.weight
        # Some families begin their table with rows that belong to padding.
        _learn_from(table, len(table) - max_positions(model.config) + new_from, learns)
        return
    _learn_from(encoder.get_input_embeddings().weight, new_from, learns)
    decoder: Any = model.get_output_embeddings()
    if decoder.bias is not None:
        _learn_from(decoder.bias, new_from, learns)


def _learn_from(weight: Tensor, first: int, learns: str) -> None:
    if not 0 <= first < len(weight):
        raise LongbioError(
            f"the first new row is {first} and the table has {len(weight)}",
            where=f"learns: {learns}",
            remedy="set new_from to the source's number of positions or of tokens",
        )
    weight.requires_grad_(True)

    def only_new(gradient: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(gradient[:first]), gradient[first:]])

    weight.register_hook(only_new)
