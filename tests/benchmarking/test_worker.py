"""Work in another process: what it tells, how it fails, what becomes of it when nobody waits any more."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from longbio.benchmarking import worker
from longbio.benchmarking.worker import run_apart
from longbio.errors import LongbioError
from longbio.progress import Narrator, Silence


class Told(Silence):
    """Remembers all that is told, in order."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        self.said.append((title, total))
        return lambda step, words: self.said.append((step, words))

    def end(self, result: str) -> None:
        self.said.append(result)

    def fail(self, what: str) -> None:
        self.said.append(f"failed: {what}")


# What the new process does has to be found by its name: functions of a module, one call for all.
def do(given: Mapping[str, Any], tell: Narrator) -> None:
    if given["what"] == "tell":
        advance = tell.begin("count", 2)
        advance(1, f"in process {os.getpid()}")
        tell.end("counted")
        tell.fail("no more" if logging.getLogger("DeepSpeed").filters else "no more, and DeepSpeed is loud")
    elif given["what"] == "refuse":
        raise LongbioError("there is nothing", where="here", remedy="look there")
    elif given["what"] == "break":
        raise ZeroDivisionError
    elif given["what"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def test_it_tells_and_fails_as_if_it_were_here() -> None:
    told = Told()
    assert run_apart(do, {"what": "tell"}, told, "cell") is None
    assert told.said[0] == ("cell: count", 2)
    assert told.said[2:] == ["counted", "failed: no more"]
    number = int(told.said[1][1].removeprefix("in process "))
    assert number != os.getpid()

    assert run_apart(do, {"what": "refuse"}, told, "cell") == "here: there is nothing; look there"
    assert run_apart(do, {"what": "die"}, told, "cell") == (
        "its process was ended by SIGKILL, as when memory is short"
    )


BROKEN = """
import sys
sys.path.insert(0, sys.argv[1])
import test_worker
print(test_worker.run_apart(test_worker.do, {"what": "break"}, test_worker.Told(), "cell"))
"""


def test_what_a_broken_process_says_is_seen() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "its process ended with code 1; what it said of that stands above\n"
    assert "ZeroDivisionError" in done.stderr


SLEEPER = """
import sys, time
sys.path.insert(0, {tests!r})
import sleeper
from longbio.benchmarking.worker import run_apart
from longbio.progress import Silence
if __name__ == "__main__":
    run_apart(sleeper.sleep, {{"file": {file!r}}}, Silence(), "cell")
"""
SLEEP = """
import os, time
def sleep(given, tell):
    with open(given["file"], "w") as file:
        file.write(str(os.getpid()))
    time.sleep(300)
"""


def test_nobody_goes_on_when_the_benchmark_is_killed(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEP)
    script, file = tmp_path / "main.py", tmp_path / "pid"
    script.write_text(SLEEPER.format(tests=str(tmp_path), file=str(file)))
    waiting = subprocess.Popen([sys.executable, str(script)])
    until(lambda: file.is_file() and file.read_text())
    number = int(file.read_text())
    assert is_alive(number)
    waiting.send_signal(signal.SIGKILL)
    waiting.wait()
    until(lambda: not is_alive(number))


def until(what: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_alive(number: int) -> bool:
    try:
        # A dead one whose parent hasn't asked for it stays as a zombie.
        return Path(f"/proc/{number}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_how_a_process_ended_is_said() -> None:
    assert worker._in_words(0) is None
    assert "SIGTERM" in str(worker._in_words(-15))
    assert "code 3" in str(worker._in_words(3))


ASKED = """
import torch.cuda

asked = []
for name in ("is_available", "device_count", "init", "_lazy_init"):
    setattr(torch.cuda, name, lambda *_, name=name: asked.append(name))
import longbio.benchmarking.made_models, longbio.benchmarking.worker
import longbio.prediction.predictor, longbio.vocabulary.text_lots

assert not asked, asked
"""


def test_what_the_server_of_processes_imports_never_asks_for_a_gpu() -> None:
    """A process that has asked CUDA anything can't be forked into others that use it."""
    subprocess.run([sys.executable, "-c", ASKED], check=True)
