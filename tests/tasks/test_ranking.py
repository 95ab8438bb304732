"""AUROC is no sum over documents; of any of them it follows all the same, as scikit-learn has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from longbio.corpus.records import Document
from longbio.finetuning.breakdown import evidence
from longbio.tasks.classification import Classes
from longbio.tasks.ranking import Rankings
from longbio.tasks.statistics import difference, interval_text, score_interval
from longbio.tasks.task import Prediction

CLASSES = ("a", "b", "none")
ONE = Classes(classes=CLASSES, choose_by="auroc", negative="none")
SEVERAL = Classes(classes=CLASSES, choose_by="auroc", multi_label=True)
each_task = pytest.mark.parametrize("task", [ONE, SEVERAL], ids=["one", "several"])


def corpus(
    task: Classes, seed: int, size: int, found: float = 1.0, notes: int = 1
) -> tuple[list[Document], list[Prediction]]:
    """Notes of patients: all of one's are of the same classes, and probabilities lean to them."""
    draw = np.random.default_rng(seed)
    gold, predictions = [], []
    for patient in range(size):
        chosen = [name for name in CLASSES if draw.random() < 0.5] or ["a"]
        labels = tuple(chosen if task.multi_label else chosen[:1])
        # In tenths, so that some are equal.
        likely = {name: round(found * (name in labels) + draw.random(), 1) / 2.1 for name in CLASSES}
        for note in range(notes):
            document = Document(f"{patient}-{note}", "text", labels=labels, group=f"p{patient}")
            gold.append(document)
            predictions.append(Prediction(document, {"tokens": 1, "probabilities": likely}))
    return gold, predictions


def kept(task: Classes, gold: list[Document], predictions: list[Prediction]) -> dict[str, Any]:
    return evidence(task, gold, predictions)


def rankings(task: Classes, gold: list[Document], predictions: list[Prediction]) -> Rankings:
    added = task.evidence(gold, predictions)
    return Rankings([added.totals], np.arange(len(gold)), len(gold))


def scored(task: Classes, gold: list[Document], predictions: list[Prediction]) -> float:
    """By scikit-learn; not a number where nothing can be ranked."""
    scores = task.score(gold, predictions)
    return float("nan") if scores["auroc"] is None else scores["main"]


@each_task
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 12))
def test_of_all_of_all_but_one_and_of_any(task: Classes, seed: int, size: int) -> None:
    gold, found = corpus(task, seed, size)
    ranked = rankings(task, gold, found)

    def of(chosen: list[int]) -> float:
        return scored(task, [gold[n] for n in chosen], [found[n] for n in chosen])

    assert ranked.of_all() == pytest.approx(of([*range(size)]), nan_ok=True)
    if size > 1:
        others = [of([n for n in range(size) if n != one]) for one in range(size)]
        assert ranked.of_all_but_one() == pytest.approx(others, nan_ok=True)
    drawn = np.random.default_rng(seed).integers(0, size, (7, size))
    times = np.stack([np.bincount(row, minlength=size) for row in drawn]).astype(float)
    assert ranked.of_drawn(times) == pytest.approx([of(row) for row in drawn.tolist()], nan_ok=True)


@each_task
def test_units_of_several_documents_are_drawn_and_left_out_together(task: Classes) -> None:
    gold, found = corpus(task, 3, 12)
    added = task.evidence(gold, found)
    unit = np.array([0, 0, 0, 1, 2, 2, 3, 3, 4, 4, 4, 4])
    ranked = Rankings([added.totals], unit, 5)
    rest = [[n for n in range(12) if unit[n] != one] for one in range(5)]
    wanted = [scored(task, [gold[n] for n in part], [found[n] for n in part]) for part in rest]
    assert ranked.of_all_but_one() == pytest.approx(wanted)
    twice = [n for each in (0, 0, 2, 3, 4) for n in range(12) if unit[n] == each]
    times = np.array([[2.0, 0, 1, 1, 1]])
    wanted = [scored(task, [gold[n] for n in twice], [found[n] for n in twice])]
    assert ranked.of_drawn(times) == pytest.approx(wanted)


def test_the_interval_is_as_wide_as_delongs() -> None:
    draw = np.random.default_rng(0)
    truth = draw.random(400) < 0.4
    likely = 1 / (1 + np.exp(-(truth * 1.0 + draw.normal(0, 1, 400))))
    names = np.where(truth, "a", "b")
    gold = [Document(str(n), "text", labels=(str(name),)) for n, name in enumerate(names)]
    found = [
        Prediction(document, {"tokens": 1, "probabilities": {"a": float(p), "b": float(1 - p)}})
        for document, p in zip(gold, likely, strict=True)
    ]
    task = Classes(classes=("a", "b"), choose_by="auroc")
    said = score_interval([kept(task, gold, found)])
    assert said["value"] == pytest.approx(roc_auc_score(truth, likely))
    beats = (likely[truth][:, None] > likely[~truth]).astype(float)
    variance = beats.mean(1).var(ddof=1) / truth.sum() + beats.mean(0).var(ddof=1) / (~truth).sum()
    assert said["high"] - said["low"] == pytest.approx(2 * 1.96 * variance**0.5, rel=0.1)
    assert said["low"] < said["value"] < said["high"]
    assert interval_text(said).endswith(" over 400 documents")


