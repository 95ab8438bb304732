"""Classes of documents, and how alike two texts are, as scikit-learn and SciPy score them.

A share of nothing is 0. A class that is neither true nor predicted anywhere stands in no mean of F1, as
in scikit-learn's macro F1 of one class a document; and one that is true of all documents or of none has
no AUROC and no AUPRC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from longbio.tasks.metrics import Counts, macro_f1, micro

Numbers = NDArray[Any]
Flags = NDArray[np.bool_]

EVEN = 0.5
"""The threshold where there is no reason for another."""


def class_scores(
    gold: Sequence[str], probabilities: Numbers, classes: Sequence[str], *, negative: str | None = None
) -> dict[str, Any]:
    """Score documents of one class each; the likeliest is predicted, the first of equals.

    Args:
        gold: the true class of each document.
        probabilities: (D, C) of each document and class.
        classes: the C classes.
        negative: the class that says that there is nothing, such as `false` of ChemProt. It counts in
            `accuracy` and has its own scores, and is left out of everything that is summed or averaged
            over classes.

    Returns:
        `accuracy`; `micro_f1`, `macro_f1`, `auroc`, `auprc` (each class against the others, averaged;
        None when no class has one) and `unranked`, the classes that have none; `classes`, by name:
        `precision`, `recall`, `f1`, `support`, `auroc`, `auprc`; `confusion`, (C, C) counts with a row
        for each true class. Ready for JSON.

    Raises:
        ValueError: there are no documents, shapes don't fit, a probability isn't finite, or a class is
            unknown.
    """
    truth = _flags([(label,) for label in gold], classes)
    _check(truth, probabilities)
    if negative is not None and negative not in classes:
        raise ValueError(f"the negative class {negative!r} is not among {list(classes)}")
    wanted, chosen = truth.argmax(axis=1), probabilities.argmax(axis=1)
    predicted = chosen[:, None] == np.arange(len(classes))
    return {
        "accuracy": float((wanted == chosen).mean()),
        **_by_class(truth, predicted, probabilities, classes, negative),
        "confusion": (truth.T.astype(int) @ predicted).tolist(),
    }


def label_scores(
    gold: Sequence[Collection[str]],
    probabilities: Numbers,
    labels: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score documents of any number of labels each; BLURB's HoC is `micro_f1`.

    Args:
        gold: the true labels of each document.
        probabilities: (D, L) of each document and label.
        labels: the L labels.
        thresholds: a label is predicted where its probability is at least this; 0.5 when None.

    Returns:
        `subset_accuracy`, the share of documents with just the right labels; the rest as `class_scores`,
        but for `confusion`. Ready for JSON.

    Raises:
        ValueError: there are no documents, shapes don't fit, a probability isn't finite, or a label is
            unknown.
    """
    truth = _flags(gold, labels)
    _check(truth, probabilities)
    if thresholds is not None and len(thresholds) != len(labels):
        raise ValueError(f"{len(thresholds)} thresholds for {len(labels)} labels")
    predicted = probabilities >= (EVEN if thresholds is None else np.asarray(thresholds))
    return {
        "subset_accuracy": float((truth == predicted).all(axis=1).mean()),
        **_by_class(truth, predicted, probabilities, labels),
    }


def tuned_thresholds(
    gold: Sequence[Collection[str]], probabilities: Numbers, labels: Sequence[str]
) -> list[float]:
    """For each label, the threshold with the best F1 on development documents; gold and probabilities as of
    `label_scores`.

    Tried are 0.5, the middle between neighbouring probabilities, and half the lowest. Of equally good ones
    the nearest to 0.5 is taken, the lower of two; so a label that is never true keeps 0.5.
    """
    truth = _flags(gold, labels)
    _check(truth, probabilities)
    return [_best_threshold(*column) for column in zip(truth.T, probabilities.T, strict=True)]


