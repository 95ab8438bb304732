"""Classes by hand, and as scikit-learn and SciPy score them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from longbio.tasks.classes import class_scores, label_scores, similarity_scores, tuned_thresholds

CLASSES = ("false", "up", "down")


def one_hot(*classes: str) -> np.ndarray:
    return np.array([[float(name == each) for name in CLASSES] for each in classes])


def test_one_class_worked_by_hand() -> None:
    gold = ["false", "false", "up", "up", "down"]
    scores = class_scores(gold, one_hot("false", "up", "up", "false", "up"), CLASSES, negative="false")
    assert scores["accuracy"] == pytest.approx(2 / 5)
    # up: one found of two, three predicted; down: missed; false left out.
    assert scores["micro_f1"] == pytest.approx(2 * 1 / (2 * 1 + 2 + 2))
    assert scores["macro_f1"] == pytest.approx((2 / 5 + 0) / 2)
    assert scores["classes"]["false"]["f1"] == pytest.approx(1 / 2)
    assert scores["classes"]["up"]["precision"] == pytest.approx(1 / 3)
    assert scores["classes"]["up"]["support"] == 2
    assert scores["confusion"] == [[1, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert class_scores(gold, one_hot(*gold), CLASSES)["micro_f1"] == 1
    assert json.loads(json.dumps(scores)) == scores


def test_a_class_that_is_nowhere_is_in_no_mean() -> None:
    scores = class_scores(["up", "false"], one_hot("up", "false"), CLASSES)
    assert scores["macro_f1"] == scores["auroc"] == scores["auprc"] == 1
    assert scores["unranked"] == 1
    assert scores["classes"]["down"] == {
        "precision": 0,
        "recall": 0,
        "f1": 0,
        "support": 0,
        "auroc": None,
        "auprc": None,
    }


def test_where_all_are_of_one_class_nothing_is_ranked() -> None:
    scores = class_scores(["up", "up"], one_hot("up", "up"), CLASSES)
    assert scores["auroc"] is scores["auprc"] is None
    assert scores["unranked"] == 3


def drawn(data: st.DataObject, num_classes: int) -> np.ndarray:
    """Probabilities on a grid, so that some are equal."""
    num_documents = data.draw(st.integers(1, 8))
    cells = st.integers(0, 10).map(lambda n: n / 10)
    rows = data.draw(
        st.lists(st.tuples(*[cells] * num_classes), min_size=num_documents, max_size=num_documents)
    )
    return np.array(rows)


def assert_ranked(scores: dict, truth: np.ndarray, probabilities: np.ndarray, averaged: list[int]) -> None:
    columns = [c for c in averaged if 0 < truth[:, c].sum() < len(truth)]
    assert scores["unranked"] == len(averaged) - len(columns)
    for name, score in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        theirs = [score(truth[:, c], probabilities[:, c]) for c in columns]
        assert scores[name] == (pytest.approx(np.mean(theirs)) if theirs else None)
        ours = [each[name] for each in scores["classes"].values()]
        assert [ours[c] for c in columns] == pytest.approx(theirs)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_one_class_as_scikit_learn_scores_it(data: st.DataObject) -> None:
    probabilities = drawn(data, 3)
    gold = [data.draw(st.sampled_from(CLASSES)) for _ in probabilities]
    found = [CLASSES[c] for c in probabilities.argmax(axis=1)]
    for negative, averaged in ((None, [0, 1, 2]), ("false", [1, 2])):
        scores = class_scores(gold, probabilities, CLASSES, negative=negative)
        labels = [CLASSES[c] for c in averaged]
        occurring = [label for label in labels if label in gold or label in found]
        assert scores["accuracy"] == pytest.approx(accuracy_score(gold, found))
        if occurring:
            for average in ("micro", "macro"):
                theirs = f1_score(gold, found, labels=occurring, average=average, zero_division=0)
                assert scores[f"{average}_f1"] == pytest.approx(theirs)
        else:
            assert scores["micro_f1"] == scores["macro_f1"] == 0
        assert scores["confusion"] == confusion_matrix(gold, found, labels=CLASSES).tolist()
        each = precision_recall_fscore_support(gold, found, labels=CLASSES, zero_division=0)
        for number, name in enumerate(("precision", "recall", "f1", "support")):
            assert [c[name] for c in scores["classes"].values()] == pytest.approx(each[number].tolist())
        truth = np.array(gold)[:, None] == np.array(CLASSES)
        assert_ranked(scores, truth, probabilities, averaged)


LABELS = ("fever", "cough", "rash")


def test_labels_worked_by_hand() -> None:
    gold = [("fever",), ("fever", "cough"), ()]
    probabilities = np.array([[0.9, 0.1, 0.0], [0.4, 0.5, 0.0], [0.3, 0.2, 0.0]])
    scores = label_scores(gold, probabilities, LABELS)
    assert scores["subset_accuracy"] == pytest.approx(2 / 3)
    assert scores["micro_f1"] == pytest.approx(2 * 2 / (2 * 2 + 0 + 1))
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert scores["unranked"] == 1
    assert label_scores(gold, probabilities, LABELS, [0.35, 0.5, 0.5])["micro_f1"] == 1
    assert json.loads(json.dumps(scores)) == scores


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_labels_as_scikit_learn_scores_them(data: st.DataObject) -> None:
    probabilities = drawn(data, 3)
    gold = [data.draw(st.sets(st.sampled_from(LABELS))) for _ in probabilities]
    thresholds = [0.3, 0.5, 0.65]
    truth = np.array([[label in labels for label in LABELS] for labels in gold])
    found = probabilities >= thresholds

    scores = label_scores(gold, probabilities, LABELS, thresholds)
    assert scores["subset_accuracy"] == pytest.approx(accuracy_score(truth, found))
    assert scores["micro_f1"] == pytest.approx(f1_score(truth, found, average="micro", zero_division=0))
    occurring = (truth | found).any(axis=0)
    each = f1_score(truth, found, average=None, zero_division=0)
    assert [c["f1"] for c in scores["classes"].values()] == pytest.approx(each.tolist())
    assert scores["macro_f1"] == pytest.approx(each[occurring].mean() if occurring.any() else 0)
    assert_ranked(scores, truth, probabilities, [0, 1, 2])


def test_a_single_label() -> None:
    scores = label_scores([("fever",), ()], np.array([[0.9], [0.7]]), ["fever"])
    assert scores["micro_f1"] == pytest.approx(2 / 3)
    assert scores["auroc"] == 1


def f1_at(threshold: float, truth: np.ndarray, likely: np.ndarray) -> float:
    found = likely >= threshold
    return 2 * (truth & found).sum() / max(truth.sum() + found.sum(), 1)


def test_thresholds_worked_by_hand() -> None:
    gold = [("fever",), ("fever", "cough"), ("cough",), ()]
    probabilities = np.array([[0.4, 0.1, 0.9], [0.3, 0.9, 0.9], [0.1, 0.8, 0.9], [0.0, 0.7, 0.9]])
    # fever: between 0.1 and 0.3. cough: anything from 0.7 to 0.8. rash: never true.
    assert tuned_thresholds(gold, probabilities, LABELS) == pytest.approx([0.2, 0.75, 0.5])


def test_half_is_kept_where_it_is_as_good_as_any() -> None:
    assert tuned_thresholds([("fever",), ()], np.array([[0.9], [0.02]]), ["fever"]) == [0.5]
    assert tuned_thresholds([("fever",)], np.array([[0.4]]), ["fever"]) == [0.2]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_threshold_is_better(data: st.DataObject) -> None:
    probabilities = drawn(data, 1)
    gold = [data.draw(st.sets(st.just("fever"))) for _ in probabilities]
    truth = np.array([bool(labels) for labels in gold])
    (threshold,) = tuned_thresholds(gold, probabilities, ["fever"])
    best = max(f1_at(n / 40, truth, probabilities[:, 0]) for n in range(45))
    assert f1_at(threshold, truth, probabilities[:, 0]) == pytest.approx(best)
    if f1_at(0.5, truth, probabilities[:, 0]) == pytest.approx(best):
        assert threshold == 0.5


@pytest.mark.parametrize(
    ("gold", "probabilities", "what"),
    [
        (["up"], np.zeros((1, 2)), "probabilities"),
        (["up", "up"], np.zeros((1, 3)), "probabilities"),
        (["up"], np.full((1, 3), math.nan), "finite"),
        (["sideways"], np.zeros((1, 3)), "sideways"),
        ([], np.zeros((0, 3)), "no documents"),
    ],
    ids=["classes", "documents", "NaN", "unknown", "nothing"],
)
def test_what_can_not_be_scored(gold, probabilities, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        class_scores(gold, probabilities, CLASSES)
    with pytest.raises(ValueError, match=what):
        label_scores([(label,) for label in gold], probabilities, CLASSES)


def test_an_unknown_negative_class_and_too_few_thresholds() -> None:
    with pytest.raises(ValueError, match="none"):
        class_scores(["up"], np.zeros((1, 3)), CLASSES, negative="none")
    with pytest.raises(ValueError, match="thresholds"):
        label_scores([("up",)], np.zeros((1, 3)), CLASSES, [0.5])


def test_likeness_worked_by_hand() -> None:
    scores = similarity_scores([1, 2, 3, 4], [1, 2, 3, 100])
    assert scores["spearman"] == pytest.approx(1)
    assert scores["pearson"] == pytest.approx(float(np.corrcoef([1, 2, 3, 4], [1, 2, 3, 100])[0, 1]))
    assert scores["constant"] is False
    assert similarity_scores([1, 2, 3], [3, 2, 1])["pearson"] == pytest.approx(-1)
    assert json.loads(json.dumps(scores)) == scores


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [([1, 2, 3], [2, 2, 2]), ([2, 2], [1, 2]), ([1], [1]), ([], []), ([1, 2, 3], [1, 1, 1 + 1e-15])],
    ids=["prediction", "truth", "one", "none", "but for rounding"],
)
def test_what_is_constant_has_no_correlation(gold, predicted) -> None:
    assert similarity_scores(gold, predicted) == {"pearson": 0.0, "spearman": 0.0, "constant": True}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-1e3, 1e3)), min_size=2, max_size=8))
def test_likeness_as_scipy_has_it(pairs) -> None:
    gold, predicted = zip(*pairs, strict=True)
    scores = similarity_scores(gold, predicted)
    if not scores["constant"]:
        assert scores["pearson"] == pytest.approx(pearsonr(gold, predicted).statistic)
        assert scores["spearman"] == pytest.approx(spearmanr(gold, predicted).statistic)
    else:
        assert len(set(gold)) == 1 or np.ptp(predicted) <= 1e-9


def test_likeness_of_what_is_no_score() -> None:
    with pytest.raises(ValueError, match="finite"):
        similarity_scores([1, 2], [math.nan, 2])
    with pytest.raises(ValueError, match="predicted"):
        similarity_scores([1, 2], [1])
