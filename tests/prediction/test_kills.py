"""Killed by the system, in one process or in several, a prediction goes on to the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from longbio import workers
from longbio.corpus.records import Document
from longbio.errors import LongbioError
from longbio.prediction import lots, predictor
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.lots import Lot, lots_of
from longbio.prediction.predictor import Model

Reader = Callable[..., Model]

RUN = """
import sys, time
from pathlib import Path
import torch
from longbio.prediction import lots
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.predictor import Model
from longbio.tasks.ner import Entities

if __name__ == "__main__":
    torch.set_num_threads(1)
    lots.LOT_NOTES = 3
    folder, notes, out, output, processes = sys.argv[1:]
    annotate(
        Model(Path(folder), Entities(types=("Drug",)), batch_tokens=512),
        Notes(Path(notes)), Path(out), output=output, processes=int(processes),
        on_note=lambda done, tokens: (print(done, flush=True), time.sleep(0.05)),
    )
"""


def begin(folder: Path, notes: Path, out: Path, output: str, processes: int, home: Path) -> Any:
    (home / "run.py").write_text(RUN)
    command = [sys.executable, str(home / "run.py"), str(folder), str(notes), str(out), output]
    return subprocess.Popen([*command, str(processes)], stdout=subprocess.PIPE, text=True)


def notes_in(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.txt").write_text("the patient, drug 7. " * (1 + number % 9))
    return folder


def tree(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}


@pytest.mark.parametrize(("output", "processes", "kills"), [("jsonl", 1, ("6", "30")), ("html", 2, ("12",))])
def test_killed_again_and_again(
    output: str,
    processes: int,
    kills: tuple[str, ...],
    reader_of: Reader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, notes = reader_of().folder, notes_in(tmp_path / "in", 60)
    monkeypatch.setattr(lots, "LOT_NOTES", 3)
    model = replace(reader_of(), batch_tokens=512)
    annotate(model, Notes(notes), tmp_path / "whole", output=output)

    def run(out: str) -> Any:
        return begin(folder, notes, tmp_path / out, output, processes, tmp_path)

    for kill_at in kills:
        with run("out") as killed:
            for line in killed.stdout:
                if line.strip() == kill_at:
                    # Somewhere in the lot that follows.
                    time.sleep(0.06)
                    others = psutil.Process(killed.pid).children(recursive=True)
                    killed.send_signal(signal.SIGKILL)
                    break
        assert killed.returncode == -signal.SIGKILL
        _, alive = psutil.wait_procs(others, timeout=20)
        assert not alive, "processes without their first go on for ever"
        assert tree(tmp_path / "out") != tree(tmp_path / "whole")
    with run("out") as last:
        told = [int(line) for line in last.stdout]
    assert last.returncode == 0
    assert told[0] >= int(kills[-1])
    assert told[-1] == 60
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_several_processes_say_the_same_in_the_same_order(reader_of: Reader, tmp_path: Path) -> None:
    notes = Notes(notes_in(tmp_path / "in", 9))
    for processes in (1, 2):
        annotate(reader_of(), notes, tmp_path / str(processes), processes=processes)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_a_process_that_dies_is_told_of(reader_of: Reader, tmp_path: Path) -> None:
    def one_at_a_time() -> Any:
        for document in documents(4):
            yield Lot((document,), "")
            for server in psutil.Process().children():
                # What was killed a lot ago is a zombie, or gone.
                with suppress(psutil.NoSuchProcess):
                    if "forkserver" in " ".join(server.cmdline()):
                        for worker in server.children():
                            worker.kill()

    with pytest.raises(LongbioError, match="a process has died"):
        list(predictor.outcomes_of(reader_of(), one_at_a_time(), 2))


def test_a_process_that_dies_while_another_starts_is_told_of(
    reader_of: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: Any) -> None:
        raise OSError("handle is closed")

    monkeypatch.setattr(workers.ProcessPoolExecutor, "submit", closed)
    with pytest.raises(LongbioError, match="a process has died"):
        list(predictor.outcomes_of(reader_of(), lots_of(documents(1), ""), 2))


def documents(count: int) -> Any:
    return [Document(str(number), "drug 7") for number in range(count)]


def test_what_is_wrong_with_a_model_is_told_by_its_process(reader_of: Reader, tmp_path: Path) -> None:
    model = Model(tmp_path / "nowhere", reader_of().task)
    with pytest.raises(LongbioError, match="nowhere"):
        list(predictor.outcomes_of(model, lots_of(documents(1), ""), 2))
