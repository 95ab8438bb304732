"""Masked samples and their batches: sample n of a phase is the same on any number of machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from longbio.encoders.batches import IGNORED, pad
from longbio.encoders.families import FAMILIES
from longbio.encoders.masked_loss import predicted_positions
from longbio.encoders.prepared_batch import batch_pattern
from longbio.masked_lm.masking import Ids, Masking, Phrases, Vocabulary, mask_tokens
from longbio.pretraining.packing import Frame, Packed, PackingPlan, pack_row
from longbio.pretraining.shards import TokenizedCorpus

ROW_TOKENS = 64


@dataclass(frozen=True, eq=False)
class Part:
    """One corpus of a mixture: how it is packed, how often it is drawn from beside the others, and phrases
    for the strategy `pmi`."""

    corpus: TokenizedCorpus
    plan: PackingPlan
    weight: float = 1.0
    phrases: Phrases | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """A packed sequence after masking: (T,) ids that the model reads, (T,) ids that it predicts, -100
    elsewhere."""

    packed: Packed
    corrupted: Ids
    labels: Ids


class MaskedSamples(Dataset[Sample]):
    """`count` packed sequences in random order, masked anew in every epoch.

    Sample n depends on the seed, the number of the phase and n alone: not on processes, workers or restarts.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        frame: Frame,
        vocabulary: Vocabulary,
        masking: Masking,
        *,
        count: int,
        seed: int,
        phase: int = 0,
    ) -> None:
        self.parts, self.frame, self.vocabulary, self.masking = parts, frame, vocabulary, masking
        self.count, self.seed, self.phase = count, seed, phase
        weights = np.array([part.weight for part in parts])
        draw = np.random.default_rng((seed, phase))
        self.part_of = draw.choice(len(parts), size=count, p=weights / weights.sum()).astype(np.int16)
        self.turn_of = np.empty(count, dtype=np.int64)
        for number in range(len(parts)):
            is_of_part = self.part_of == number
            self.turn_of[is_of_part] = np.arange(is_of_part.sum())
        self._orders: dict[tuple[int, int], Ids] = {}

    @property
    def filled(self) -> float:
        """Share of the positions that isn't padding, on average over the mixture."""
        weights = np.array([part.weight for part in self.parts])
        return float(np.average([part.plan.filled for part in self.parts], weights=weights))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        number = int(self.part_of[index])
        part = self.parts[number]
        epoch, turn = divmod(int(self.turn_of[index]), len(part.plan))
        row = int(self._order(number, epoch)[turn])
        sequence = pack_row(part.corpus, part.plan.pieces(row), self.frame, part.plan.block_tokens)
        corrupted, labels = mask_tokens(
            sequence.ids,
            sequence.ordinary,
            sequence.word_starts,
            self.vocabulary,
            self.masking,
            seed=(self.seed, self.phase, number, epoch, row),
            progress=index / max(1, self.count - 1),
            phrases=part.phrases,
        )
        return Sample(sequence, corrupted, labels)

    def _order(self, number: int, epoch: int) -> Ids:
        """Sequences of one part in the order of one epoch; the last epoch of each part is kept."""
        if (number, epoch) not in self._orders:
            self._orders = {key: order for key, order in self._orders.items() if key[0] != number}
            draw = np.random.default_rng((self.seed, self.phase, number, epoch))
            self._orders[number, epoch] = draw.permutation(len(self.parts[number].plan))
        return self._orders[number, epoch]


@dataclass(frozen=True)
class Collator:
    """Samples as a batch, so that no document sees another and none waits for the device.

    Args:
        model_type: of the model: a long one gets a pattern; a short one a mask over pairs of tokens and
            positions, or one document a row where it can't have that.
        global_cls: give the first token of each document global attention (Longformer).
        max_tokens: to which rows are padded at most, otherwise to a multiple of `ROW_TOKENS`.
    """

    model_type: str
    padding_id: int
    global_cls: bool = False
    max_tokens: int | None = None

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Any]:
        longest = max(len(sample.labels) for sample in samples)
        if len(samples) > 1:
            longest = min(-(-longest // ROW_TOKENS) * ROW_TOKENS, self.max_tokens or sys.maxsize)
        document_BT = pad([sample.packed.document_ids for sample in samples], -1, longest)
        labels_BT = pad([sample.labels for sample in samples], IGNORED, longest)
        batch: dict[str, Any] = {
            "input_ids": pad([sample.corrupted for sample in samples], self.padding_id, longest),
            "labels": labels_BT,
            "label_positions": predicted_positions(labels_BT),
        }
        return batch | attention(document_BT, self.model_type, self.padding_id, self.global_cls)


def attention(
    document_BT: Tensor, model_type: str, padding_id: int, global_cls: bool = False
) -> dict[str, Any]:
    """What keeps the documents of a batch apart, in the arguments of this family. `document_BT` is the number
    of each token's document within its row, -1 for padding; some families count positions from the padding's
    id."""
    valid_BT = document_BT >= 0
    first_BT = valid_BT & (document_BT != torch.nn.functional.pad(document_BT, (1, 0), value=-1)[:, :-1])
    family = FAMILIES[model_type]
    if family.is_long:
        global_BT = first_BT if global_cls and family.takes_global else None
        shape = (document_BT.shape[0], document_BT.shape[1])
        pattern = batch_pattern(valid_BT, global_BT, document_BT, shape, torch.device("cpu"))
        return {"attention_mask": pattern}
    if not family.packs:
        return {"attention_mask": valid_BT.long()}
    column_T = torch.arange(document_BT.shape[1])
    start_BT = torch.where(first_BT, column_T, 0).cummax(dim=1).values
    position_BT = (column_T - start_BT).masked_fill(~valid_BT, 0)
    if family.first_after_padding:
        position_BT = torch.where(valid_BT, position_BT + padding_id + 1, padding_id)
    # Padding sees padding: a row of a softmax without any key has no value.
    same_B1TT = (document_BT[:, :, None] == document_BT[:, None, :])[:, None]
    return {"attention_mask": same_B1TT, "position_ids": position_BT}
