"""R-Drop (Liang et al. 2021): two passes with different dropout are trained to agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from longbio.errors import LongbioError
from longbio.training.trainer import SummedLoss

LogitsOf = Callable[[Any, Mapping[str, Any]], Sequence[tuple[Tensor, Tensor]]]
"""(a model's outputs, the batch) -> its softmaxes: logits (..., C) and a bool (...), true where they
are learned from. A token classifier has one, of (B, T, C) at the labelled positions; a question
answerer two, (B, T) with a bool (B,) each, of starts and of ends; a document classifier one, (B, C).
Independent labels are softmaxes of two, (B, L, 2): zeros and the logits. A regression has none."""

LOWEST = -1e4
"""Of a log-probability: where both passes leave a class out with -inf, they say the same."""


def with_rdrop(summed_loss: SummedLoss, weight: float, logits_of: LogitsOf) -> SummedLoss:
    """A loss that runs `summed_loss` twice, each with draws of its own.

    Two passes, and not one over a doubled batch: so it is right for rows of any shape, and needs no more
    memory for activations than twice a pass.

    Args:
        summed_loss: calls its model once.
        weight: of the divergence, the paper's alpha.
        logits_of: the softmaxes to compare.

    Returns:
        The mean of both losses and `weight` times the divergence, half of KL(p||q) + KL(q||p), summed in nats
        over the same items.
    """

    def loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
        losses, softmaxes = [], []
        for _ in range(2):
            outputs: list[Any] = []
            hook = model.register_forward_hook(lambda *seen, kept=outputs: kept.append(seen[2]))
            try:
                losses.append(summed_loss(model, batch))
            finally:
                hook.remove()
            assert len(outputs) == 1, "a summed loss calls its model once"
            softmaxes.append(logits_of(outputs[0], batch))
        if not softmaxes[0]:
            raise nothing_to_compare()
        pairs = zip(*softmaxes, strict=True)
        apart = [divergence(one, other, learned) for (one, learned), (other, _) in pairs]
        return (losses[0] + losses[1]) / 2 + weight * torch.stack(apart).sum()

    return loss


def divergence(one: Tensor, other: Tensor, learned: Tensor) -> Tensor:
    """Half of KL(p||q) + KL(q||p) of two (..., C) logits in nats, summed over what is `learned` from, (...)
    bool."""
    log_p, log_q = (logits[learned].float().log_softmax(-1).clamp(min=LOWEST) for logits in (one, other))
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() / 2


def nothing_to_compare() -> LongbioError:
    """What is said of R-Drop for a task without a softmax."""
    return LongbioError(
        "R-Drop compares distributions, and this task predicts none (a regression has no KL)",
        where="r_drop",
        remedy="set it to 0",
    )
