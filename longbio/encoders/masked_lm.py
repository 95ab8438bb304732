"""The masked-LM loss of the native models: logits where there is something to predict."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import cross_entropy

IGNORED = -100


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

    All logits of 4,096 tokens over 30,522 words are 500 MB a sequence, and all but 15% of them
    would be thrown away.

    Args:
        hidden_BTC: what the encoder gave.
        head: hidden states to logits, for any number of tokens.
        labels: (B, T) ids to predict, -100 where there is nothing to predict; None for no loss.
        full_logits: compute logits of all tokens, as the stock models do.
        label_positions: (M,) int64, flat positions (row * T + token) of the labels that aren't
            -100; given by a collator, they spare the forward pass a wait for the device.
        num_items_in_batch: what the summed loss is divided by: the labels of all accumulated
            batches. None for those of this batch.

    Returns:
        The loss in nats per predicted token, None without labels; and logits (M, vocabulary) of
        the predicted tokens in their order, or (B, T, vocabulary) of all tokens.

    Raises:
        ValueError: labels of another shape than the batch.
    """
    if labels is None:
        return None, head(hidden_BTC)
    if labels.shape != hidden_BTC.shape[:2]:
        raise ValueError(f"labels are {tuple(labels.shape)}, the batch is {tuple(hidden_BTC.shape[:2])}")
    flat = labels.to(hidden_BTC.device).flatten()
    if label_positions is None:
        label_positions = (flat != IGNORED).nonzero().flatten()
    wanted = flat[label_positions]

    logits = head(hidden_BTC if full_logits else hidden_BTC.flatten(0, 1)[label_positions])
    predicted = logits.flatten(0, 1)[label_positions] if full_logits else logits
    summed = cross_entropy(predicted.float(), wanted, reduction="sum")
    items = len(wanted) if num_items_in_batch is None else num_items_in_batch
    if isinstance(items, Tensor):
        return summed / items.to(summed.device).clamp(min=1), logits
    return summed / max(items, 1), logits
