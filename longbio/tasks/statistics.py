"""What a difference between two models is worth: over documents, with seeds averaged.

A score is a measure of numbers that documents add up (`tasks.evidence`), so documents can be drawn again
without anything being predicted again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import bootstrap, permutation_test

from longbio.tasks.evidence import MEASURES

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


@dataclass(frozen=True, eq=False)
class Units:
    """What is drawn: documents, or groups such as patients, whose notes are no independent draws.

    Args:
        unit_D: the unit of each document, counted from 0.
        count: how many there are.
        kind: what they are.
    """

    unit_D: NDArray[np.int64]
    count: int
    kind: Literal["groups", "documents"]

    @classmethod
    def of(cls, ids: Sequence[str], groups: Sequence[str | None]) -> Units:
        """Documents of one group together, the others each by itself.

        A group that all documents have in common divides nothing: each stands for itself then.

        Args:
            ids: the name of each document.
            groups: the group of each; None, or in results of before the document's own name, for none.
        """
        own = [(n, None) if group is None else (-1, group) for n, group in enumerate(groups)]
        if len(set(own)) == 1 or list(groups) == list(ids):
            own = [(n, None) for n in range(len(groups))]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(own))}
        kind: Literal["groups", "documents"] = "groups" if any(group for _, group in own) else "documents"
        return cls(np.array([numbers[name] for name in own], dtype=np.int64), len(numbers), kind)

    def summed(self, totals_DK: Numbers) -> Numbers:
        """(U, K) what each unit adds to a score."""
        sums = np.zeros((self.count, totals_DK.shape[1]))
        np.add.at(sums, self.unit_D, totals_DK)
        return sums


Kept = Mapping[str, Any]
"""`Evidence` of a run as results keep it: `measure`, `ids`, `groups` and `totals`, of the same documents."""


def score_interval(seeds: Sequence[Kept | None]) -> dict[str, Any] | None:
    """A score, averaged over seeds, with its 95% interval over patients or documents; ready for JSON.

    Args:
        seeds: what each seed's results keep.

    Returns:
        `value`; `low` and `high`, None where there is a single unit, which says nothing of others; `over`,
        groups or documents, and how many `units` of them. None for a score that is no sum over documents.
    """
    kept = [each for each in seeds if each is not None]
    if not kept or len(kept) < len(seeds):
        return None
    units, measure = _units(kept[0]), MEASURES[kept[0]["measure"]]
    totals_USK = _totals(kept, units)
    value = float(_mean_over_seeds(measure, totals_USK.sum(axis=0)))
    low, high = (None, None) if units.count < 2 else interval(totals_USK, None, measure)
    return {"value": value, "low": low, "high": high, "over": units.kind, "units": units.count}


def difference(ours: Sequence[Kept], theirs: Sequence[Kept]) -> dict[str, Any] | None:
    """`compare` of what two models' results keep, over patients or documents; ready for JSON.

    Args:
        ours: of each seed.
        theirs: of the same seeds, on the same documents.

    Returns:
        As `Comparison`, with `over` and `units`; None for a single unit.

    Raises:
        ValueError: the two are of other classes.
    """
    units, measure = _units(ours[0]), MEASURES[ours[0]["measure"]]
    a, b = (np.moveaxis(_totals(each, units), 0, 1) for each in (ours, theirs))
    found = compare(a, b, measure)
    return None if found is None else asdict(found) | {"over": units.kind, "units": units.count}


def spoken_interval(interval: Mapping[str, Any] | None) -> str:
    """`95% interval 0.845 to 0.922 over 12 groups (patients)`, or why there is none."""
    if interval is None:
        return "no interval: it is no sum over documents"
    if interval["low"] is None:
        return f"no interval: a single {interval['over'].removesuffix('s')}"
    over = "groups (patients)" if interval["over"] == "groups" else "documents"
    return f"95% interval {interval['low']:.3f} to {interval['high']:.3f} over {interval['units']:,} {over}"


def _units(kept: Kept) -> Units:
    return Units.of(kept["ids"], kept["groups"])


def _totals(seeds: Sequence[Kept], units: Units) -> Numbers:
    """(U, S, K) what each unit adds to the score of each seed."""
    return np.stack([units.summed(np.array(one["totals"], dtype=np.float64)) for one in seeds], axis=1)


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
        return difference(partial(_summed_draws, np.moveaxis(rows, axis, -1)))

    drawn = bootstrap(
        (np.arange(len(a_DSK)),),
        statistic,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, BATCHED_NUMBERS // len(a_DSK)),
        confidence_level=CONFIDENCE,
        # Its BCa draws every jackknife sample by its indices: 50,000 documents would take minutes.
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    value = float(difference(lambda every: every.sum(axis=0)))
    low, high = _bca(drawn.bootstrap_distribution, value, without_one)
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def _summed_draws(rows_RD: NDArray[np.int64], every_DSK: Numbers) -> Numbers:
    """(R, S, K) sums over drawn documents: how often each was drawn, times what it adds."""
    draws, documents = len(rows_RD), len(every_DSK)
    places = (rows_RD + documents * np.arange(draws)[:, None]).ravel()
    times_RD = np.bincount(places, minlength=draws * documents).reshape(draws, documents)
    sums: Numbers = times_RD.astype(np.float64) @ every_DSK.reshape(documents, -1)
    return sums.reshape(draws, *every_DSK.shape[1:])


def _bca(drawn: Numbers, value: float, without_one: Numbers) -> tuple[float, float]:
    """Efron's interval of drawn values: percentiles moved by their bias and by how the spread changes with
    the value. Not finite where all draws lie on one side."""
    away = without_one.mean() - without_one
    acceleration = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    bias = ndtri(((drawn < value).mean() + (drawn <= value).mean()) / 2)
    ends = bias + ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    with np.errstate(invalid="ignore"):
        shares = ndtr(bias + ends / (1 - acceleration * ends))
    if not np.isfinite(shares).all():
        return math.nan, math.nan
    low, high = np.quantile(drawn, shares)
    return float(low), float(high)


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
