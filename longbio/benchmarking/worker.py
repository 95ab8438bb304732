"""Work in a separate process: with memory of its own, and if it dies, nothing else does."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from longbio.artifacts.atomic_files import read_json, write_json
from longbio.encoders.loading import quiet
from longbio.errors import LongbioError
from longbio.finetuning.run import RESULTS, finetune
from longbio.finetuning.settings import Finetuning
from longbio.progress import Narrator, hush_deepspeed
from longbio.workers import end_with, interrupts_held_back, processes_for

BYTES_PER_MB = 1_000_000
BYTES_PER_KIB = 1024

CELL, INTERRUPTED = "cell.json", "interrupted"

Work = Callable[[Mapping[str, Any], Narrator], None]
"""A function of a module, and what it is given: plain data."""


def run_apart(work: Work, inputs: Mapping[str, Any], tell: Narrator, title: str) -> str | None:
    """Do work in a new process, and wait for it; its progress is told here, after the title.

    Returns:
        Why it failed, in one line; None when it is done.
    """
    context = processes_for(work)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(work, dict(inputs), theirs))
    # Ctrl-C goes to this process, which ends the other.
    with interrupts_held_back():
        process.start()
    theirs.close()
    try:
        failed = _listen(ours, tell, title)
        process.join()
    finally:
        if process.is_alive():
            process.terminate()
            process.join()
    return failed if failed is not None else _in_words(process.exitcode)


def learn_cell(settings: Mapping[str, Any], tell: Narrator) -> None:
    """Run a plan of fine-tuning, as JSON has it, and leave what it cost in its folder.

    Raises:
        LongbioError: as `finetune`.
    """
    plan = Finetuning.model_validate(settings)
    out = plan.out
    has_begun = any(out.glob("seed-*")) or any(out.glob("grid/*"))
    if any(out.glob("**/*.training")):
        # Seconds of a model that was resumed are only those since then.
        (out / INTERRUPTED).touch()
    before = _changed_at(out / RESULTS)
    finetune(plan, tell)
    file = out / CELL
    if file.is_file() and _changed_at(out / RESULTS) == before:
        cost = read_json(file)["cost"]
    else:
        cost = {
            "peak_memory_mb": None if has_begun else peak_memory_mb(),
            "was_interrupted": (out / INTERRUPTED).is_file(),
        }
    write_json(file, {"cost": cost})


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


def _do(work: Work, inputs: Mapping[str, Any], connection: Connection) -> None:
    """What the new process does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    # When a benchmark is killed, this process ends too, and writes no more.
    end_with(parent.sentinel)
    warnings.filterwarnings("ignore")
    hush_deepspeed()
    try:
        with quiet():
            work(inputs, _Relay(connection))
    except LongbioError as error:
        connection.send(("failed", str(error)))


class _Relay:
    """A `Narrator` whose words are told in another process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        self.connection.send(("begin", title, total))
        return lambda step, words: self.connection.send(("step", step, words))

    def end(self, result: str) -> None:
        self.connection.send(("end", result))

    def fail(self, what: str) -> None:
        self.connection.send(("fail", what))


def _listen(connection: Connection, tell: Narrator, title: str) -> str | None:
    """Tell what a process says until it ends; returns why it failed, if it says so."""
    advance: Callable[[int, str], None] = lambda step, words: None  # noqa: E731
    while True:
        try:
            kind, *said = connection.recv()
        except EOFError:
            return None
        match kind:
            case "begin":
                advance = tell.begin(f"{title}: {said[0]}", said[1])
            case "step":
                advance(*said)
            case "end":
                tell.end(said[0])
            case "fail":
                tell.fail(said[0])
            case _:
                return str(said[0])


def _in_words(code: int | None) -> str | None:
    """Why a process ended that didn't say it."""
    if code == 0:
        return None
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}, as when memory is short"
    return f"its process ended with code {code}; what it said of that stands above"


def _changed_at(file: Path) -> int | None:
    return file.stat().st_mtime_ns if file.is_file() else None
