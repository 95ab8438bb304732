"""AUROC of any documents at once: from how likely each class is for each of them.

It is no sum over documents, but the sum over pairs of one that is of a class and one that isn't, of
whether the first is likelier (of equals a half): which follows from histograms of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

AUROC = "AUROC"


class Rankings:
    """AUROC of each class against the others, averaged over the classes that have one, then over seeds.

    Args:
        seeds: (D, 2C) of each seed: for each class, whether a document is of it (1 or 0), and how likely
            that seemed. The same documents, and what is true of them, in all.
        unit_D: the unit of each document, counted from 0: what is drawn.
        count: of the units.
    """

    def __init__(self, seeds: Sequence[Numbers], unit_D: Places, count: int) -> None:
        self.shape = (len(seeds), *seeds[0].shape)
        self.count, self._unit_D = count, unit_D
        self._wanted_CD = seeds[0][:, 0::2].T
        # Of probabilities only their order is used: their places, from 0, equals at one.
        self._place_SCD = [
            [np.unique(column, return_inverse=True)[1] for column in totals_DK[:, 1::2].T]
            for totals_DK in seeds
        ]

    def of_all(self) -> float:
        """That of all documents; not a number where there is none."""
        return float(self.of_drawn(np.ones((1, self.count)))[0])

    def of_all_but_one(self) -> Numbers:
        """(U,) that of all documents but a unit's."""
        return _mean([self._left_out(places, wanted) for wanted, places in self._columns()], self.shape[0])

    def of_drawn(self, times_RU: Numbers) -> Numbers:
        """(R,) that of documents whose units count so often."""
        times_RD = times_RU[:, self._unit_D]
        by_column = []
        for wanted_D, place_D in self._columns():
            order = np.argsort(place_D, kind="stable")
            first = np.flatnonzero(np.diff(place_D[order], prepend=-1))
            counted_RD, is_wanted = times_RD[:, order], wanted_D[order]
            sides = (counted_RD * is_wanted, counted_RD * (1 - is_wanted))
            by_column.append(_auroc(*(np.add.reduceat(side, first, axis=1) for side in sides)))
        return _mean(by_column, self.shape[0])

    def exchange(self, other: Rankings, sign_RU: Numbers) -> Numbers:
        """(R,) this minus another's, what both say of units with the sign -1 exchanged.

        Their ranks are (Venkatraman and Begg 1996): two models' probabilities may be of other scales. A
        pair whose signs differ counts for what each of its documents has against the other's rival, so
        that the difference is a sum over documents, each with its sign.
        """
        both = zip(self._columns(), other._columns(), strict=True)
        parts = [_share_of_each(wanted_D, _twice_rank(a), _twice_rank(b)) for (wanted_D, a), (_, b) in both]
        part_D = np.nan_to_num(_mean(parts, self.shape[0]))
        return sign_RU @ np.bincount(self._unit_D, part_D, self.count)

    def _columns(self) -> list[tuple[Numbers, Places]]:
        """What is true, and the places, of each seed and class."""
        return [
            (wanted_D, place_D)
            for place_CD in self._place_SCD
            for wanted_D, place_D in zip(self._wanted_CD, place_CD, strict=True)
        ]

    def _left_out(self, place_D: Places, wanted_D: Numbers) -> Numbers:
        others_D = 1 - wanted_D

        def sum_of_units(of_D: Numbers) -> Numbers:
            return np.bincount(self._unit_D, of_D, self.count).astype(np.float64)

        beaten_D = wanted_D * _below(place_D, place_D, others_D)
        # Pairs that a unit's documents take part in, those within it once.
        lost_U = sum_of_units(
            beaten_D
            + others_D * (wanted_D.sum() - _below(place_D, place_D, wanted_D))
            - wanted_D * _below(place_D, place_D, others_D, self._unit_D)
        )
        pairs_U = (wanted_D.sum() - sum_of_units(wanted_D)) * (others_D.sum() - sum_of_units(others_D))
        return _share(beaten_D.sum() - lost_U, pairs_U)


def _share_of_each(wanted_D: Numbers, a_D: Places, b_D: Places) -> Numbers:
    """(D,) what each document adds to one AUROC minus another, by the places that two models give it."""

    def gained(weight_D: Numbers) -> Numbers:
        within = _below(a_D, a_D, weight_D) - _below(b_D, b_D, weight_D)
        crossed = _below(a_D, b_D, weight_D) - _below(b_D, a_D, weight_D)
        return (within + crossed) / 2

    others_D = 1 - wanted_D
    part_D = wanted_D * gained(others_D) - others_D * gained(wanted_D)
    return _share(part_D, np.full_like(part_D, wanted_D.sum() * others_D.sum()))


def auroc(totals_DK: Numbers) -> float:
    """That of one model's documents, see `Rankings`; 0 where there is none."""
    return float(np.nan_to_num(Rankings([totals_DK], np.arange(len(totals_DK)), len(totals_DK)).of_all()))


def _auroc(wanted_RL: Numbers, others_RL: Numbers) -> Numbers:
    """(R,) from how many documents, that are of a class and that aren't, are at each place."""
    below_RL = np.cumsum(others_RL, axis=1) - others_RL / 2
    return _share((wanted_RL * below_RL).sum(axis=1), wanted_RL.sum(axis=1) * others_RL.sum(axis=1))


def _share(won: Numbers, pairs: Numbers) -> Numbers:
    return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), np.nan)


def _mean(columns: Sequence[Numbers], seeds: int) -> Numbers:
    """(N,) over the classes that have an AUROC there, then over seeds."""
    found_SCN = np.stack(columns).reshape(seeds, -1, columns[0].shape[-1])
    has = np.isfinite(found_SCN)
    by_seed_SN = _share(np.where(has, found_SCN, 0).sum(axis=1), has.sum(axis=1).astype(np.float64))
    return by_seed_SN.mean(axis=0)


def _below(at_D: Places, place_D: Places, weight_D: Numbers, unit_D: Places | None = None) -> Numbers:
    """(D,) the weight of the documents whose place is lower than `at_D`, of equals the half.

    Args:
        at_D: a place for each.
        place_D: of the documents.
        weight_D: theirs.
        unit_D: of each, where only documents of the same unit are compared.
    """
    unit_D = np.zeros_like(place_D) if unit_D is None else unit_D
    width = int(max(at_D.max(), place_D.max())) + 1
    key_D, at_D, first_D = (unit_D * width + numbers for numbers in (place_D, at_D, np.zeros_like(place_D)))
    order = np.argsort(key_D, kind="stable")
    ordered, until = key_D[order], np.concatenate([[0.0], np.cumsum(weight_D[order])])
    low, high = np.searchsorted(ordered, at_D), np.searchsorted(ordered, at_D, "right")
    return (until[low] + until[high]) / 2 - until[np.searchsorted(ordered, first_D)]


def _twice_rank(place_D: Places) -> Places:
    """(D,) whole numbers: of equals the middle of their ranks, twice, from 0."""
    counts = np.bincount(place_D)
    return (2 * np.cumsum(counts) - counts - 1)[place_D]
