"""The processes that train together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState

from longbio.artifacts.locks import alone
from longbio.errors import LongbioError

LONGEST_WAIT = timedelta(hours=12)
"""The others wait while the main process tokenises; by default NCCL gives up after ten minutes."""


def processes() -> PartialState:
    """This process and its fellows, as `accelerate launch` or `torchrun` started them.

    On machines without a GPU they talk through gloo.
    """
    return PartialState(cpu=several_without_gpu(), timeout=LONGEST_WAIT)


@contextmanager
def alone_together(out: Path) -> Iterator[None]:
    """As `artifacts.locks.alone`; of the processes that train together the main one locks.

    Raises:
        LongbioError: another run is at it.
    """
    if not processes().is_main_process:
        yield
        return
    with alone(out):
        yield


def several_without_gpu() -> bool:
    """Whether there are several processes, on a machine without a GPU."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()


def weights_are_sharded() -> bool:
    """Whether the processes were started for FSDP or DeepSpeed, which divide the weights."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(name, "false").lower() == "true" for name in names)


def refuse_sharded(what: str) -> None:
    """Raise where weights are divided.

    Args:
        what: needs them whole, "early stopping needs".

    Raises:
        LongbioError: the processes were started for FSDP or DeepSpeed.
    """
    if weights_are_sharded():
        raise LongbioError(f"{what} whole weights", remedy="start the processes without FSDP and DeepSpeed")
