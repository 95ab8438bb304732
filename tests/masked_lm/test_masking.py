"""Masking is a pure function with the statistics of BERT's."""

from __future__ import annotations

import numpy as np
import pytest

from longbio.masked_lm.masking import IGNORED, mask_tokens

OPTIONS = {"special_ids": (0, 1, 2), "mask_id": 3, "vocab_size": 1000}


def some_ids(count: int = 20_000) -> np.ndarray:
    ids = np.random.default_rng(1).integers(10, 1000, size=count)
    ids[::50] = 2
    return ids


def test_the_same_seed_gives_the_same_masks_and_another_another() -> None:
    ids = some_ids()
    first, again = mask_tokens(ids, seed=(1, 2), **OPTIONS), mask_tokens(ids, seed=(1, 2), **OPTIONS)
    other = mask_tokens(ids, seed=(1, 3), **OPTIONS)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[1] != other[1]).any()


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_rate_and_corruption(rate: float) -> None:
    ids = some_ids()
    corrupted, labels = mask_tokens(ids, rate=rate, **OPTIONS)
    chosen = labels != IGNORED
    assert chosen.sum() == round(rate * (ids > 2).sum())
    assert (labels[chosen] == ids[chosen]).all()
    assert (corrupted[~chosen] == ids[~chosen]).all()
    masked, kept = (corrupted[chosen] == 3).mean(), (corrupted[chosen] == ids[chosen]).mean()
    assert masked == pytest.approx(0.8, abs=0.03)
    assert kept == pytest.approx(0.1, abs=0.02)


def test_special_tokens_are_never_chosen() -> None:
    ids = some_ids()
    _, labels = mask_tokens(ids, rate=0.9, **OPTIONS)
    assert (labels[ids <= 2] == IGNORED).all()


def test_nothing_to_mask_and_one_to_mask() -> None:
    corrupted, labels = mask_tokens(np.array([0, 1, 2]), **OPTIONS)
    assert corrupted.tolist() == [0, 1, 2]
    assert (labels == IGNORED).all()
    assert (mask_tokens(np.array([0, 7, 2]), **OPTIONS)[1] != IGNORED).sum() == 1


def test_the_input_is_left_alone() -> None:
    ids = some_ids(100)
    before = ids.copy()
    mask_tokens(ids, **OPTIONS)
    assert (ids == before).all()
