"""A real Ctrl-C to real commands: one line, exit code 130, and nobody left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from longbio.corpus.writers import brat
from longbio.finetuning.learn import learn
from longbio.finetuning.settings import Recipe
from longbio.tasks.ner import Entities
from tests.commands import drug_notes

# A shell's background job ignores Ctrl-C, and so would whatever is begun here.
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from longbio.cli import main; main()"
)
SAID = "longbio: interrupted; run the same command again to go on\n"
STEPS = 100_000


@pytest.fixture(scope="module")
def home(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configurations of work without an end, and notes for it."""
    folder = tmp_path_factory.mktemp("home")
    notes = drug_notes(8)
    for split, part in (("train", notes[:4]), ("dev", notes[4:6]), ("test", notes[6:])):
        brat.write(part, folder / "data" / split)
    # No two of them alike, or they would be near-duplicates of those that are held out.
    draw = random.Random(0)
    letters = (" ".join("".join(draw.choices("abcdefgh", k=5)) for _ in range(40)) for _ in range(60))
    (folder / "notes.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in letters))
    # 25 MB for the processes of `vocab` to read.
    (folder / "many.jsonl").write_text((json.dumps({"text": "acetylsalicylic acid " * 400}) + "\n") * 3_000)
    pretraining = {
        "model": str(tiny_bert_folder),
        "out": str(folder / "pretrain"),
        "cache": str(folder / "cache"),
        "corpora": {"notes": {"paths": [str(folder / "notes.jsonl")]}},
        "validation": {"share": 0.3, "tokens": 200, "lengths": [64]},
        "phases": [
            {"name": "long", "learns": "head", "sequence_tokens": 64, "steps": STEPS, "learning_rate": 1e-3}
        ],
        "machine": {"save_steps": STEPS},
        "trackers": [],
    }
    learning = {
        "task": {"kind": "ner", "sample_tokens": 60},
        "model": str(tiny_bert_folder),
        "out": str(folder / "finetune"),
        "data": {"path": str(folder / "data")},
        "recipe": {"learning_rate": 1e-3, "batch": 2, "epochs": STEPS, "max_steps": STEPS},
        "machine": {"save_steps": STEPS},
        "seeds": [0],
    }
    suite = {
        "title": "Tiny",
        "out": str(folder / "benchmark"),
        "models": {"short": str(tiny_bert_folder)},
        "arms": [{"name": name, "model": "short", "reads": name} for name in ("chunks-max", "first")],
        "tasks": [{"name": "notes", "config": "finetune.yaml"}],
        "baseline": "first",
        "data": str(folder / "data"),
        "seeds": [0],
        "chunk_tokens": 64,
    }
    for name, config in (("pretrain", pretraining), ("finetune", learning), ("suite", suite)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    recipe = Recipe(learning_rate=1e-3, batch=2, max_steps=1, epochs=1)
    learn(tiny_bert_folder, notes[:2], [], Entities(sample_tokens=60), recipe, folder / "model", seed=0)
    (folder / "in").mkdir()
    for number in range(3000):
        (folder / "in" / f"{number}.txt").write_text("the patient takes drug 7. " * 60)
    return folder


def begin(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """A command in a session of its own, as in a terminal; what it says goes into two files."""
    with (folder / "out.txt").open("w") as out, (folder / "err.txt").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, (folder / "err.txt").read_text() + (folder / "out.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those that work: the children of the server that they come from."""
    servers = [
        child for child in psutil.Process(process.pid).children() if "forkserver" in " ".join(child.cmdline())
    ]
    return [worker for server in servers for worker in server.children()]


COMMANDS: dict[str, tuple[list[str], str, int]] = {
    "pretrain": (["pretrain", "pretrain.yaml"], "phase 1 of 1", 0),
    "finetune": (["finetune", "finetune.yaml"], "seed 0", 0),
    "predict": (["predict", "model", "in", "--out", "predicted"], "predict ner", 0),
    "predict, while its processes start": (
        ["predict", "model", "in", "--out", "predicted-by-two", "--processes", "2"],
        "predict ner",
        1,
    ),
    "benchmark": (["benchmark", "suite.yaml"], "1 of 2, notes", 1),
    "vocab": (["vocab", "mine", "BERT", "many.jsonl", "--processes", "2"], "words of the corpus", 2),
    "quickstart": (["quickstart", "--out", "quickstart", "--minutes", "30"], "phase 1 of 1: head", 1),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_how_to_go_on_and_leaves_nobody(
    name: str, home: Path, tiny_bert_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if name == "quickstart":
        request.getfixturevalue("minilm_folder")
    arguments, words, processes = COMMANDS[name]
    paths = [*home.iterdir(), *(home / out for out in ("predicted", "predicted-by-two", "quickstart"))]
    found = {path.name: str(path) for path in paths} | {"BERT": str(tiny_bert_folder)}
    # The first word is the command's own name, as is its folder's.
    command = [arguments[0], *(found.get(word, word) for word in arguments[1:])]
    process = begin(command, tmp_path)
    try:
        wait_until(lambda: words in (tmp_path / "out.txt").read_text(), process, tmp_path)
        wait_until(lambda: len(children_of(process)) >= processes, process, tmp_path)
        time.sleep(0.3)
        others = children_of(process)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
        _, alive = psutil.wait_procs(others, timeout=20)
    finally:
        process.kill()
    assert (tmp_path / "err.txt").read_text() == SAID
    assert process.returncode == 130
    assert "Traceback" not in (tmp_path / "out.txt").read_text()
    assert "[WARNING]" not in (tmp_path / "out.txt").read_text()
    assert not alive


def test_the_processes_of_vocab_end_with_a_killed_parent(
    home: Path, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    mine = ["vocab", "mine", str(tiny_bert_folder), str(home / "many.jsonl"), "--processes", "2"]
    process = begin(mine, tmp_path)
    wait_until(lambda: len(children_of(process)) == 2, process, tmp_path)
    others = children_of(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(others, timeout=20)
    for each in alive:
        each.kill()
    assert not alive
