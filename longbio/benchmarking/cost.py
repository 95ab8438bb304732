"""What work costs besides time: memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

BYTES_PER_MB = 1_000_000
BYTES_PER_KIB = 1024


def peak_memory_mb() -> float:
    """The most that this process has held: on the GPU where it uses one, else in memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / BYTES_PER_MB
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: there a process inherits the peak of the one that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * BYTES_PER_KIB / BYTES_PER_MB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else BYTES_PER_KIB) / BYTES_PER_MB
