"""Masking is a pure function with the statistics that its settings name."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbio.masked_lm.masking import (
    EVALUATION,
    IGNORED,
    Corruption,
    Masking,
    Schedule,
    Vocabulary,
    mask_tokens,
    ngram_hashes,
    unit_starts,
    word_hashes,
)

VOCABULARY = Vocabulary(mask_id=3, drawable=np.arange(10, 1000))


def a_text(count: int = 20_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, a border (specials) every 50 tokens, words of one to four tokens."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(10, 1000, size=count)
    ids[::50] = 2
    ordinary = ids != 2
    lengths = draw.integers(1, 5, size=count)
    starts = np.zeros(count, dtype=bool)
    ends = np.cumsum(lengths)
    starts[np.append(0, ends[ends < count])] = True
    return ids, ordinary, starts & ordinary


def masked(masking: Masking = EVALUATION, seed: tuple[int, ...] = (0,), **options) -> tuple:
    ids, ordinary, starts = a_text()
    return (
        ids,
        ordinary,
        starts,
        *mask_tokens(ids, ordinary, starts, VOCABULARY, masking, seed=seed, **options),
    )


def runs(chosen: np.ndarray) -> list[int]:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


def test_the_same_seed_gives_the_same_masks_and_another_another() -> None:
    first, again, other = masked(seed=(1, 2)), masked(seed=(1, 2)), masked(seed=(1, 3))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[4] != other[4]).any()


@pytest.mark.parametrize("strategy", ["token", "whole-word", "span"])
@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_rate_is_met_on_average_whatever_the_unit(strategy: str, rate: float) -> None:
    masking = Masking(strategy=strategy, rate=rate)
    shares = []
    for seed in range(300):
        ids, ordinary, starts = a_text(130, seed)
        _, labels = mask_tokens(ids, ordinary, starts, VOCABULARY, masking, seed=(seed,))
        shares.append((labels != IGNORED).sum() / ordinary.sum())
    assert np.mean(shares) == pytest.approx(rate, abs=4 * np.std(shares) / len(shares) ** 0.5 + 1e-3)
    assert np.std(shares) < {"token": 0.006, "whole-word": 0.02, "span": 0.09}[strategy]


@pytest.mark.parametrize(
    ("corruption", "shares"),
    [
        (Corruption(), (0.8, 0.1, 0.1)),
        (Corruption(1.0, 0.0), (1, 0, 0)),
        (Corruption(0.2, 0.5), (0.2, 0.5, 0.3)),
    ],
)
def test_corruption_is_split_as_told(corruption: Corruption, shares: tuple[float, ...]) -> None:
    ids, _, _, corrupted, labels = masked(Masking(rate=0.5, corruption=corruption))
    chosen = labels != IGNORED
    assert (labels[chosen] == ids[chosen]).all()
    assert (corrupted[~chosen] == ids[~chosen]).all()
    is_mask, is_same = corrupted[chosen] == 3, corrupted[chosen] == ids[chosen]
    drawn = corrupted[chosen][~is_mask & ~is_same]
    found = (is_mask.mean(), len(drawn) / chosen.sum(), is_same.mean())
    assert found == pytest.approx(shares, abs=0.02)
    assert not len(drawn) or (drawn.min() < 40 and drawn.max() > 970 and drawn.min() >= 10)


def test_borders_are_never_chosen_whatever_the_rate() -> None:
    for strategy in ("token", "whole-word", "span"):
        _, ordinary, _, corrupted, labels = masked(Masking(strategy=strategy, rate=0.95))
        assert (labels[~ordinary] == IGNORED).all()
        assert (corrupted[~ordinary] == 2).all()


def test_whole_words_are_masked_whole_or_not_at_all() -> None:
    _, ordinary, starts, _, labels = masked(Masking(strategy="whole-word", rate=0.3))
    word = np.cumsum(starts | ~ordinary | np.roll(~ordinary, 1))
    chosen = labels != IGNORED
    for number in np.unique(word):
        within = chosen[(word == number) & ordinary]
        assert within.all() or not within.any()
    tokens = masked(Masking(strategy="token", rate=0.3))[4] != IGNORED
    assert (chosen != tokens).any()


def test_a_word_that_was_cut_at_the_start_of_a_document_does_not_join_the_one_before() -> None:
    ids, ordinary = np.array([1, 11, 12, 2, 1, 13, 14, 2]), np.array([0, 1, 1, 0, 0, 1, 1, 0], dtype=bool)
    starts = np.array([0, 1, 0, 0, 0, 0, 1, 0], dtype=bool)
    place = np.flatnonzero(ordinary)
    found = unit_starts(ids, place, starts, Masking("whole-word"), np.random.default_rng(0))
    assert found.tolist() == [True, False, True, True]


def test_spans_have_geometric_lengths_in_words_and_end_at_borders() -> None:
    draw = np.random.default_rng(0)
    count = 200_000
    ordinary, starts = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    masking = Masking("span", span_p=0.2, span_words=10)
    first = unit_starts(np.zeros(count, np.int64), np.arange(count), starts, masking, draw)
    lengths = np.diff(np.append(np.flatnonzero(first), count))
    expected = 0.2 * 0.8 ** np.arange(10)
    expected[-1] = 0.8**9
    assert np.bincount(lengths, minlength=11)[1:] / len(lengths) == pytest.approx(expected, abs=0.01)
    ordinary[::7] = False
    place = np.flatnonzero(ordinary)
    first = unit_starts(np.zeros(count, np.int64), place, starts, masking, draw)
    assert first[np.diff(place, prepend=-2) > 1].all()
    _, labels = mask_tokens(np.full(count, 11), ordinary, starts, VOCABULARY, Masking("span"), seed=(0,))
    assert np.mean(runs(labels != IGNORED)) > 2


def test_phrases_are_units_and_the_longer_ones_come_first() -> None:
    ids, words = np.array([20, 21, 22, 23, 24, 25, 2, 20, 21]), np.ones(9, dtype=bool)
    place = np.array([0, 1, 2, 3, 4, 5, 7, 8])
    hashes = word_hashes(ids, words)
    phrases = {2: np.sort(ngram_hashes(hashes[:2], 2)), 3: np.sort(ngram_hashes(hashes[1:4], 3))}
    first = unit_starts(ids, place, words, Masking("pmi"), np.random.default_rng(0), phrases)
    assert first.tolist() == [True, True, False, False, True, True, True, False]
    with pytest.raises(ValueError, match="phrases"):
        mask_tokens(ids, ids != 2, words, VOCABULARY, Masking("pmi"), seed=(0,))


def test_a_phrase_does_not_reach_over_a_border() -> None:
    ids, place = np.array([20, 2, 21]), np.array([0, 2])
    hashes = word_hashes(np.array([20, 21]), np.ones(2, dtype=bool))
    phrases = {2: ngram_hashes(hashes, 2)}
    words = np.ones(3, dtype=bool)
    first = unit_starts(ids, place, words, Masking("pmi"), np.random.default_rng(0), phrases)
    assert first.tolist() == [True, True]


def test_hashes_tell_pieces_and_order_apart() -> None:
    words = np.array([True, False, True, False, True, True])
    one, other, third, fourth = word_hashes(np.array([5, 6, 6, 5, 5, 6]), words).tolist()
    assert len({one, other, third, fourth}) == 4
    pair = np.array([third, fourth], dtype=np.uint64)
    assert ngram_hashes(pair, 2) != ngram_hashes(pair[::-1], 2)
    assert not len(ngram_hashes(pair, 3))


@pytest.mark.parametrize(
    ("shape", "middle", "early"), [("linear", 0.2, 0.25), ("cosine", 0.2, 0.2707), ("step", 0.1, 0.3)]
)
def test_rates_rise_and_fall(shape: str, middle: float, early: float) -> None:
    falling, rising = Schedule(0.3, 0.1, shape), Schedule(0.1, 0.3, shape)
    assert (falling.at(0), falling.at(1)) == pytest.approx((0.3, 0.1))
    assert (falling.at(0.5), falling.at(0.25)) == pytest.approx((middle, early), abs=1e-4)
    assert rising.at(0.25) == pytest.approx(0.4 - early, abs=1e-4)
    first = masked(Masking(rate=falling))[4]
    last = masked(Masking(rate=falling), progress=1.0)[4]
    assert (first != IGNORED).mean() == pytest.approx(0.294, abs=0.002)
    assert (last != IGNORED).mean() == pytest.approx(0.098, abs=0.002)


def test_stairs_are_equal() -> None:
    stairs = Schedule(0.1, 0.4, "step", steps=4)
    assert [round(stairs.at(p), 9) for p in (0.0, 0.24, 0.26, 0.51, 0.76, 1.0)] == [
        0.1,
        0.1,
        0.2,
        0.3,
        0.4,
        0.4,
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Masking(rate=0.0), "between 0 and 1"),
        (lambda: Masking(rate=1.5), "1.5"),
        (lambda: Schedule(0.1, 2), "2"),
        (lambda: Schedule(0.1, 0.2, "step", steps=1), "2 at least"),
        (lambda: Corruption(0.9, 0.2), "at most 1"),
        (lambda: Corruption(-0.1, 0.2), "below 0"),
        (lambda: Masking(span_p=0), "above 0"),
        (lambda: Masking(span_words=0), "a word at least"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@given(st.integers(0, 40), st.integers(0, 2**16), st.sampled_from(["token", "whole-word", "span"]))
@settings(max_examples=200, deadline=None)
def test_any_text_is_masked_at_least_once_and_left_alone_elsewhere(
    count: int, bits: int, strategy: str
) -> None:
    draw = np.random.default_rng(bits)
    ids, ordinary, starts = draw.integers(10, 99, count), draw.random(count) < 0.7, draw.random(count) < 0.5
    before = ids.copy()
    corrupted, labels = mask_tokens(ids, ordinary, starts, VOCABULARY, Masking(strategy), seed=(bits,))
    chosen = labels != IGNORED
    assert (ids == before).all()
    assert chosen.any() == ordinary.any()
    assert not chosen[~ordinary].any()
    assert (corrupted[~chosen] == ids[~chosen]).all()
    assert (labels[chosen] == ids[chosen]).all()


@pytest.mark.parametrize("strategy", ["token", "whole-word", "span", "pmi"])
def test_the_work_grows_with_the_length_and_no_faster(strategy: str) -> None:
    def seconds(count: int) -> float:
        ids, ordinary, starts = a_text(count)
        taken = []
        for seed in range(5):
            begin = time.perf_counter()
            phrases = {2: np.arange(5, dtype=np.uint64)}
            mask_tokens(ids, ordinary, starts, VOCABULARY, Masking(strategy), seed=(seed,), phrases=phrases)
            taken.append(time.perf_counter() - begin)
        return min(taken)

    # Sixteen times the length: a square would take 256 times as long.
    assert seconds(320_000) < 128 * seconds(20_000)
