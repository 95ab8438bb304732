"""The processes that train together."""

from __future__ import annotations

import os

import torch
from accelerate import PartialState


def processes() -> PartialState:
    """This process and its fellows, as `accelerate launch` or `torchrun` started them.

    On machines without a GPU they talk through gloo.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=several and not torch.cuda.is_available())
