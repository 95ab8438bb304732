"""What work costs besides time: memory, and energy where the machine says it."""

from __future__ import annotations

import ctypes
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"
SECONDS_BETWEEN_READINGS = 20.0
BYTES_PER_MB = 1_000_000
BYTES_PER_KIB = 1024

Counter = Callable[[], float]
"""Joules used since the last call."""


class Meter:
    """Measures what is done inside `with`.

    Energy is the whole machine's, as its own counters have it: of the CPU packages (RAPL) and of the GPU
    in use (NVML). What else runs meanwhile counts too.

    Args:
        counters: of energy; those of this machine when None.
    """

    def __init__(self, counters: list[Counter] | None = None) -> None:
        self.counters = energy_counters() if counters is None else counters
        self.joules = 0.0
        self.is_over = threading.Event()
        self.reader = threading.Thread(target=self._read_on, daemon=True)

    def __enter__(self) -> Self:
        self._read()
        self.joules = 0.0
        if self.counters:
            self.reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over.set()
        if self.counters:
            self.reader.join()
            self._read()

    @property
    def energy_joules(self) -> float | None:
        """None where no counter can be read."""
        return self.joules if self.counters else None

    def _read_on(self) -> None:
        # RAPL's counters begin again from 0, on large machines within the hour.
        while not self.is_over.wait(SECONDS_BETWEEN_READINGS):
            self._read()

    def _read(self) -> None:
        self.joules += sum(counter() for counter in self.counters)


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


def energy_counters() -> list[Counter]:
    """Those that can be read here; none in most containers, whose CPUs keep theirs from all but root."""
    packages = [_package(folder) for folder in sorted(POWERCAP.glob("intel-rapl:*")) if _is_package(folder)]
    gpu = _gpu() if torch.cuda.is_available() else None
    return packages + ([] if gpu is None else [gpu])


def _is_package(folder: Path) -> bool:
    """Whether it is a whole CPU package, not a part of one, and may be read."""
    if folder.name.count(":") != 1:
        return False
    try:
        return (folder / "energy_uj").read_text().strip().isdecimal()
    except OSError:
        return False


def _package(folder: Path) -> Counter:
    largest = int((folder / "max_energy_range_uj").read_text())
    last = int((folder / "energy_uj").read_text())

    def used() -> float:
        nonlocal last
        now = int((folder / "energy_uj").read_text())
        microjoules, last = (now - last) % (largest + 1), now
        return microjoules / 1e6

    return used


def _gpu() -> Counter | None:
    """The first GPU's, by NVML: millijoules since the driver was loaded. None before Volta."""
    try:
        library: Any = ctypes.CDLL(NVML)
    except OSError:
        return None
    handle = ctypes.c_void_p()
    name = f"GPU-{torch.cuda.get_device_properties(0).uuid}".encode()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
        return None
    total = ctypes.c_ulonglong()

    def read() -> int | None:
        failed = library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(total))
        return None if failed else total.value

    first = read()
    if first is None:
        return None
    last = first

    def used() -> float:
        nonlocal last
        now = read()
        if now is None:
            return 0.0
        millijoules, last = now - last, now
        return millijoules / 1e3

    return used
