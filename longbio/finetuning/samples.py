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


class Samples(Dataset[Sample]):
    """As many samples as a run needs.

    Args:
        samples: each once.
        batch: samples of a step.
        steps: of the run.
        seed: of the order.
        group_by_length: let samples of like length share a step.
    """

    def __init__(
        self, samples: Sequence[Sample], *, batch: int, steps: int, seed: int, group_by_length: bool = True
    ) -> None:
        self.samples, self.batch, self.seed = samples, batch, seed
        self.length = steps * batch
        self.group_by_length = group_by_length

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """(steps * batch,) numbers of samples."""
        epochs = -(-self.length // len(self.samples))
        return np.concatenate([self._epoch(epoch) for epoch in range(epochs)])[: self.length]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return self.samples[self.order[index]]

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        draw = np.random.default_rng((self.seed, epoch))
        order = draw.permutation(len(self.samples))
        if not self.group_by_length or self.batch == 1:
            return order
        lengths = np.array([sum(len(row.ids) for row in sample.rows) for sample in self.samples])
        size = GROUPED_BATCHES * self.batch
        batches = []
        for start in range(0, len(order), size):
            group = order[start : start + size]
            by_length = group[np.argsort(lengths[group], kind="stable")]
            batches += np.split(by_length, range(self.batch, len(by_length), self.batch))
        # The one that isn't full comes last: batches of the next epoch begin behind it.
        full = [batch for batch in batches if len(batch) == self.batch]
        rest = [batch for batch in batches if len(batch) < self.batch]
        return np.concatenate([*(full[number] for number in draw.permutation(len(full))), *rest])
