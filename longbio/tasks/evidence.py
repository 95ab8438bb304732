"""What each document adds to a score, so that any set of documents can be scored again at once.

F1, accuracy, a mean over questions and Pearson's correlation all follow from numbers that are summed
over documents. So a bootstrap over ten thousand draws of documents is a few products of matrices. AUROC
follows from how documents are ranked, see `tasks.ranking`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longbio.tasks.metrics import Counts, micro
from longbio.tasks.ranking import AUROC, auroc

Numbers = NDArray[np.float64]

ROUNDING = 1e-12
"""Of a variance, against its mean square: less is no spread."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """A score's parts: (D, K) what each document adds; one of `MEASURES` of their sum is the score. For
    `AUROC` what `Rankings` takes."""

    measure: str
    totals: Numbers

    @property
    def value(self) -> float:
        """The score of all documents."""
        if self.measure == AUROC:
            return auroc(self.totals)
        return float(MEASURES[self.measure](self.totals.sum(axis=0)))


def of_counts(documents: Sequence[dict[str, Counts]]) -> Evidence:
    """Micro F1 of things counted by type."""
    totals = np.array([micro(counts) for counts in documents], dtype=np.float64)
    return Evidence("micro F1", totals.reshape(-1, 3))


def of_counts_by_type(documents: Sequence[dict[str, Counts]], types: Iterable[str]) -> Evidence:
    """Macro F1 of things counted by type; types that occur nowhere count nothing. `types` are all there can
    be, so that two models' totals have the same columns."""
    labels = sorted({*types, *(label for counts in documents for label in counts)})
    rows = [[counts.get(label, Counts()) for label in labels] for counts in documents]
    return Evidence("macro F1", np.array(rows, dtype=np.float64).reshape(len(rows), 3 * len(labels)))


def of_means(sums: Sequence[float], counts: Sequence[int]) -> Evidence:
    """The mean of what is counted, a document having any number of it."""
    return Evidence("mean", np.array([sums, counts], dtype=np.float64).T.reshape(-1, 2))


def of_ranks(truth: Numbers, probabilities: Numbers) -> Evidence:
    """AUROC of classes against the others, averaged: (D, C) 1 where a document is of a class, else 0; (D, C)
    how likely it seemed."""
    return Evidence(AUROC, np.stack([truth, probabilities], axis=-1).reshape(len(truth), -1))


def of_pairs(gold: Sequence[float], predicted: Sequence[float]) -> Evidence:
    """Pearson's correlation."""
    # About their means, so that squares of large numbers don't swallow the differences.
    x, y = (np.asarray(side, dtype=np.float64) for side in (gold, predicted))
    x, y = x - x.mean(), y - y.mean()
    return Evidence("Pearson", np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1))


def _micro_f1(totals: Numbers) -> Numbers:
    right, wrong, missed = np.moveaxis(totals, -1, 0)
    return _share(2 * right, 2 * right + wrong + missed)


def _macro_f1(totals: Numbers) -> Numbers:
    by_type = totals.reshape(*totals.shape[:-1], -1, 3)
    occurs = by_type.sum(axis=-1) > 0
    return _share(_micro_f1(by_type).sum(axis=-1), occurs.sum(axis=-1))


def _mean(totals: Numbers) -> Numbers:
    return _share(totals[..., 0], totals[..., 1])


def _pearson(totals: Numbers) -> Numbers:
    count, x, y, xx, yy, xy = np.moveaxis(totals, -1, 0)
    spread_x, spread_y = count * xx - x * x, count * yy - y * y
    has_spread = (spread_x > ROUNDING * count * xx) & (spread_y > ROUNDING * count * yy)
    whole = np.sqrt(np.where(has_spread, spread_x * spread_y, 1))
    return np.where(has_spread, (count * xy - x * y) / whole, 0.0)


def _share(part: Numbers, whole: Numbers) -> Numbers:
    return part / np.where(whole == 0, 1, whole)


MEASURES: dict[str, Callable[[Numbers], Numbers]] = {
    "micro F1": _micro_f1,
    "macro F1": _macro_f1,
    "mean": _mean,
    "Pearson": _pearson,
}
"""(..., K) sums over documents to (...) scores."""
