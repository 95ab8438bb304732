"""The order of samples: new in every epoch, the same in every run, like lengths together."""

from __future__ import annotations

import numpy as np
import pytest

from longbio.encoders.input_format import Row
from longbio.finetuning.sample_order import SampleOrder
from longbio.tasks.task import Sample


def of_lengths(*lengths: int) -> list[Sample]:
    def row(length: int) -> Row:
        zeros = np.zeros(length, dtype=np.int64)
        return Row(zeros, zeros, zeros.astype(bool), slice(1, length - 1))

    return [Sample((row(length),), (np.array(0),)) for length in lengths]


@pytest.mark.parametrize("group_by_length", [True, False])
def test_every_epoch_has_every_sample_once_in_another_order(group_by_length: bool) -> None:
    samples = of_lengths(*range(2, 32))
    made = SampleOrder(samples, batch=4, steps=15, seed=3, group_by_length=group_by_length)
    assert len(made) == 60
    first, second = made.order[:30], made.order[30:]
    assert sorted(first) == sorted(second) == list(range(30))
    assert (first != second).any()
    again = SampleOrder(samples, batch=4, steps=15, seed=3, group_by_length=group_by_length)
    assert (again.order == made.order).all()
    other = SampleOrder(samples, batch=4, steps=15, seed=4, group_by_length=group_by_length)
    assert (other.order != made.order).any()
    assert made[7] is samples[made.order[7]]


def test_samples_of_like_length_share_a_step_and_steps_are_mixed() -> None:
    draw = np.random.default_rng(0)
    samples = of_lengths(*draw.integers(2, 200, size=160).tolist())
    grouped = SampleOrder(samples, batch=8, steps=20, seed=0)
    lengths = np.array([len(samples[number].rows[0].ids) for number in grouped.order]).reshape(20, 8)
    mixed = SampleOrder(samples, batch=8, steps=20, seed=0, group_by_length=False)
    plain = np.array([len(samples[number].rows[0].ids) for number in mixed.order]).reshape(20, 8)
    assert np.ptp(lengths, axis=1).mean() < 0.2 * np.ptp(plain, axis=1).mean()
    assert (np.diff(lengths.mean(axis=1)) < 0).any(), "steps are sorted by length"


def test_the_end_of_a_run_need_not_be_the_end_of_an_epoch() -> None:
    made = SampleOrder(of_lengths(3, 4, 5), batch=2, steps=4, seed=0)
    assert len(made.order) == 8
    assert set(made.order) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(6))
def test_steps_after_an_epoch_that_ends_within_one_hold_like_lengths_too(seed: int) -> None:
    # Ten samples, four a step: the third step takes two of each epoch, the others those of like length.
    made = SampleOrder(of_lengths(*range(10, 110, 10)), batch=4, steps=5, seed=seed)
    steps = made.lengths[made.order].reshape(5, 4)
    rest = sorted(steps[3:].flatten())
    assert sorted(sorted(step) for step in steps[3:]) == [rest[:4], rest[4:]]
