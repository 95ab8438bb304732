"""The states of a frozen encoder over the pieces of new words, in their contexts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from longbio.encoders.batches import length_batches, mask_of, pad
from longbio.encoders.families import FAMILIES
from longbio.vocabulary.spans import Encoded

TOKENS_AT_ONCE = 8192


@torch.inference_mode()
def span_states(
    model: nn.Module,
    encoded: Sequence[Encoded],
    layers: Sequence[int],
    padding_id: int,
    *,
    on_context: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """The mean over the tokens of each span, and over layers.

    Args:
        model: an encoder in evaluation mode; nothing above the deepest layer wanted is computed.
        encoded: contexts, any number.
        layers: 0 for the embeddings, 1 for the first layer, ...
        padding_id: of the tokenizer.
        on_context: told how many are done.

    Returns:
        (C, H) float32, in the order of `encoded`.
    """
    device = next(model.parameters()).device
    states: dict[int, Tensor] = {}
    with _cut_above(model, max(layers)) as encoder:
        for numbers in length_batches([len(context.ids) for context in encoded], TOKENS_AT_ONCE):
            rows = [encoded[n].ids for n in numbers]
            output = encoder(
                input_ids=pad(rows, padding_id).to(device),
                attention_mask=mask_of(rows).to(device),
                output_hidden_states=True,
            )
            state_BTH = sum(output.hidden_states[layer].float() for layer in layers) / len(layers)
            span_BT = spread([encoded[n].span for n in numbers], state_BTH.shape[1], device)
            state_BH = torch.einsum("bt,bth->bh", span_BT, state_BTH).cpu()
            states.update(zip(numbers, state_BH, strict=True))
            on_context(len(states))
    return torch.stack([states[n] for n in range(len(encoded))])


def spread(spans: Sequence[tuple[int, int]], length: int, device: Any) -> Tensor:
    """(B, T) weights that take the mean over each span."""
    first_B, last_B = torch.tensor(spans, device=device).T
    column_T = torch.arange(length, device=device)
    inside_BT = ((column_T >= first_B[:, None]) & (column_T < last_B[:, None])).float()
    return inside_BT / inside_BT.sum(1, keepdim=True)


@contextmanager
def _cut_above(model: Any, deepest: int) -> Iterator[Any]:
    """The encoder without the layers above one, which are put back."""
    base = model.base_model
    family = FAMILIES.get(base.config.model_type, FAMILIES["bert"])
    stack = base.get_submodule(family.layers.removesuffix(".layer"))
    whole = stack.layer
    if deepest > len(whole):
        raise ValueError(f"layer {deepest} is asked for and the model has {len(whole)}")
    # transformers collects no states, the embeddings' included, where there is no layer.
    stack.layer = nn.ModuleList(whole[: max(1, deepest)])
    try:
        yield base
    finally:
        stack.layer = whole
