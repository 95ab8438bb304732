"""The samples of a run in their order: another one in every epoch, the same in every run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from longbio.tasks.task import Sample

GROUPED_BATCHES = 50
"""Batches within which samples are sorted by length, so that little of a batch is padding."""


class SampleOrder(Dataset[Sample]):
    """As many samples as so many steps of a batch need, drawn from those given in an order of the seed,
    samples of similar length sharing a step when `group_by_length`."""

    def __init__(
        self, samples: Sequence[Sample], *, batch: int, steps: int, seed: int, group_by_length: bool = True
    ) -> None:
        self.samples, self.batch, self.seed = samples, batch, seed
        self.length = steps * batch
        self.group_by_length = group_by_length

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """(steps * batch,) numbers of samples."""
        size = len(self.samples)
        epochs = [self._epoch(epoch, epoch * size) for epoch in range(-(-self.length // size))]
        return np.concatenate(epochs)[: self.length]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return self.samples[self.order[index]]

    def _epoch(self, epoch: int, begin: int) -> NDArray[np.int64]:
        """Every sample once. `begin` is where in the run the epoch begins: within a step, perhaps, that
        the epoch before left unfinished."""
        draw = np.random.default_rng((self.seed, epoch))
        order = draw.permutation(len(self.samples))
        if not self.group_by_length or self.batch == 1:
            return order
        first, rest = np.split(order, [-begin % self.batch])
        size = GROUPED_BATCHES * self.batch
        batches = []
        for start in range(0, len(rest), size):
            group = rest[start : start + size]
            by_length = group[np.argsort(self.lengths[group], kind="stable")]
            batches += np.split(by_length, range(self.batch, len(by_length), self.batch))
        full = [batch for batch in batches if len(batch) == self.batch]
        unfinished = [batch for batch in batches if len(batch) < self.batch]
        return np.concatenate([first, *(full[n] for n in draw.permutation(len(full))), *unfinished])

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sample."""
        return np.array([sum(len(row.ids) for row in sample.rows) for sample in self.samples])
