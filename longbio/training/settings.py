"""How long and how fast to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from longbio.errors import LongbioError

Schedule = Literal["constant", "linear", "cosine", "polynomial", "1-sqrt"]
Optimizer = Literal["adamw", "stable-adamw"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to learn.

    Args:
        steps: optimizer steps.
        learning_rate: the peak.
        batch: samples a step, over all machines and accumulated passes.
        device_batch: samples in one pass of one device; None for all that are a device's share.
        warmup_share: of the steps, during which the rate rises from 0.
        schedule: what the rate does after it.
        power: of the polynomial schedule.
        optimizer: `adamw`, or `stable-adamw` (Wortsman et al. 2023: updates clipped by their size
            in each tensor), which needs torch-optimi.
        weight_decay: the optimizer's; biases and LayerNorms don't decay.
        clip: the largest norm of a gradient.
        head_factor: how much faster the pooler and the weights outside the encoder learn: a head that
            starts at random has further to go than an encoder that is pre-trained.
        seed: of dropout; the samples have their own.
        save_steps: steps between two checkpoints, which two minutes of learning also end; None for none.
        precision: `float32`, or `bfloat16` for autocast.
        gradient_checkpointing: recompute layers in the backward pass instead of keeping them.
        workers: processes that prepare batches; 0 for none.
        compile: let torch fuse what isn't attention: see `encoders.compiled`.
    """

    steps: int
    learning_rate: float
    batch: int = 1
    device_batch: int | None = None
    warmup_share: float = 0.1
    schedule: Schedule = "linear"
    power: float = 3.0
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0
    head_factor: float = 1.0
    seed: int = 0
    save_steps: int | None = 100
    precision: Precision = "float32"
    gradient_checkpointing: bool = False
    workers: int = 0
    compile: bool = False

    def passes(self, processes: int) -> tuple[int, int]:
        """Samples in one pass of one device, and passes a step.

        Raises:
            LongbioError: the batch can't be divided so.
        """
        device_batch = self.device_batch or max(1, self.batch // processes)
        passes, rest = divmod(self.batch, device_batch * processes)
        if rest or not passes:
            raise LongbioError(
                f"a batch of {self.batch} samples can't be divided over {processes} processes"
                f" with {device_batch} at once",
                where="batch",
                remedy="choose a batch that is a multiple of both",
            )
        return device_batch, passes
