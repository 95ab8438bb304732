"""SQuAD's rules on cases worked by hand, null answers, and places."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbio.tasks.answers import (
    AnswerScore,
    answer_scores,
    best_null_threshold,
    nbest_probabilities,
    normalize,
    offset_f1,
    score_answer,
)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("The  Patient's\tfever,", "patients fever"),
        ("an analgesic and a theory", "analgesic and theory"),
        ("AN A THE", ""),
        ("5-10 mg/day", "510 mgday"),
        ("5–10 µg", "5–10 µg"),
        ("“the fever”", "“ fever”"),
        ("5–the–10", "5– –10"),
        ("hepatitis A", "hepatitis"),
        ("vitamin-A", "vitamina"),
        ("1,000.5 mL", "10005 ml"),
        ("Ménière’s\u00a0disease", "ménière’s disease"),
        ("ÎLE a\u2003b", "île b"),
        ("...", ""),
        ("", ""),
    ],
)
def test_normalised(answer: str, wanted: str) -> None:
    assert normalize(answer) == wanted


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        (["aspirin"], "Aspirin.", 1, 1),
        (["aspirin 81 mg"], "aspirin", 0, 2 * 1 / (3 + 1)),
        (["aspirin 81 mg"], "the 81 mg of aspirin daily", 0, 2 * 3 / (3 + 5)),
        (["aspirin 81 mg", "aspirin"], "aspirin", 1, 1),
        (["fever chills", "cough"], "cough fever", 0, 2 * 1 / (1 + 2)),
        (["no no pain"], "no pain no no", 0, 2 * 3 / (3 + 4)),
        (["5 mg"], "5mg", 0, 0),
        (["10005"], "1,000.5", 1, 1),
        (["5–10"], "5-10", 0, 0),
        (["aspirin"], "", 0, 0),
        (["aspirin"], "the", 0, 0),
        ([], "", 1, 1),
        ([], "a", 1, 1),
        ([], "aspirin", 0, 0),
        (["the"], "", 1, 1),
        (["the", "aspirin"], "", 0, 0),
        (["mg aspirin"], "aspirin mg", 0, 1),
    ],
)
def test_one_answer(gold: list[str], predicted: str, exact: float, f1: float) -> None:
    assert score_answer(gold, predicted) == AnswerScore(exact, pytest.approx(f1))


words = st.lists(st.sampled_from(["pain", "fever", "no", "5", "mg"]), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(words, words)
def test_f1_is_the_harmonic_mean_of_what_is_shared(gold: list[str], predicted: list[str]) -> None:
    common = sum(min(gold.count(word), predicted.count(word)) for word in set(gold))
    precision, recall = common / len(predicted), common / len(gold)
    wanted = 2 * precision * recall / (precision + recall) if common else 0
    score = score_answer([" ".join(gold)], " ".join(predicted))
    assert score.f1 == pytest.approx(wanted)
    assert score.exact_match == (gold == predicted)


def test_a_set_in_all_and_by_whether_there_is_an_answer() -> None:
    gold = [["aspirin 81 mg"], ["fever"], [], []]
    scores = answer_scores(gold, ["aspirin", "fever", "", "cough"])
    assert scores == {
        "overall": {"exact_match": 2 / 4, "f1": 2.5 / 4, "count": 4},
        "has_answer": {"exact_match": 1 / 2, "f1": 1.5 / 2, "count": 2},
        "no_answer": {"exact_match": 1 / 2, "f1": 1 / 2, "count": 2},
    }
    assert json.loads(json.dumps(scores)) == scores


def test_parts_without_questions_are_left_out() -> None:
    assert answer_scores([["fever"]], ["fever"]).keys() == {"overall", "has_answer"}
    assert answer_scores([], []) == {"overall": {"exact_match": 0, "f1": 0, "count": 0}}
    with pytest.raises(ValueError, match="zip"):
        answer_scores([["fever"]], [])


def test_the_threshold_worked_by_hand() -> None:
    # Answers are right at -3 and 1, and there is none at 2 and 4: any threshold from 1 to below 2.
    margins, answered, unanswered = [4, 1, -3, 2], [0, 1, 1, 0], [1, 0, 0, 1]
    assert best_null_threshold(margins, answered, unanswered) == (1.5, 1.0)


def test_a_threshold_that_does_nothing_is_zero() -> None:
    assert best_null_threshold([-2, -1], [1, 1], [0, 0]) == (0, 1)
    assert best_null_threshold([2, 1], [0, 0], [1, 1]) == (0, 1)
    assert best_null_threshold([-5, -2, 3], [1, 1, 0], [0, 1, 1]) == (0, 1)
    assert best_null_threshold([], [], []) == (0, 0)


def test_all_or_none_may_be_best_on_the_wrong_side_of_zero() -> None:
    assert best_null_threshold([2, 5], [1, 1], [0, 0]) == (6, 1)
    assert best_null_threshold([-2, -5], [0, 0], [1, 1]) == (-6, 1)


questions = st.lists(
    st.tuples(
        st.integers(-4, 4).map(lambda n: n / 2), st.sampled_from([0, 0.25, 1]), st.sampled_from([0, 1])
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(questions)
def test_no_threshold_is_better(questions) -> None:
    def mean_at(threshold: float) -> float:
        return sum(empty if margin > threshold else full for margin, full, empty in questions) / len(
            questions
        )

    threshold, score = best_null_threshold(*zip(*questions, strict=True))
    assert mean_at(threshold) == pytest.approx(score)
    assert score == pytest.approx(max(mean_at(n / 4) for n in range(-12, 13)))


@pytest.mark.parametrize("margins", [[math.nan], [math.inf], [1, 2]], ids=["NaN", "infinite", "too many"])
def test_what_are_no_margins(margins) -> None:
    with pytest.raises(ValueError, match="margins"):
        best_null_threshold(margins, [1], [0])


def test_probabilities_of_what_was_kept() -> None:
    assert nbest_probabilities([math.log(6), math.log(3), math.log(1)]) == pytest.approx([0.6, 0.3, 0.1])
    assert nbest_probabilities([1000, 1000, -math.inf]) == [0.5, 0.5, 0]
    assert nbest_probabilities(np.array([3], dtype=np.float32)) == [1.0]
    assert nbest_probabilities([]) == []
    with pytest.raises(ValueError, match="scores"):
        nbest_probabilities([math.nan, 1])
    with pytest.raises(ValueError, match="scores"):
        nbest_probabilities([-math.inf])


def test_places() -> None:
    assert offset_f1([(10, 20)], (10, 20)) == 1
    assert offset_f1([(10, 20)], (15, 25)) == pytest.approx(2 * 5 / 20)
    assert offset_f1([(10, 20), (24, 26)], (20, 25)) == pytest.approx(2 * 1 / 7)
    assert offset_f1([(10, 20)], (20, 30)) == 0
    assert offset_f1([(10, 20)], None) == 0
    assert offset_f1([], None) == 1
    assert offset_f1([], (0, 1)) == 0
