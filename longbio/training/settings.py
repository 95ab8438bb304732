"""How long and how fast to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from longbio.attention.kernels import KERNELS
from longbio.errors import LongbioError

Schedule = Literal["constant", "linear", "cosine", "polynomial", "1-sqrt"]
Optimizer = Literal["adamw", "stable-adamw"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How fast to learn. Recipes of fine-tuning and phases of pre-training are this and more.

    Args:
        learning_rate: the peak.
        warmup_share: of the steps, during which the rate rises from 0.
        schedule: what the rate does after it.
        power: of the polynomial schedule; 3 is Longformer's.
        optimizer: `adamw`, or `stable-adamw` (Wortsman et al. 2023: updates clipped by their size
            in each tensor), which needs torch-optimi.
        weight_decay: the optimizer's; biases and LayerNorms don't decay.
        clip: the largest norm of a gradient.
        head_factor: how much faster the pooler and the weights outside the encoder learn: a head that
            starts at random has further to go than an encoder that is pre-trained.

    Raises:
        ValueError: a number can't be.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    learning_rate: float
    warmup_share: float = 0.1
    schedule: Schedule = "linear"
    power: float = 3.0
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0
    head_factor: float = 1.0

    def __post_init__(self) -> None:
        if min(self.learning_rate, self.clip) <= 0:
            raise ValueError("learning_rate and clip are above 0")
        if not 0 <= self.warmup_share < 1:
            raise ValueError(f"a warm-up of {self.warmup_share:g} of the steps; give 0 or more, below 1")
        if min(self.weight_decay, self.head_factor) < 0:
            raise ValueError("weight_decay and head_factor are 0 or more")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How the work is done; the result is the same to rounding.

    Args:
        kernel: of `attention`, or `stock`.
        precision: `float32`, or `bfloat16` for autocast.
        device_batch: samples in one pass of one device; None for all that are its share. With
            dropout it decides what is drawn.
        gradient_checkpointing: recompute layers in the backward pass instead of keeping them.
        workers: processes that prepare batches; 0 for none.
        compile: let torch fuse what isn't attention, in half a minute, see `encoders.compiled`; meant
            for GPUs.
        save_steps: steps between two checkpoints, which two minutes of learning also end; None for none.

    Raises:
        ValueError: there is no such kernel, or a number can't be.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    kernel: str = "auto"
    precision: Precision = "float32"
    device_batch: int | None = None
    gradient_checkpointing: bool = False
    workers: int = 0
    compile: bool = False
    save_steps: int | None = 100

    def __post_init__(self) -> None:
        if self.kernel not in ("auto", "stock", *KERNELS):
            raise ValueError(
                f"there is no kernel {self.kernel!r}; choose from auto, stock, {', '.join(KERNELS)}"
            )
        if any(number is not None and number < 1 for number in (self.device_batch, self.save_steps)):
            raise ValueError("device_batch and save_steps are above 0, or null")
        if self.workers < 0:
            raise ValueError("workers is 0 or more")


@dataclass(frozen=True)
class TrainingSettings:
    """How long to learn, how fast, and how it is done.

    Args:
        steps: optimizer steps.
        learning: how fast.
        batch: samples a step, over all machines and accumulated passes.
        machine: how it is done.
        seed: of dropout; the samples have their own.
    """

    steps: int
    learning: Learning
    batch: int = 1
    machine: Machine = Machine()
    seed: int = 0

    def passes(self, processes: int) -> tuple[int, int]:
        """Samples in one pass of one device, and passes a step.

        Raises:
            LongbioError: the batch can't be divided so.
        """
        device_batch = self.machine.device_batch or max(1, self.batch // processes)
        passes, rest = divmod(self.batch, device_batch * processes)
        if rest or not passes:
            raise LongbioError(
                f"a batch of {self.batch} samples can't be divided over {processes} processes"
                f" with {device_batch} at once",
                where="batch",
                remedy="choose a batch that is a multiple of both",
            )
        return device_batch, passes
