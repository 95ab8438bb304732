"""Every command, killed at random moments and begun again, ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoModelForMaskedLM, AutoTokenizer

from longbio.corpus.records import Document
from longbio.corpus.synthetic import synthesize
from longbio.corpus.writers import brat, jsonl
from longbio.finetuning.learn import learn
from longbio.finetuning.settings import Recipe
from longbio.tasks.ner import Entities
from tests.commands import begin, drug_notes

KILLS = 3
MEASURED = {"seconds", "cost", "tokens_per_second", "training_seconds", "peak_memory_mib"}
"""What a run measures of its machine and clock."""

PASSING = {".png", ".html", ".md", ".csv", ".lock"}
"""Pages and pictures made of results; they hold what was measured."""


@pytest.fixture(scope="module")
def home(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, notes and configurations of work of a second or two, all read by relative paths."""
    folder = tmp_path_factory.mktemp("home")
    notes = drug_notes(12)
    for split, part in (("train", notes[:6]), ("dev", notes[6:9]), ("test", notes[9:])):
        brat.write(part, folder / "data" / split)
    jsonl.write([Document(note.id, note.text) for note in synthesize(6)], folder / "texts")
    AutoModelForMaskedLM.from_pretrained(tiny_bert_folder).save_pretrained(folder / "mlm")
    AutoTokenizer.from_pretrained(tiny_bert_folder).save_pretrained(folder / "mlm")
    recipe = Recipe(learning_rate=1e-3, batch=2, max_steps=1, epochs=1)
    learn(tiny_bert_folder, notes[:2], [], Entities(sample_tokens=60), recipe, folder / "ner", seed=0)
    (folder / "in").mkdir()
    for number in range(300):
        (folder / "in" / f"{number}.txt").write_text(f"the patient {number} takes drug 7. " * 20)
    phase = {"learns": "all", "sequence_tokens": 64, "batch_tokens": 256, "steps": 12, "learning_rate": 1e-3}
    configs: dict[str, Any] = {
        "pretrain": {
            "model": "mlm",
            "out": "out",
            "cache": "cache",
            "corpora": {"notes": {"paths": ["texts"]}},
            "validation": {"share": 0.3, "tokens": 200, "lengths": [64]},
            "phases": [{"name": name, **phase} for name in ("one", "two")],
            "machine": {"save_steps": 3},
            "trackers": [],
        },
        "finetune": {
            "task": {"kind": "ner", "sample_tokens": 60},
            "model": "mlm",
            "out": "out",
            "data": {"path": "data"},
            "recipe": {"learning_rate": 1e-3, "batch": 2, "epochs": 100, "max_steps": 12},
            "machine": {"save_steps": 3},
            "seeds": [0, 1],
        },
        "suite": {
            "title": "Tiny",
            "out": "out",
            "models": {"short": "mlm"},
            "arms": [{"name": name, "model": "short", "reads": name} for name in ("chunks-max", "first")],
            "tasks": [{"name": "notes", "config": "finetune.yaml"}],
            "baseline": "first",
            "data": "data",
            "seeds": [0],
            "chunk_tokens": 64,
        },
    }
    for name, config in configs.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return folder


# Forced: a kill may come when the file is there and the command not yet at its end.
TERMS = ["--size", "20", "--min-documents", "2", "--out", "out/terms.jsonl", "--force"]
CONTEXTS = ["--terms", "terms.txt", "--corpus", "texts", "--layers", "0,1"]
COMMANDS = {
    "convert": ["convert", "mlm", "out/long", "--max-tokens", "256", "--window", "32"],
    "pretrain": ["pretrain", "pretrain.yaml"],
    "finetune": ["finetune", "finetune.yaml"],
    "evaluate": ["evaluate", "ner", "data/test", "--out", "out/scored"],
    "predict": ["predict", "ner", "in", "--out", "out"],
    "benchmark": ["benchmark", "suite.yaml"],
    "vocab mine": ["vocab", "mine", "mlm", "texts", *TERMS],
    "vocab extend": ["vocab", "extend", "mlm", "out/more", *CONTEXTS],
    "synthesize": ["synthesize", "out/notes", "--notes", "8"],
    "split": ["split", "in", "out/divided"],
}


def finished(arguments: list[str], folder: Path) -> float:
    """How many seconds a command takes that nobody kills."""
    started = time.monotonic()
    command = begin(arguments, folder)
    assert command.end() == 0, command.said.read_text()
    return time.monotonic() - started


def without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items() if key not in MEASURED}
    return [without(item) for item in value] if isinstance(value, list) else value


def read(file: Path) -> Any:
    """A file's content without what was measured."""
    if file.suffix == ".json":
        return without(json.loads(file.read_text()))
    if file.suffix == ".jsonl":
        return [without(json.loads(line)) for line in file.read_text().splitlines()]
    return file.read_bytes()


def tree(folder: Path) -> dict[str, Any]:
    files = (file for file in (folder / "out").rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): read(file) for file in files if file.suffix not in PASSING}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_was_killed_ends_with_the_same_files(name: str, home: Path, tmp_path: Path) -> None:
    places = [tmp_path / "whole", tmp_path / "killed"]
    for place in places:
        place.mkdir()
        (place / "out").mkdir()
        (place / "terms.txt").write_text("nephropathy\nemergency\n")
        for source in home.iterdir():
            (place / source.name).symlink_to(source)
    whole, killed = places
    if name in ("finetune", "pretrain", "benchmark", "predict"):
        for place in places:
            (place / "out").rmdir()
    seconds = finished(COMMANDS[name], whole)

    draw = random.Random(name)
    # The earliest first: what is finished before a later moment has been killed once.
    moments = sorted(draw.uniform(0.02, 0.95) * seconds for _ in range(KILLS))
    ends = []
    for moment in moments:
        command = begin(COMMANDS[name], killed)
        command.end(moment)
        ends.append(command.kill())
        if ends[-1] == 0:
            break
    else:
        finished(COMMANDS[name], killed)
    assert -signal.SIGKILL in ends
    assert tree(killed) == tree(whole)
    names = {path.name for path in killed.rglob("*") if path.is_file()}
    assert not {name for name in names if ".partial" in name}
