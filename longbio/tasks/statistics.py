"""What a difference between two models is worth: over documents, with seeds averaged.

A score is a measure of numbers that documents add up (`tasks.evidence`), or of how they are ranked
(`tasks.ranking`), so documents can be drawn again without anything being predicted again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import permutation_test

from longbio.tasks.evidence import MEASURES
from longbio.tasks.ranking import AUROC, Rankings

Numbers = NDArray[np.float64]
Measure = Callable[[Numbers], Numbers]

RESAMPLES = 2000
PERMUTATIONS = 9999
CONFIDENCE = 0.95
BATCHED_NUMBERS = 4_000_000
NO_SPREAD = 1e-12


@dataclass(frozen=True, eq=False)
class Units:
    """What is drawn, the unit of each document, counted from 0: documents, or groups such as patients, whose
    notes are no independent draws."""

    unit_D: NDArray[np.int64]
    count: int
    kind: Literal["groups", "documents"]

    @classmethod
    def of(cls, groups: Sequence[str | None]) -> Units:
        """Documents of one group together, the others (None) each by itself. If all documents share one
        group, it is ignored."""
        names = [(n, None) if group is None else (-1, group) for n, group in enumerate(groups)]
        if len(set(names)) == 1:
            names = [(n, None) for n in range(len(groups))]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        kind: Literal["groups", "documents"] = "groups" if any(group for _, group in names) else "documents"
        return cls(np.array([numbers[name] for name in names], dtype=np.int64), len(numbers), kind)

    def sum_by_unit(self, totals_DK: Numbers) -> Numbers:
        """(U, K) what each unit adds to a score."""
        sums = np.zeros((self.count, totals_DK.shape[1]))
        np.add.at(sums, self.unit_D, totals_DK)
        return sums


Kept = Mapping[str, Any]
"""`Evidence` of a run as results keep it: `measure`, `ids`, `groups` and `totals`, of the same documents."""


def score_interval(seeds: Sequence[Kept]) -> dict[str, Any]:
    """A score, averaged over seeds, with its 95% interval over patients or documents; ready for JSON.

    Returns:
        `value`; `low` and `high`, None where there is a single unit, which says nothing of others, or nothing
        that can be ranked; `over`, groups or documents, and how many `units` of them.
    """
    units = Units.of(seeds[0]["groups"])
    scores = _scores(seeds, units)
    value, low, high = scores.of_all(), None, None
    if math.isnan(value):
        value = 0.0
    elif units.count > 1:
        low, high = interval(scores, None)
    return {"value": value, "low": low, "high": high, "over": units.kind, "units": units.count}


def difference(ours: Sequence[Kept], theirs: Sequence[Kept]) -> dict[str, Any] | None:
    """One model minus another, of what their results keep of the same seeds and documents, over patients or
    documents; ready for JSON.

    Returns:
        As `compare`, with `over` and `units`; None for a single unit.

    Raises:
        ValueError: the two are of other classes.
    """
    units = Units.of(ours[0]["groups"])
    compared = compare(_scores(ours, units), _scores(theirs, units))
    return compared and compared | {"over": units.kind, "units": units.count}


def interval_text(interval: Mapping[str, Any]) -> str:
    """`95% interval 0.845 to 0.922 over 12 groups (patients)`, or why there is none."""
    if interval["low"] is None and interval["units"] < 2:
        return f"no interval: a single {interval['over'].removesuffix('s')}"
    if interval["low"] is None:
        return "no interval: no class is true of some and not of others"
    over = "groups (patients)" if interval["over"] == "groups" else "documents"
    return f"95% interval {interval['low']:.3f} to {interval['high']:.3f} over {interval['units']:,} {over}"


class Sums:
    """A measure of what units add up, averaged over seeds, of all units and of any.

    Args:
        totals_USK: what each unit adds, for each seed.
        measure: (..., K) sums to (...) scores.

    Attributes:
        shape: of what it is made of: two models that are compared have the same.
        count: of the units.
    """

    def __init__(self, totals_USK: Numbers, measure: Measure) -> None:
        self.shape, self.count = totals_USK.shape, len(totals_USK)
        self._totals_USK, self._measure = totals_USK, measure

    def of_all(self) -> float:
        """The score."""
        return float(self._score(self._totals_USK.sum(axis=0)))

    def of_all_but_one(self) -> Numbers:
        """(U,) without each unit."""
        return self._score(self._totals_USK.sum(axis=0) - self._totals_USK)

    def of_drawn(self, times_RU: Numbers) -> Numbers:
        """(R,) of units that count so often."""
        return self._score(self._combine(times_RU, self._totals_USK))

    def exchange(self, other: Sums, sign_RU: Numbers) -> Numbers:
        """(R,) this minus another's, what both say of units with the sign -1 exchanged."""
        a, b = self._totals_USK, other._totals_USK
        whole, swing = (a + b).sum(axis=0), self._combine(sign_RU, a - b)
        return self._score((whole + swing) / 2) - self._score((whole - swing) / 2)

    def _combine(self, factor_RU: Numbers, totals_USK: Numbers) -> Numbers:
        """(R, S, K)."""
        sums: Numbers = factor_RU @ totals_USK.reshape(self.count, -1)
        return sums.reshape(len(factor_RU), *totals_USK.shape[1:])

    def _score(self, sums: Numbers) -> Numbers:
        """(...) of (..., S, K)."""
        return self._measure(sums).mean(axis=-1)


