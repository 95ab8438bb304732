"""The processes that train together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from longbio.artifacts.runs import Run
from longbio.errors import LongbioError

LONGEST_WAIT = timedelta(hours=12)
"""The others wait while the main process tokenises; by default NCCL gives up after ten minutes."""


def processes() -> PartialState:
    """This process and its fellows, as `accelerate launch` or `torchrun` started them.

    On machines without a GPU they talk through gloo.
    """
    return PartialState(cpu=several_without_gpu(), timeout=LONGEST_WAIT)


@contextmanager
def open_together(out: Path, plan: Mapping[str, Any]) -> Iterator[Run]:
    """As `Run.open`, for processes that train together: the main one locks and writes."""
    state = processes()
    opened = Run.open(out, plan) if state.is_main_process else nullcontext(Run(out, is_main=False))
    with opened as run:
        state.wait_for_everyone()
        yield run


def several_without_gpu() -> bool:
    """Whether there are several processes, on a machine without a GPU."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()


def weights_are_sharded() -> bool:
    """Whether the processes were started for FSDP or DeepSpeed, which divide the weights."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(name, "false").lower() == "true" for name in names)


def refuse_sharded(what: str) -> None:
    """Raises LongbioError where the processes were started for FSDP or DeepSpeed, which divide the weights,
    and `what` ("early stopping needs") them whole."""
    if weights_are_sharded():
        raise LongbioError(f"{what} whole weights", remedy="start the processes without FSDP and DeepSpeed")
