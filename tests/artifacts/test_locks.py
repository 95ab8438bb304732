"""One process at a time, and the next when it is done."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from longbio.artifacts.locks import alone, locked
from longbio.errors import LongbioError

HOLD = """
import sys, time
from pathlib import Path
from longbio.artifacts.locks import locked
with locked(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""


def test_others_are_refused_or_wait(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(LongbioError, match="another process is writing there"), locked(tmp_path):
            pass
        start = time.monotonic()
        killing = threading.Timer(0.5, holder.kill)
        killing.start()
        with locked(tmp_path, wait=True):
            assert time.monotonic() - start > 0.3
        killing.join()
    with locked(tmp_path), pytest.raises(LongbioError), locked(tmp_path):
        pass


MAKE = HOLD.replace("import locked", "import alone").replace("with locked", "with alone")


def test_who_makes_a_folder_is_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    command = [sys.executable, "-c", MAKE, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(LongbioError, match="model: another process is writing there"), alone(target):
            pass
        with alone(tmp_path / "deep" / "another"):
            pass
        holder.kill()
    # The lock of a process that was killed binds nobody.
    with alone(target):
        target.mkdir()
        with pytest.raises(LongbioError), alone(target):
            pass
    assert [entry.name for entry in target.parent.iterdir()] == ["model"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="can't be opened"), locked(tmp_path / "none"):
        pass
