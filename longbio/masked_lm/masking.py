"""Which tokens are masked: a pure function of the tokens and a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

IGNORED = -100
"""The label of a token that isn't predicted, as torch's cross-entropy has it."""


def mask_tokens(
    ids: Ids,
    *,
    special_ids: tuple[int, ...],
    mask_id: int,
    vocab_size: int,
    rate: float = 0.15,
    seed: tuple[int, ...] = (0,),
) -> tuple[Ids, Ids]:
    """BERT's corruption: of the chosen tokens 80% [MASK], 10% any token, 10% unchanged.

    Devlin et al. 2019, section 3.1. The number of chosen tokens is the rate times the number of
    ordinary ones, rounded, so that evaluation doesn't depend on luck; one is chosen at least.

    Args:
        ids: (T,) token ids.
        special_ids: tokens that are never chosen: padding, [CLS], [SEP], ...
        mask_id: the id of [MASK].
        vocab_size: random tokens are drawn below it.
        rate: share of the ordinary tokens that is predicted.
        seed: one seed and one position in the run, say (seed, epoch, sample).

    Returns:
        The corrupted ids, and the labels: the original id where a token is predicted, else -100.
    """
    draw = np.random.default_rng(seed)
    ordinary = np.flatnonzero(~np.isin(ids, special_ids))
    if not len(ordinary):
        return ids.copy(), np.full_like(ids, IGNORED)

    chosen = draw.choice(ordinary, size=max(1, round(rate * len(ordinary))), replace=False)
    labels = np.full_like(ids, IGNORED)
    labels[chosen] = ids[chosen]

    kind = draw.random(len(chosen))
    corrupted = ids.copy()
    corrupted[chosen[kind < 0.8]] = mask_id
    random_ones = chosen[kind >= 0.9]
    corrupted[random_ones] = draw.integers(vocab_size, size=len(random_ones))
    return corrupted, labels
