"""One phase of a curriculum: what is learned, from what, how long, and how masks are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from longbio.attention.kernels import KERNELS
from longbio.masked_lm.masking import Masking
from longbio.training.settings import Optimizer, Precision, Schedule, TrainingSettings

Learns = Literal["all", "head", "new-positions", "new-embeddings"]


@dataclass(frozen=True)
class Phase:
    """A phase. It begins with the weights of the one before, and with a fresh optimizer.

    Args:
        name: of its checkpoint.
        sequence_tokens: length of a sequence.
        learning_rate: the peak.
        steps: optimizer steps; or
        tokens: positions to learn from, padding included; one of the two is given.
        batch_tokens: positions of a step over all machines, a multiple of `sequence_tokens`;
            None for one sequence.
        masking: how samples are made.
        learns: `all` weights; the `head` alone, for an encoder that has none; `new-positions`:
            rows of the position table from `new_from` on; `new-embeddings`: rows of the word
            embeddings, and decoder biases, from `new_from` on.
        new_from: the first new position or the first new id.
        schedule: what the learning rate does after the warm-up.
        power: of the polynomial schedule; 3 is Longformer's.
        warmup_share: of the steps, during which the rate rises from 0; below 1.
        optimizer: `adamw` or `stable-adamw`.
        weight_decay: the optimizer's.
        clip: the largest norm of a gradient.
        head_factor: how much faster the weights outside the encoder learn.
        dropout: of hidden states and attention weights.
        global_cls: the first token of each document is global, so that a Longformer's global
            projections learn; else they are copied from the local ones at the end.
        mixture: weights by the corpora's names; empty for all of them by their tokens.
        num_phrases: phrases that are mined for the strategy `pmi`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    name: str
    sequence_tokens: int
    learning_rate: float
    steps: int | None = None
    tokens: int | None = None
    batch_tokens: int | None = None
    masking: Masking = Masking()  # noqa: RUF009 - frozen
    learns: Learns = "all"
    new_from: int | None = None
    schedule: Schedule = "linear"
    power: float = 3.0
    warmup_share: float = 0.1
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0
    head_factor: float = 1.0
    dropout: float = 0.0
    global_cls: bool = False
    mixture: Mapping[str, float] = field(default_factory=dict)
    num_phrases: int = 20_000

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give either steps or tokens")
        amounts = [amount for amount in (self.steps, self.tokens) if amount is not None]
        if min(*amounts, self.sequence_tokens, self.learning_rate) <= 0:
            raise ValueError("steps, tokens, sequence_tokens and learning_rate are above 0")
        if not 0 <= self.warmup_share < 1:
            raise ValueError(f"a warm-up of {self.warmup_share:g} of the steps; from 0 to below 1 can be")
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


@dataclass(frozen=True)
class Machine:
    """How the work is done; the result is the same to rounding.

    Args:
        kernel: of `attention`.
        precision: `float32`, or `bfloat16` for autocast.
        device_sequences: sequences in one pass of one device; None for all that are its share.
        gradient_checkpointing: recompute layers in the backward pass instead of keeping them.
        workers: processes that prepare batches; 0 for none.
        compile: let torch fuse what isn't attention, in half a minute; meant for GPUs.
        save_steps: steps between two checkpoints.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    kernel: str = "auto"
    precision: Precision = "float32"
    device_sequences: int | None = None
    gradient_checkpointing: bool = False
    workers: int = 0
    compile: bool = False
    save_steps: int = 100

    def __post_init__(self) -> None:
        if self.device_sequences is not None and self.device_sequences < 1:
            raise ValueError("device_sequences is above 0, or null for a device's whole share")
        if self.save_steps < 1 or self.workers < 0:
            raise ValueError("save_steps is above 0, workers is not below 0")
        if self.kernel not in ("auto", "stock", *KERNELS):
            raise ValueError(f"there is no kernel {self.kernel!r}; choose from auto, {', '.join(KERNELS)}")
        if self.kernel == "stock":
            raise ValueError("the stock attention knows no packed documents; any other kernel does")


def training_settings(phase: Phase, machine: Machine, seed: int) -> TrainingSettings:
    """What the one training loop is told of a phase."""
    frozen_rows = phase.learns in ("new-positions", "new-embeddings")
    return TrainingSettings(
        steps=phase.num_steps,
        learning_rate=phase.learning_rate,
        batch=phase.batch,
        device_batch=machine.device_sequences,
        warmup_share=phase.warmup_share,
        schedule=phase.schedule,
        power=phase.power,
        optimizer=phase.optimizer,
        # Decay would shrink the old rows of a table of which only the new ones learn.
        weight_decay=0.0 if frozen_rows else phase.weight_decay,
        clip=phase.clip,
        head_factor=phase.head_factor,
        seed=seed,
        save_steps=machine.save_steps,
        precision=machine.precision,
        gradient_checkpointing=machine.gradient_checkpointing,
        workers=machine.workers,
        compile=machine.compile,
    )
