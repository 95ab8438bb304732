"""Differences between models: against numbers worked by hand, SciPy's own answers, known coverage."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

from longbio.tasks import statistics
from longbio.tasks.evidence import MEASURES
from longbio.tasks.statistics import Sums, Units, difference, holm, interval_text, permuted_p, score_interval

MEAN, MICRO = MEASURES["mean"], MEASURES["micro F1"]


def means(values: np.ndarray) -> np.ndarray:
    """(S, D) values as evidence of their mean."""
    return np.stack([values, np.ones_like(values)], axis=-1)


def counts(draw: np.random.Generator, seeds: int, documents: int, found: float) -> np.ndarray:
    """Random counts of found, made up and missed mentions; each document has five true ones."""
    right = draw.binomial(5, found, (seeds, documents))
    return np.stack([right, draw.poisson(1.0, right.shape), 5 - right], axis=-1).astype(float)


def by_documents(evidence: np.ndarray) -> np.ndarray:
    return np.moveaxis(evidence, 1, 0)


def compare(ours: np.ndarray, theirs: np.ndarray, measure: Any) -> SimpleNamespace | None:
    found = statistics.compare(*(Sums(by_documents(each), measure) for each in (ours, theirs)))
    return None if found is None else SimpleNamespace(**found)


def interval(ours: np.ndarray, theirs: np.ndarray, measure: Any) -> tuple[float, float]:
    return statistics.interval(Sums(ours, measure), Sums(theirs, measure))


def test_every_exchange_of_four_documents_by_hand() -> None:
    ours, theirs = np.array([[1.0, 1.0, 1.0, 0.0]]), np.array([[0.0, 0.0, 0.0, 0.0]])
    found = compare(means(ours), means(theirs), MEAN)
    assert found is not None
    assert found.difference == pytest.approx(0.75)
    # Three documents differ by 1. Of 16 exchanges 2 give +3, and 2 give -3: 2 * 2/16.
    assert found.p == pytest.approx(0.25)


def test_f1_is_of_each_seed_before_seeds_are_averaged() -> None:
    """One seed finds 1 of 1, the other 1 of 4 with 5 wrong: (1 + 2/10) / 2, not the 4/11 of both together."""
    ours = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, 5.0, 3.0], [0.0, 0.0, 0.0]]])
    theirs = np.zeros_like(ours)
    found = compare(ours, theirs, MICRO)
    assert found is not None
    assert found.difference == pytest.approx(0.6)


@pytest.mark.parametrize("seed", range(8))
def test_f1_is_exchanged_before_it_is_computed(seed: int) -> None:
    draw = np.random.default_rng(seed)
    ours, theirs = counts(draw, 2, 6, 0.7), counts(draw, 2, 6, 0.5)

    def difference(signs: tuple[int, ...]) -> float:
        swap = np.array(signs)[None, :, None] < 0
        a, b = np.where(swap, theirs, ours), np.where(swap, ours, theirs)
        return float((MICRO(a.sum(axis=1)) - MICRO(b.sum(axis=1))).mean())

    every = [difference(signs) for signs in itertools.product((1, -1), repeat=6)]
    observed = difference((1,) * 6)
    above = np.mean([value >= observed - 1e-12 for value in every])
    below = np.mean([value <= observed + 1e-12 for value in every])
    expected = min(1.0, 2 * min(above, below))
    assert permuted_p(Sums(by_documents(ours), MICRO), Sums(by_documents(theirs), MICRO)) == pytest.approx(
        expected
    )


def test_a_mean_has_scipys_own_interval_and_p() -> None:
    draw = np.random.default_rng(2)
    values = draw.normal(0.3, 1.0, (1, 40))
    zero = np.zeros_like(values)
    ours, theirs = by_documents(means(values)), by_documents(means(zero))
    low, high = interval(ours, theirs, MEAN)
    known = bootstrap((values[0],), np.mean, n_resamples=2000, rng=np.random.default_rng(0))
    assert (low, high) == pytest.approx(tuple(known.confidence_interval), abs=1e-9)

    def difference(x, y, axis):
        return np.mean(x, axis=axis) - np.mean(y, axis=axis)

    tested = permutation_test(
        (values[0], zero[0]),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    assert permuted_p(Sums(ours, MEAN), Sums(theirs, MEAN)) == pytest.approx(tested.pvalue, abs=1e-9)


def test_seeds_are_averaged_and_documents_drawn() -> None:
    """A seed that is better by the same everywhere moves the difference and makes it no surer."""
    draw = np.random.default_rng(3)
    one = draw.normal(0.0, 1.0, 30)
    ours, theirs = means(np.stack([one, one + 1.0])), means(np.zeros((2, 30)))
    both = compare(ours, theirs, MEAN)
    alone = compare(ours[:1], theirs[:1], MEAN)
    assert both is not None
    assert alone is not None
    assert both.difference == pytest.approx(alone.difference + 0.5)
    assert both.high - both.low == pytest.approx(alone.high - alone.low, abs=1e-9)


@pytest.mark.parametrize(("measure", "covered"), [("mean", (0.88, 0.98)), ("micro F1", (0.88, 0.98))])
def test_the_interval_covers_the_truth_as_often_as_it_says(
    measure: str, covered: tuple[float, float]
) -> None:
    draw, hits, runs = np.random.default_rng(4), 0, 150
    truth = 0.5
    if measure == "micro F1":
        # Large-sample F1 of `counts`: 2tp / (2tp + fp + fn), tp = 5q, fp = 1, fn = 5 - 5q.
        truth = 7.0 / (7.0 + 1 + 1.5) - 5.0 / (5.0 + 1 + 2.5)
    for _ in range(runs):
        if measure == "mean":
            shared = draw.normal(0, 1, (1, 40))
            ours, theirs = means(shared + draw.normal(truth, 0.8, shared.shape)), means(shared)
        else:
            ours, theirs = counts(draw, 1, 40, 0.7), counts(draw, 1, 40, 0.5)
        low, high = interval(by_documents(ours), by_documents(theirs), MEASURES[measure])
        hits += low <= truth <= high
    assert covered[0] <= hits / runs <= covered[1]


def test_models_that_are_alike_are_rarely_told_apart() -> None:
    draw, runs = np.random.default_rng(5), 200
    small = [
        permuted_p(*(Sums(by_documents(counts(draw, 1, 12, 0.6)), MICRO) for _ in "ab")) for _ in range(runs)
    ]
    assert np.mean([p <= 0.05 for p in small]) <= 0.09
    assert np.mean([p <= 0.5 for p in small]) >= 0.3


def test_the_same_model_twice_has_no_spread() -> None:
    ours = counts(np.random.default_rng(6), 3, 10, 0.5)
    found = compare(ours, ours, MICRO)
    assert found is not None
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_documents_that_all_say_the_same_have_no_spread() -> None:
    found = compare(means(np.ones((1, 8))), means(np.zeros((1, 8))), MEAN)
    assert found is not None
    assert (found.low, found.high) == (1.0, 1.0)
    assert found.p == pytest.approx(2 / 2**8)


def test_one_odd_document_still_has_an_interval() -> None:
    """Draws pile up at one value; whatever BCa makes of it, the answer is numbers."""
    values = np.zeros((1, 9))
    values[0, 0] = 1.0
    low, high = interval(by_documents(means(values)), by_documents(means(np.zeros((1, 9)))), MEAN)
    assert 0.0 <= low <= 1 / 9 <= high <= 1.0


def test_a_single_document_says_nothing_of_others() -> None:
    assert compare(means(np.ones((1, 1))), means(np.zeros((1, 1))), MEAN) is None


def test_other_documents_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="evidence of"):
        compare(means(np.ones((1, 3))), means(np.ones((1, 2))), MEAN)


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04 -> never falling: 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_where_bca_has_no_answer_percentiles_have() -> None:
    """A score that is whole only with every document there: no draw reaches it."""
    ours = np.eye(12)[None]

    def measure(totals: np.ndarray) -> np.ndarray:
        return totals.min(axis=-1) + 0.01 * totals[..., 0]

    low, high = interval(by_documents(ours), by_documents(np.zeros_like(ours)), measure)
    assert 0.0 <= low < high < 0.1


def kept(right: list[float], groups: list[str | None]) -> dict[str, Any]:
    """What a run's results keep of a mean over documents."""
    ids = [f"note-{number}" for number in range(len(right))]
    return {"measure": "mean", "ids": ids, "groups": groups, "totals": [[each, 1.0] for each in right]}


