"""The best tags that make sense: by hand, by trying all, and at length."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from longbio.tasks.bio import best_tags

OUT, B_X, I_X, B_Y, I_Y = range(5)


def allowed(tags, first_words: set[int]) -> bool:
    for word, tag in enumerate(tags):
        inside = tag > 0 and tag % 2 == 0
        before = None if word == 0 or word in first_words else tags[word - 1]
        if inside and before not in (tag, tag - 1):
            return False
    return True


def best_sum(scores: np.ndarray, first_words: set[int]) -> float:
    """Of all sequences of tags, those that are allowed."""
    words = range(len(scores))
    return max(
        sum(scores[word, tags[word]] for word in words)
        for tags in itertools.product(range(scores.shape[1]), repeat=len(scores))
        if allowed(tags, first_words)
    )


def sum_of(scores: np.ndarray, tags: np.ndarray) -> float:
    return float(scores[np.arange(len(scores)), tags].sum())


def test_what_makes_sense_is_kept() -> None:
    tags = np.array([OUT, B_X, I_X, I_X, B_X, B_Y, I_Y, OUT])
    assert best_tags(np.eye(5)[tags]).tolist() == tags.tolist()


def test_an_inside_without_its_beginning() -> None:
    # Beginning one word earlier costs 1, beginning here costs 2, O costs 5.
    scores = np.array([[0, -1, -9, -9, -9], [-5, -2, 0, -9, -9], [-5, -9, 0, -9, -9]], dtype=np.float32)
    assert best_tags(scores).tolist() == [B_X, I_X, I_X]
    scores[0, B_X] = -3
    assert best_tags(scores).tolist() == [OUT, B_X, I_X]


def test_an_inside_after_another_type() -> None:
    scores = np.array([[-9, -9, -9, 0, -9], [-9, -7, 0, -9, -4]], dtype=np.float32)
    assert best_tags(scores).tolist() == [B_Y, I_Y]


def test_a_mention_ends_with_its_sentence() -> None:
    scores = np.array([[-9, 0, -9], [-2, -1, 0], [-2, -1, 0]], dtype=np.float32)
    assert best_tags(scores).tolist() == [B_X, I_X, I_X]
    assert best_tags(scores, np.array([0, 2])).tolist() == [B_X, I_X, B_X]


values = st.one_of(st.integers(-4, 4).map(float), st.just(-np.inf))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_none_of_all_sequences_is_better(data: st.DataObject) -> None:
    num_words, num_tags = data.draw(st.sampled_from([(1, 5), (2, 7), (4, 5), (5, 3), (4, 1)]))
    scores = data.draw(arrays.arrays(np.float64, (num_words, num_tags), elements=values))
    scores[:, OUT] = np.maximum(scores[:, OUT], -4)  # else there may be no sequence at all
    first_words = data.draw(st.sets(st.integers(0, num_words - 1)))

    tags = best_tags(scores, np.array(sorted(first_words), dtype=np.int64))
    assert allowed(tags.tolist(), first_words)
    assert sum_of(scores, tags) == best_sum(scores, first_words)


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float32, (6, 5), elements=st.floats(-50, 50, width=32)), st.floats(-1e4, 1e4))
def test_logits_do_as_well_as_log_probabilities(scores, shift: float) -> None:
    scores = np.round(scores)  # sums that differ, differ by more than rounding
    log_probabilities = (
        scores.astype(np.float64) - np.logaddexp.reduce(scores.astype(np.float64), axis=1)[:, None]
    )
    tags = best_tags(scores)
    assert sum_of(scores, tags) == sum_of(scores, best_tags(log_probabilities))
    assert sum_of(scores, tags) == sum_of(scores, best_tags(scores + np.float32(round(shift))))


def test_two_hundred_thousand_words_in_seconds() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((200_000, 41), dtype=np.float32)
    start = time.process_time()
    tags = best_tags(scores)
    assert time.process_time() - start < 4
    inside = (tags > 0) & (tags % 2 == 0)
    before = np.concatenate([[OUT], tags[:-1]])
    assert inside.any()
    assert ((before == tags) | (before == tags - 1))[inside].all()
    assert sum_of(scores, tags) > sum_of(scores, np.where(np.arange(41) % 2 == 0, -9, scores).argmax(axis=1))


def test_no_words() -> None:
    assert best_tags(np.zeros((0, 5), dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((3, 4)),
        np.zeros(3),
        np.full((1, 3), np.nan),
        np.array([[0, np.inf, 0]]),
        np.full((1, 3), -np.inf),
    ],
    ids=["even", "flat", "NaN", "infinite", "nothing allowed"],
)
def test_what_are_no_scores(scores) -> None:
    with pytest.raises(ValueError, match="scores"):
        best_tags(scores)