S = TypeVar("S", Sums, Rankings)
"""A model's score, averaged over seeds; two models that are compared have the same kind."""


def _scores(seeds: Sequence[Kept], units: Units) -> Any:
    """`S` of what results keep."""
    totals = [np.array(one["totals"], dtype=np.float64) for one in seeds]
    measure = seeds[0]["measure"]
    if measure == AUROC:
        return Rankings(totals, units.unit_D, units.count)
    return Sums(np.stack([units.sum_by_unit(one) for one in totals], axis=1), MEASURES[measure])


def compare(ours: S, theirs: S) -> dict[str, Any] | None:
    """The difference of two models over documents, seeds averaged.

    Returns:
        The `difference` of their mean scores, `low` and `high`, the ends of its 95% interval, and `p` of the
        two-sided permutation test: how often models that are alike would differ as much. None for a single
        unit: it says nothing of others.

    Raises:
        ValueError: the two are of other documents or classes.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"evidence of {ours.shape} and of {theirs.shape}")
    difference = ours.of_all() - theirs.of_all()
    if ours.count < 2 or math.isnan(difference):
        return None
    low, high = interval(ours, theirs)
    return {"difference": difference, "low": low, "high": high, "p": permuted_p(ours, theirs)}


def interval(ours: S, theirs: S | None) -> tuple[float, float]:
    """The 95% BCa bootstrap interval (Efron 1987) of a model's score, or of its difference to another's,
    documents drawn in pairs.

    Where BCa has no answer, because all draws lie on one side of the value, it is the interval of
    percentiles; where every document says the same, there is no spread. Draws that have no score, because
    nothing in them can be ranked, are left out.
    """
    value = ours.of_all() - (0.0 if theirs is None else theirs.of_all())
    without_one = ours.of_all_but_one() - (0.0 if theirs is None else theirs.of_all_but_one())
    without_one = without_one[np.isfinite(without_one)]
    if not len(without_one) or np.ptp(without_one) < NO_SPREAD:
        return value, value

    # SciPy's BCa draws every jackknife sample by its indices: 50,000 documents would take minutes. And its
    # percentiles want a score of every draw.
    rng, drawn = np.random.default_rng(0), np.empty(RESAMPLES)
    batch = max(1, BATCHED_NUMBERS // ours.shape[1])
    for start in range(0, RESAMPLES, batch):
        rows_RU = rng.integers(0, ours.count, (min(batch, RESAMPLES - start), ours.count))
        times_RU = _times(rows_RU, ours.count)
        scores = ours.of_drawn(times_RU) - (0.0 if theirs is None else theirs.of_drawn(times_RU))
        drawn[start : start + batch] = scores
    drawn = drawn[np.isfinite(drawn)]
    low, high = _bca(drawn, value, without_one)
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _times(rows_RU: NDArray[np.int64], count: int) -> Numbers:
    """(R, U) how often each unit was drawn."""
    places = (rows_RU + count * np.arange(len(rows_RU))[:, None]).ravel()
    return np.bincount(places, minlength=len(rows_RU) * count).reshape(-1, count).astype(np.float64)


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


def permuted_p(ours: S, theirs: S) -> float:
    """Two-sided p of a paired permutation test: each document's two results are swapped or not.

    Exact where that can be done in fewer than 10,000 ways.
    """

    def statistic(first: Numbers, second: Numbers, axis: int = -1) -> Numbers:
        # A unit's sign says whether its two results are exchanged.
        sign = np.moveaxis(first, axis, -1)
        return ours.exchange(theirs, sign.reshape(-1, ours.count)).reshape(sign.shape[:-1])

    tested = permutation_test(
        (np.ones(ours.count), -np.ones(ours.count)),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=max(1, BATCHED_NUMBERS // max(ours.shape[1], math.prod(ours.shape) // ours.count)),
        alternative="two-sided",
        rng=np.random.default_rng(0),
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