def test_documents_of_a_patient_are_one_draw() -> None:
    units = Units.of(["b", "a", "b", "c", None])
    assert (units.count, units.kind) == (4, "groups")
    totals = np.array([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0], [5.0, 6.0], [7.0, 7.0]])
    assert units.sum_by_unit(totals).tolist() == [[11, 22], [3, 4], [5, 6], [7, 7]], (
        "a document named b is no group b"
    )


@pytest.mark.parametrize("groups", [["all"] * 3, [None] * 3])
def test_without_groups_each_document_stands_for_itself(groups: list[str | None]) -> None:
    """If all documents share one group, it is ignored."""
    units = Units.of(groups)
    assert (units.unit_D.tolist(), units.count, units.kind) == ([0, 1, 2], 3, "documents")


def test_notes_of_a_patient_that_say_the_same_make_nothing_surer() -> None:
    """14 notes of each patient, all right or all wrong: the interval is that of 12 numbers, not of 168."""
    right = [float(patient % 3 > 0) for patient in range(12)]
    notes = [value for value in right for _ in range(14)]
    grouped = score_interval([kept(notes, [f"p{n // 14}" for n in range(168)])])
    alone = score_interval([kept(right, [None] * 12)])
    blind = score_interval([kept(notes, [None] * 168)])
    assert grouped is not None
    assert alone is not None
    assert blind is not None
    assert grouped["value"] == pytest.approx(2 / 3)
    assert [grouped[end] for end in ("low", "high")] == pytest.approx([alone[end] for end in ("low", "high")])
    assert (grouped["high"] - grouped["low"]) / (blind["high"] - blind["low"]) == pytest.approx(
        14**0.5, rel=0.15
    )
    assert interval_text(grouped).endswith(" over 12 groups (patients)")
    assert interval_text(grouped).startswith("95% interval 0.")
    assert interval_text(blind).endswith(" over 168 documents")


def test_where_there_is_no_interval_it_is_said_why() -> None:
    assert interval_text(score_interval([kept([1.0], [None])])) == "no interval: a single document"


def test_a_difference_is_over_patients_too() -> None:
    groups: list[str | None] = ["a", "a", "b", "b", "c"]
    found = difference([kept([1, 1, 1, 0, 1], groups)], [kept([0, 0, 0, 0, 0], groups)])
    assert found is not None
    assert (found["over"], found["units"]) == ("groups", 3)
    assert found["p"] == pytest.approx(0.25)
    assert found["difference"] == pytest.approx(0.8)
    assert found["low"] <= 0.8 <= found["high"]
    assert difference([kept([1], [None])], [kept([0], [None])]) is None
