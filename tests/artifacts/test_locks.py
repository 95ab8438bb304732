"""One process at a time, and the next when it is done."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from longbio.artifacts.locks import hold_lock
from longbio.errors import LongbioError

HOLD = """
import sys, time
from pathlib import Path
from longbio.artifacts.locks import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""


def test_others_are_refused_or_wait_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    command = [sys.executable, "-c", HOLD, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(LongbioError, match="model: another process is writing there"), hold_lock(target):
            pass
        with hold_lock(tmp_path / "deep" / "another"):
            pass
        start = time.monotonic()
        killing = threading.Timer(0.5, holder.kill)
        killing.start()
        # The lock of a process that was killed binds nobody.
        with hold_lock(target, wait=True):
            assert time.monotonic() - start > 0.3
        killing.join()
    with hold_lock(target):
        target.mkdir()
        with pytest.raises(LongbioError), hold_lock(target):
            pass
    assert [entry.name for entry in target.parent.iterdir()] == ["model"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LongbioError, match="can't be made"), hold_lock(tmp_path / "file" / "model"):
        pass
