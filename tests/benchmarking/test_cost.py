"""Memory: of the work alone."""

from __future__ import annotations

import subprocess
import sys

from longbio.benchmarking.worker import peak_memory_mb


def test_a_process_has_its_own_peak() -> None:
    """Not the one of the process that started it, which has a tensor of 600 MB."""
    filled = bytearray(600_000_000)
    filled[::4096] = b"x" * len(filled[::4096])
    here = peak_memory_mb()
    assert here > 600
    code = "from longbio.benchmarking.worker import peak_memory_mb; print(peak_memory_mb())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    del filled
    assert 20 < float(found.stdout) < here - 300
