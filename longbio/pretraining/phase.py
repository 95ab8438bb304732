"""One phase of a curriculum: what is learned, from what, how long, and how masks are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from longbio.masked_lm.masking import Masking
from longbio.training.settings import Learning, Machine, TrainingSettings

Learns = Literal["all", "head", "new-positions", "new-embeddings"]


@dataclass(frozen=True, kw_only=True)
class Phase(Learning):
    """A phase: a `Learning`, and what is learned. It begins with the weights of the one before, and with a
    fresh optimizer.

    Args:
        name: of its checkpoint.
        sequence_tokens: length of a sequence.
        steps: optimizer steps; or
        tokens: positions to learn from, padding included; one of the two is given.
        batch_tokens: positions of a step over all machines, a multiple of `sequence_tokens`;
            None for one sequence.
        masking: how samples are made.
        learns: `all` weights; the `head` alone, for an encoder that has none; `new-positions`:
            rows of the position table from `new_from` on; `new-embeddings`: rows of the word
            embeddings, and decoder biases, from `new_from` on.
        new_from: the first new position or the first new id.
        dropout: of hidden states and attention weights.
        global_cls: the first token of each document is global, so that a Longformer's global
            projections learn; else they are copied from the local ones at the end.
        mixture: weights by the corpora's names; empty for all of them by their tokens.
        num_phrases: phrases that are mined for the strategy `pmi`.
    """

    name: str
    sequence_tokens: int
    steps: int | None = None
    tokens: int | None = None
    batch_tokens: int | None = None
    masking: Masking = Masking()  # noqa: RUF009 - frozen
    learns: Learns = "all"
    new_from: int | None = None
    dropout: float = 0.0
    global_cls: bool = False
    mixture: Mapping[str, float] = field(default_factory=dict)
    num_phrases: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give either steps or tokens")
        amounts = [amount for amount in (self.steps, self.tokens) if amount is not None]
        if min(*amounts, self.sequence_tokens) <= 0:
            raise ValueError("steps, tokens and sequence_tokens are above 0")
        if self.batch_tokens is not None and (
            self.batch_tokens < 1 or self.batch_tokens % self.sequence_tokens
        ):
            raise ValueError(
                f"a batch of {self.batch_tokens} tokens is no multiple of sequences of {self.sequence_tokens}"
            )
        if (self.new_from is None) != (self.learns in ("all", "head")):
            raise ValueError("new_from goes with learns: new-positions or new-embeddings, and they need it")
        if any(weight < 0 for weight in self.mixture.values()):
            raise ValueError("weights of a mixture are 0 or more")

    @property
    def batch(self) -> int:
        """Sequences a step."""
        return (self.batch_tokens or self.sequence_tokens) // self.sequence_tokens

    @property
    def num_steps(self) -> int:
        """Optimizer steps."""
        if self.steps is not None:
            return self.steps
        assert self.tokens is not None
        return -(-self.tokens // (self.batch * self.sequence_tokens))


def training_settings(phase: Phase, machine: Machine, seed: int) -> TrainingSettings:
    """What the one training loop is told of a phase."""
    learning: Learning = phase
    if phase.learns in ("new-positions", "new-embeddings"):
        # Decay would shrink the old rows of a table of which only the new ones learn.
        learning = replace(phase, weight_decay=0.0)
    return TrainingSettings(phase.num_steps, learning, phase.batch, machine, seed)
