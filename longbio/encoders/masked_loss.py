"""The masked-LM loss of the native models: logits where there is something to predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from longbio.encoders.batches import IGNORED
from longbio.encoders.families import FAMILIES


def masked_lm_loss(
    hidden_BTC: Tensor,
    head: Callable[[Tensor], Tensor],
    labels: Tensor | None,
    *,
    full_logits: bool = False,
    label_positions: Tensor | None = None,
    num_items_in_batch: Tensor | int | None = None,
) -> tuple[Tensor | None, Tensor]:
    """Loss and logits of a masked-LM head.

    All logits of 4,096 tokens over 30,522 words are 500 MB a sequence, and 85% of them are of no use.

    Args:
        hidden_BTC: what the encoder gave.
        head: hidden states to logits, for any number of tokens.
        labels: (B, T) ids to predict, -100 where there is nothing to predict; None for no loss.
        full_logits: compute logits of all tokens, as the stock models do.
        label_positions: (M,) int64, flat positions (row * T + token) of the labels that aren't
            -100; from a collator, they spare the forward pass a wait for the device.
        num_items_in_batch: labels of all accumulated batches, to divide by; None for those of this batch.

    Returns:
        The loss in nats per predicted token, None without labels; and logits (M, vocabulary) of
        the predicted tokens in their order, or (B, T, vocabulary) of all tokens.
    """
    if labels is None:
        return None, head(hidden_BTC)
    if labels.shape != hidden_BTC.shape[:2]:
        raise ValueError(f"labels are {tuple(labels.shape)}, the batch is {tuple(hidden_BTC.shape[:2])}")
    flat = labels.to(hidden_BTC.device).flatten()
    if label_positions is None:
        label_positions = predicted_positions(flat)

    logits = head(hidden_BTC if full_logits else hidden_BTC.flatten(0, 1)[label_positions])
    predicted = logits.flatten(0, 1)[label_positions] if full_logits else logits
    summed = summed_nats(predicted, flat, label_positions)
    items = len(label_positions) if num_items_in_batch is None else num_items_in_batch
    if isinstance(items, Tensor):
        return summed / items.to(summed.device).clamp(min=1), logits
    return summed / max(items, 1), logits


def predicted_positions(labels: Tensor) -> Tensor:
    """(M,) int64, flat positions of the labels that aren't -100."""
    return (labels.flatten() != IGNORED).nonzero().flatten()


def summed_nats(logits_MV: Tensor, labels: Tensor, positions_M: Tensor) -> Tensor:
    """Cross-entropy summed over the tokens at flat positions of the labels."""
    return cross_entropy(logits_MV.float(), labels.flatten()[positions_M], reduction="sum")


class WithMaskedLoss:
    """Above a stock masked-LM class: with labels, logits are computed at the masked positions only."""

    output_class: type[Any]

    def forward(
        self: Any,
        input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        full_logits: bool = False,
        label_positions: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **encoder_inputs: Any,
    ) -> Any:
        """Predict masked tokens: see `masked_lm_loss` for the arguments of the loss."""
        encoded = self.base_model(input_ids, return_dict=True, **encoder_inputs)
        loss, logits = masked_lm_loss(
            encoded.last_hidden_state,
            self.get_submodule(FAMILIES[self.config.model_type].head_module),
            labels,
            full_logits=full_logits,
            label_positions=label_positions,
            num_items_in_batch=num_items_in_batch,
        )
        output = self.output_class(loss=loss, logits=logits, hidden_states=encoded.hidden_states)
        as_dict = self.config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()
