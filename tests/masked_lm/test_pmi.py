"""Words that belong together are found, words that merely meet often aren't."""

from __future__ import annotations

import math

import numpy as np

from longbio.masked_lm.masking import ngram_hashes, word_hashes
from longbio.masked_lm.pmi import mine_phrases

COMMON, COUNT = np.arange(10, 30), 6000


def documents() -> list[tuple[np.ndarray, np.ndarray]]:
    """Random common words, and in between the phrases 100 101 and 200 201 202."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(60):
        ids: list[int] = []
        for _ in range(COUNT // 60):
            ids += draw.choice(COMMON, size=int(draw.integers(1, 5))).tolist()
            ids += ([100, 101], [200, 201, 202], [30])[int(draw.integers(3))]
        made.append((np.array(ids), np.ones(len(ids), dtype=bool)))
        del number
    return made


def of(*words: int) -> int:
    ids = np.array(words)
    return int(ngram_hashes(word_hashes(ids, np.ones(len(ids), dtype=bool)), len(ids))[0])


def test_phrases_score_above_words_that_meet_by_chance() -> None:
    best = mine_phrases(documents(), size=4 * 3, min_count=10)
    assert {length: len(found) for length, found in best.items()} == {2: 3, 3: 3, 4: 3, 5: 3}
    assert {of(100, 101), of(200, 201), of(201, 202)} == set(best[2].tolist())
    assert of(200, 201, 202) in best[3].tolist()
    assert all((np.diff(found.astype(object)) > 0).all() for found in best.values())


def test_the_score_is_against_the_likeliest_cut() -> None:
    from longbio.masked_lm.pmi import _pmi

    chance = {
        1: [np.log([0.1]), np.log([0.2]), np.log([0.5])],
        2: [np.log([0.08]), np.log([0.15])],
        3: [np.log([0.06])],
    }
    cuts = [0.1 * 0.2 * 0.5, 0.08 * 0.5, 0.1 * 0.15]
    assert np.isclose(_pmi(chance, 3)[0], math.log(0.06 / max(cuts)))
    assert np.isclose(_pmi({1: chance[1][:2], 2: chance[2][:1]}, 2)[0], math.log(0.08 / 0.02))


def test_rare_phrases_and_empty_corpora_give_none() -> None:
    few = mine_phrases(documents()[:1], min_count=10_000)
    assert all(not len(found) for found in few.values())
    assert all(not len(found) for found in mine_phrases([]).values())
    nothing = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))]
    assert all(not len(found) for found in mine_phrases(nothing).values())
