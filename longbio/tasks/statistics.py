"""What a difference between two models is worth: over documents, with seeds averaged.

A score is a measure of numbers that documents add up (`tasks.evidence`), so documents can be drawn again
without anything being predicted again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap, permutation_test

Numbers = NDArray[np.float64]
Measure = Callable[[Numbers], Numbers]

RESAMPLES = 2000
PERMUTATIONS = 9999
CONFIDENCE = 0.95
BATCHED_NUMBERS = 4_000_000
NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Comparison:
    """One model minus another on the same documents.

    Args:
        difference: of their mean scores over seeds.
        low: the lower end of its 95% interval over documents.
        high: the upper end.
        p: of the two-sided permutation test: how often models that are alike would differ as much.
    """

    difference: float
    low: float
    high: float
    p: float


def compare(ours: Numbers, theirs: Numbers, measure: Measure, *, seed: int = 0) -> Comparison | None:
    """The difference of two models with its interval and its p.

    Args:
        ours: (S, D, K) what each document adds to the score, for each seed.
        theirs: (S, D, K) the same of the other model; the same documents in the same order.
        measure: (..., K) sums to (...) scores.
        seed: of what is drawn.

    Returns:
        None for a single document: it says nothing of others.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"evidence of {ours.shape} and of {theirs.shape}")
    if ours.shape[1] < 2:
        return None
    # Documents first, then seeds: (D, S, K).
    a, b = np.moveaxis(ours, 1, 0), np.moveaxis(theirs, 1, 0)
    difference = _mean_over_seeds(measure, a.sum(axis=0)) - _mean_over_seeds(measure, b.sum(axis=0))
    low, high = interval(a, b, measure, seed=seed)
    return Comparison(float(difference), low, high, permuted_p(a, b, measure, seed=seed))


def interval(
    a_DSK: Numbers, b_DSK: Numbers | None, measure: Measure, *, seed: int = 0
) -> tuple[float, float]:
    """The 95% BCa bootstrap interval (Efron 1987) of a score, or of a difference, documents drawn in pairs.

    Where BCa has no answer, because all draws lie on one side of the value, it is the interval of
    percentiles; where every document says the same, there is no spread.

    Args:
        a_DSK: what each document adds to the score, for each seed.
        b_DSK: the same of another model, whose score is taken away; None for none.
        measure: (..., K) sums to (...) scores.
        seed: of what is drawn.
    """

    def difference(chosen: Callable[[Numbers], Numbers]) -> Numbers:
        ours = _mean_over_seeds(measure, chosen(a_DSK))
        return ours if b_DSK is None else ours - _mean_over_seeds(measure, chosen(b_DSK))

    without_one = difference(lambda every: every.sum(axis=0) - every)
    if np.ptp(without_one) < NO_SPREAD:
        value = float(difference(lambda every: every.sum(axis=0)))
        return value, value

    def statistic(rows: Any, axis: int = -1) -> Numbers:
        return difference(lambda every: every[rows].sum(axis=axis - 2))

    def found(method: str) -> tuple[float, float]:
        limits = bootstrap(
            (np.arange(len(a_DSK)),),
            statistic,
            vectorized=True,
            n_resamples=RESAMPLES,
            # Its jackknife would hold a copy of the corpus for each document.
            batch=max(1, BATCHED_NUMBERS // a_DSK.size),
            confidence_level=CONFIDENCE,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
        return float(limits.low), float(limits.high)

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        low, high = found("BCa")
    return (low, high) if math.isfinite(low) and math.isfinite(high) else found("percentile")


def permuted_p(a_DSK: Numbers, b_DSK: Numbers, measure: Measure, *, seed: int = 0) -> float:
    """Two-sided p of a paired permutation test: for each document, who said what is drawn anew.

    Exact where that can be done in fewer than 10,000 ways.
    """
    documents = len(a_DSK)
    whole, half = (a_DSK + b_DSK).sum(axis=0), (a_DSK - b_DSK).reshape(documents, -1)

    def statistic(first: Numbers, second: Numbers, axis: int = -1) -> Numbers:
        # A document's sign says whether its two results are exchanged: sums follow from one product.
        swing = (np.moveaxis(first, axis, -1) @ half).reshape(*_without(first.shape, axis), *whole.shape)
        return _mean_over_seeds(measure, (whole + swing) / 2) - _mean_over_seeds(measure, (whole - swing) / 2)

    tested = permutation_test(
        (np.ones(documents), -np.ones(documents)),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=max(1, BATCHED_NUMBERS // max(documents, half.shape[1])),
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(tested.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of several tests: step down from the smallest p, never falling."""
    count, largest = len(p_values), 0.0
    corrected = [0.0] * count
    for rank, place in enumerate(sorted(range(count), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def _mean_over_seeds(measure: Measure, sums: Numbers) -> Numbers:
    """(...) of (..., S, K)."""
    mean: Numbers = measure(sums).mean(axis=-1)
    return mean


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    left = list(shape)
    del left[axis]
    return tuple(left)
