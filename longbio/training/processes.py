"""The processes that train together."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from accelerate import PartialState

LONGEST_WAIT = timedelta(hours=12)
"""The others wait while the main process tokenises; by default NCCL gives up after ten minutes."""


def processes() -> PartialState:
    """This process and its fellows, as `accelerate launch` or `torchrun` started them.

    On machines without a GPU they talk through gloo.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=several and not torch.cuda.is_available(), timeout=LONGEST_WAIT)


def weights_are_sharded() -> bool:
    """Whether the processes were started for FSDP or DeepSpeed, which divide the weights."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(name, "false").lower() == "true" for name in names)
