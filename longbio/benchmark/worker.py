"""Work in a process of its own: its memory is its own, and what ends it ends nothing else."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from longbio.artifacts.checkpoints import CONFIG_FILE, TOKENIZER_FILES, weight_files
from longbio.artifacts.files import read_json, sha256_of, write_json
from longbio.benchmark.cost import peak_memory_mb
from longbio.encoders.loading import quiet
from longbio.errors import LongbioError
from longbio.finetuning.data import places_of
from longbio.finetuning.run import RESULTS, finetune
from longbio.finetuning.settings import Finetuning
from longbio.progress import Narrator
from longbio.workers import end_with, interrupts_held_back

CELL, INTERRUPTED = "cell.json", "interrupted"

Work = Callable[[Mapping[str, Any], Narrator], None]
"""A function of a module, and what it is given: plain data."""


def run_apart(work: Work, given: Mapping[str, Any], tell: Narrator, title: str) -> str | None:
    """Do work in a new process, and wait for it.

    Args:
        work: what to do; it tells of its progress as if it were here.
        given: for it.
        tell: told of it.
        title: before all that is told.

    Returns:
        Why it failed, in one line; None when it is done.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(work, dict(given), theirs))
    # Ctrl-C is for this one, which ends the other.
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
    return failed if failed is not None else _spoken(process.exitcode)


def learn_cell(given: Mapping[str, Any], tell: Narrator) -> None:
    """Run a plan of fine-tuning, and leave what it cost in its folder.

    Args:
        given: a `Finetuning`, as JSON has it.
        tell: told of the progress.

    Raises:
        LongbioError: as `finetune`.
    """
    plan = Finetuning.model_validate(given)
    out = plan.out
    has_begun = any(out.glob("seed-*")) or any(out.glob("grid/*"))
    if any(out.glob("**/*.training")):
        # The seconds of a model that was taken up again are those of its end alone.
        (out / INTERRUPTED).touch()
    inputs = inputs_of(plan)
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
    write_json(file, {"plan": dict(given), "inputs": inputs, "cost": cost})


def inputs_of(plan: Finetuning) -> dict[str, str | None]:
    """SHA-256 of the `model` and of the `data` that a plan names; None of what isn't there."""
    model = _of_model(Path(plan.model))
    try:
        named = places_of(plan.data)
    except LongbioError:
        return {"model": model, "data": None}
    digest = hashlib.sha256()
    for path in (path for path in named.values() if path is not None):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(path)} {_of_file(file)}\n".encode())
    return {"model": model, "data": digest.hexdigest()}


def _of_model(folder: Path) -> str | None:
    folder = folder.expanduser()
    if not (folder / CONFIG_FILE).is_file():
        return None
    files = [*weight_files(folder), *(folder / name for name in (CONFIG_FILE, *TOKENIZER_FILES))]
    known = sorted(f"{file.name} {_of_file(file)}" for file in files if file.is_file())
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def _of_file(file: Path) -> str:
    state = file.stat()
    return _read_once(file, state.st_size, state.st_mtime_ns)


@functools.cache
def _read_once(file: Path, size: int, changed_ns: int) -> str:
    """Read again when its size or its time of change is another."""
    return sha256_of(file)


def _do(work: Work, given: Mapping[str, Any], connection: Connection) -> None:
    """What the new process does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A benchmark that is killed leaves nobody who writes into its folders.
    end_with(parent.sentinel)
    warnings.filterwarnings("ignore")
    try:
        with quiet():
            work(given, _Relay(connection))
    except LongbioError as error:
        connection.send(("failed", str(error)))


class _Relay:
    """A narrator whose words are told in another process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        """See `Narrator.begin`."""
        self.connection.send(("begin", title, total))
        return lambda step, words: self.connection.send(("step", step, words))

    def end(self, result: str) -> None:
        """See `Narrator.end`."""
        self.connection.send(("end", result))

    def fail(self, what: str) -> None:
        """See `Narrator.fail`."""
        self.connection.send(("fail", what))


def _listen(connection: Connection, tell: Narrator, title: str) -> str | None:
    """Tell what a process says until it ends; returns why it failed, if it says so."""
    advance: Callable[[int, str], None] = lambda step, words: None  # noqa: E731
    while True:
        try:
            kind, *said = connection.recv()
        except EOFError:
            return None
        if kind == "begin":
            advance = tell.begin(f"{title}: {said[0]}", said[1])
        elif kind == "step":
            advance(*said)
        elif kind == "end":
            tell.end(said[0])
        elif kind == "fail":
            tell.fail(said[0])
        else:
            return str(said[0])


def _spoken(code: int | None) -> str | None:
    """Why a process ended that didn't say it."""
    if code == 0:
        return None
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}, as for want of memory"
    return f"its process ended with code {code}; what it said of that stands above"


def _changed_at(file: Path) -> int | None:
    return file.stat().st_mtime_ns if file.is_file() else None