def test_notes_of_a_patient_that_say_the_same_make_nothing_surer() -> None:
    grouped = score_interval([kept(ONE, *corpus(ONE, 1, 30, 0.4, notes=9))])
    alone = score_interval([kept(ONE, *corpus(ONE, 1, 30, 0.4))])
    assert grouped is not None
    assert alone is not None
    assert [grouped[end] for end in ("value", "low", "high")] == pytest.approx(
        [alone[end] for end in ("value", "low", "high")]
    )
    assert (grouped["over"], grouped["units"]) == ("groups", 30)


@each_task
def test_seeds_are_averaged(task: Classes) -> None:
    gold, found = corpus(task, 5, 40, 0.3)
    other = [
        Prediction(
            each.document, {"tokens": 1, "probabilities": {n: 1 - p for n, p in probabilities.items()}}
        )
        for each in found
        for probabilities in [each.details["probabilities"]]
    ]
    turned = score_interval([kept(task, gold, found), kept(task, gold, other)])
    assert turned is not None
    # What one seed ranks the other ranks in reverse, whichever documents are drawn.
    assert [turned[end] for end in ("value", "low", "high")] == pytest.approx([0.5, 0.5, 0.5])


@each_task
def test_a_better_model_is_told_apart_and_the_same_one_is_not(task: Classes) -> None:
    gold, weak = corpus(task, 2, 60, 0.0)
    _, strong = corpus(task, 2, 60, 1.0)
    better = difference([kept(task, gold, strong)], [kept(task, gold, weak)])
    assert better is not None
    assert better["difference"] == pytest.approx(scored(task, gold, strong) - scored(task, gold, weak))
    assert 0 < better["low"] < better["difference"] < better["high"]
    assert better["p"] < 0.001
    same = difference([kept(task, gold, weak)], [kept(task, gold, weak)])
    assert same is not None
    assert (same["difference"], same["low"], same["high"], same["p"]) == (0.0, 0.0, 0.0, 1.0)


@each_task
def test_exchanged_documents_are_ranked_anew(task: Classes) -> None:
    """By the ranks that the other model gave them, as scikit-learn has it."""
    gold, found = corpus(task, 8, 15, 0.5)
    _, other = corpus(task, 9, 15, 0.5)
    ranks = [
        {name: rankdata([each.details["probabilities"][name] for each in side]) for name in CLASSES}
        for side in (found, other)
    ]
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (6, 15))
    wanted = []
    for row in signs:
        sides = [
            [
                Prediction(
                    document,
                    {"probabilities": {c: ranks[n if row[d] > 0 else 1 - n][c][d] for c in CLASSES}},
                )
                for d, document in enumerate(gold)
            ]
            for n in (0, 1)
        ]
        wanted.append(scored(task, gold, sides[0]) - scored(task, gold, sides[1]))
    assert rankings(task, gold, found).exchange(rankings(task, gold, other), signs) == pytest.approx(wanted)


def test_models_that_are_alike_are_rarely_told_apart_though_their_probabilities_differ() -> None:
    small = []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        truth = (draw.random(30) < 0.5).astype(float)
        truth[:2] = (0, 1)
        sides = [truth + draw.normal(0, 1, 30), 100 + 5 * (truth + draw.normal(0, 1, 30))]
        a, b = (
            {
                "measure": "AUROC",
                "ids": [*map(str, range(30))],
                "groups": [None] * 30,
                "totals": np.stack([truth, side], axis=1).tolist(),
            }
            for side in sides
        )
        found = difference([a], [b])
        assert found is not None
        small.append(found["p"] <= 0.05)
    assert np.mean(small) <= 0.12


def test_where_nothing_can_be_ranked_there_is_no_interval() -> None:
    gold = [Document(str(n), "text", labels=("a",)) for n in range(5)]
    found = [Prediction(each, {"tokens": 1, "probabilities": {"a": 0.5, "b": 0.5}}) for each in gold]
    task = Classes(classes=("a", "b"), choose_by="auroc")
    said = score_interval([kept(task, gold, found)])
    assert said == {"value": 0.0, "low": None, "high": None, "over": "documents", "units": 5}
    assert interval_text(said) == "no interval: no class is true of some and not of others"


def test_draws_in_which_nothing_can_be_ranked_are_left_out() -> None:
    """One document of three is of the class: a third of the draws lacks it, which says nothing of ranks."""
    kept = {
        "measure": "AUROC",
        "ids": ["1", "2", "3", "4"],
        "groups": [None] * 4,
        "totals": [[1.0, 0.6], [0.0, 0.5], [0.0, 0.7], [0.0, 0.1]],
    }
    said = score_interval([kept])
    assert said["value"] == pytest.approx(2 / 3)
    assert 0 <= said["low"] <= 2 / 3 <= said["high"] <= 1
