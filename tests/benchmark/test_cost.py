"""Memory and energy: of the work alone, and None where nothing can be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from longbio.benchmark import cost
from longbio.benchmark.cost import Meter, energy_counters, peak_memory_mb


def package(folder: Path, name: str, microjoules: int, largest: int = 1000) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "energy_uj").write_text(f"{microjoules}\n")
    (made / "max_energy_range_uj").write_text(f"{largest}\n")
    return made


def test_whole_packages_are_read_and_their_parts_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = package(tmp_path, "intel-rapl:0", 900), package(tmp_path, "intel-rapl:1", 0)
    core = package(tmp_path, "intel-rapl:0:0", 0)
    monkeypatch.setattr(cost, "POWERCAP", tmp_path)
    with Meter(energy_counters()) as meter:
        # 900 up to 1,000 and on from 0 to 99: 200 microjoules; the other one used 5.
        (first / "energy_uj").write_text("99\n")
        (second / "energy_uj").write_text("5\n")
        (core / "energy_uj").write_text("500\n")
    assert meter.energy_joules == pytest.approx((200 + 5) / 1e6)


def test_what_was_used_before_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = package(tmp_path, "intel-rapl:0", 10)
    monkeypatch.setattr(cost, "POWERCAP", tmp_path)
    meter = Meter(energy_counters())
    (folder / "energy_uj").write_text("700\n")
    with meter:
        (folder / "energy_uj").write_text("710\n")
    assert meter.energy_joules == pytest.approx(10 / 1e6)


def test_a_counter_that_goes_round_is_read_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SECONDS_BETWEEN_READINGS", 0.01)
    calls = []

    def counter() -> float:
        calls.append(1)
        return 1.0

    with Meter([counter]) as meter:
        while len(calls) < 5:
            pass
    assert meter.energy_joules == len(calls) - 1


def test_without_counters_there_is_no_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "POWERCAP", tmp_path / "nothing")
    with Meter([]) as meter:
        pass
    assert meter.energy_joules is None


def test_a_process_has_its_own_peak() -> None:
    """Not the one of the process that started it, which has a tensor of 600 MB."""
    filled = bytearray(600_000_000)
    filled[::4096] = b"x" * len(filled[::4096])
    here = peak_memory_mb()
    assert here > 600
    code = "from longbio.benchmark.cost import peak_memory_mb; print(peak_memory_mb())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    del filled
    assert 20 < float(found.stdout) < here - 300