def similarity_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, Any]:
    """How well the scores given to pairs follow the true ones.

    Returns:
        `pearson` and `spearman`; and `constant`, True where one side is the same for all pairs or there are
        fewer than two, so that there is no correlation, and both are given as 0.

    Raises:
        ValueError: the sides differ in length, or a score is not finite.
    """
    sides = [np.asarray(side, dtype=float) for side in (gold, predicted)]
    if sides[0].shape != sides[1].shape:
        raise ValueError(f"{len(gold)} true scores and {len(predicted)} predicted ones")
    if not all(np.isfinite(side).all() for side in sides):
        raise ValueError("scores are not finite")
    if any(_is_constant(side) for side in sides):
        return {"pearson": 0.0, "spearman": 0.0, "constant": True}
    return {
        "pearson": float(pearsonr(*sides).statistic),
        "spearman": float(spearmanr(*sides).statistic),
        "constant": False,
    }


def _by_class(
    truth: Flags,
    predicted: Flags,
    probabilities: Numbers,
    names: Sequence[str],
    negative: str | None = None,
) -> dict[str, Any]:
    """Scores of each class and their means, from (D, C) what is true, predicted and how likely."""
    columns = zip(names, truth.T, predicted.T, probabilities.T, strict=True)
    counts: dict[str, Counts] = {}
    classes: dict[str, dict[str, Any]] = {}
    for name, true_D, predicted_D, probability_D in columns:
        both = int((true_D & predicted_D).sum())
        counts[name] = Counts(both, int(predicted_D.sum()) - both, int(true_D.sum()) - both)
        classes[name] = {
            **counts[name].shares(),
            "support": int(true_D.sum()),
            **_ranking(true_D, probability_D),
        }

    averaged = [name for name in names if name != negative]
    occurring = {name: counts[name] for name in averaged if counts[name] != Counts()}
    ranked = [classes[name] for name in averaged if classes[name]["auroc"] is not None]
    return {
        "micro_f1": micro(occurring).f1,
        "macro_f1": macro_f1(occurring),
        "auroc": _mean([scores["auroc"] for scores in ranked]),
        "auprc": _mean([scores["auprc"] for scores in ranked]),
        "unranked": len(averaged) - len(ranked),
        "classes": classes,
    }


def _ranking(wanted: Flags, likely: Numbers) -> dict[str, float | None]:
    if wanted.all() or not wanted.any():
        return {"auroc": None, "auprc": None}
    return {
        "auroc": float(roc_auc_score(wanted, likely)),
        "auprc": float(average_precision_score(wanted, likely)),
    }


def _best_threshold(wanted: Flags, likely: Numbers) -> float:
    order = np.argsort(likely, kind="stable")
    ordered, levels = likely[order].astype(float), np.unique(likely).astype(float)
    middles = (levels[1:] + levels[:-1]) / 2
    thresholds = np.concatenate([[EVEN, levels[0] / 2], middles])

    below = np.searchsorted(ordered, thresholds, side="left")
    true_below = np.concatenate([[0], np.cumsum(wanted[order])])[below]
    positives, num_predicted = wanted.sum(), len(wanted) - below
    f1 = 2 * (positives - true_below) / np.maximum(positives + num_predicted, 1)
    best = thresholds[f1 == f1.max()].tolist()
    return float(min(best, key=lambda threshold: (abs(threshold - EVEN), threshold)))


def _flags(gold: Sequence[Collection[str]], names: Sequence[str]) -> Flags:
    """(D, C) True where a document is of a class."""
    unknown = {label for labels in gold for label in labels} - {*names}
    if unknown:
        raise ValueError(f"{sorted(unknown)} are not among {list(names)}")
    flags = np.zeros((len(gold), len(names)), dtype=bool)
    for row, labels in zip(flags, gold, strict=True):
        row[[names.index(label) for label in labels]] = True
    return flags


def _check(truth: Flags, probabilities: Numbers) -> None:
    if not truth.size:
        raise ValueError("there are no documents or no classes to score")
    if probabilities.shape != truth.shape:
        raise ValueError(f"probabilities {probabilities.shape} for documents and classes {truth.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities are not finite")


def _is_constant(side: Numbers) -> bool:
    """Whether differences, if any, are no more than rounding: SciPy warns of such."""
    return len(side) < 2 or bool(np.ptp(side) <= 1e-12 * np.abs(side).max())


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
