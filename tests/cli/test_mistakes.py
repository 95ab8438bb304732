"""Ordinary mistakes, walked: every command and every setting that names a kernel, a precision, a model, a
format or a place is given a wrong one, and answers in one line before any long work.

The walk is made of the commands' own options and of the settings' own schemas: what is new is walked too.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
import torch
import typer.main
from pydantic import BaseModel

from longbio.benchmarking import quickstart as quickstarting
from longbio.benchmarking import run as benchmarking
from longbio.benchmarking.settings import Benchmark
from longbio.cli import main
from longbio.cli.app import app
from longbio.corpus.records import Document, Span
from longbio.encoders.loading import load, load_tokenizer, quiet
from longbio.errors import LongbioError
from longbio.finetuning.settings import Finetuning
from longbio.pretraining.curriculum import Curriculum
from longbio.tasks.tags import Labels

LONGEST_LINE = 300

SCHEMAS: dict[str, type[BaseModel]] = {
    "pretrain": Curriculum,
    "finetune": Finetuning,
    "benchmark": Benchmark,
}

NAMED = {
    "kernel": "kernel",
    "precision": "precision",
    "model": "model",
    "models": "model",
    "source": "model",
    "tokenizer": "model",
    "hub": "data set",
    "out": "out",
    "cache": "out",
    "format_name": "format",
    "format": "format",
    "read_as": "format",
    "encoding": "encoding",
    "task_name": "task",
    "device": "device",
}
"""What a setting names, by its own name. Others of type Path are read from."""

WRONG: dict[str, tuple[str, ...]] = {
    "kernel": ("foo", "flash"),
    "precision": ("float8", "bfloat16"),
    "device": ("foo", "cuda:77"),
    "model": ("nowhere/at/all", "EMPTY", "FILE", "CONFIG", "BROKEN"),
    "data set": ("nowhere/at/all",),
    "out": ("FILE/below",),
    "path": ("nowhere/at/all", "EMPTY", "BINARY"),
    "format": ("foo",),
    "encoding": ("foo",),
    "task": ("foo",),
}

RIGHT_ANYWAY = {
    # An empty vocabulary proposes nothing; the others are read as what they are.
    ("vocab mine", "from_vocab", "EMPTY"),
}

FOUND_BY_READING = {("pretrain", "--set validation.corpus.paths", "BINARY")}
"""What can't be known before other work is done."""


def is_named(name: str, annotation: Any) -> str | None:
    """Whether a setting names something, and what."""
    types = {annotation, *get_args(annotation)}
    if name in NAMED and (types & {str, Path} or name == "precision" or dict in types or str in types):
        return NAMED[name]
    return "path" if Path in types or Path in {each for one in types for each in get_args(one)} else None


def settings_of(model: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(key, what it names) of every setting in a schema that names something, and of those within it."""
    if issubclass(model, BaseModel):
        hints = {name: field.annotation for name, field in model.model_fields.items()}
    else:
        hints = {field.name: get_type_hints(model)[field.name] for field in dataclasses.fields(model)}
    for name, annotation in hints.items():
        kind = is_named(name, annotation)
        inner = f"{prefix}{name}"
        if kind is not None:
            yield f"{inner}.short" if name == "models" else inner, kind
        elif nested := nested_in(annotation):
            text = str(annotation)
            step = ".one" if text.startswith("dict") else ".0" if text.startswith(("list", "tuple")) else ""
            for each in nested:
                yield from settings_of(each, f"{inner}{step}.")


def nested_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        return [annotation]
    return [
        one for argument in get_args(annotation) if argument is not NoneType for one in nested_in(argument)
    ]


def commands(group: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """(name, command) of all of them: `vocab mine`."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def walked() -> Iterator[tuple[str, str, str]]:
    """(command, option or setting, wrong value)."""
    for name, command in commands():
        callback_types = get_type_hints(command.callback)
        for param in command.params:
            kind = is_named(param.name, callback_types.get(param.name))
            for wrong in WRONG[kind] if kind else ():
                yield name, param.name, wrong
        if name in SCHEMAS:
            for key, kind in dict.fromkeys(settings_of(SCHEMAS[name])):
                for wrong in WRONG[kind]:
                    yield name, f"--set {key}", wrong


WALK = [each for each in walked() if each not in RIGHT_ANYWAY]


@pytest.fixture(scope="module")
def place(
    tiny_bert_folder: Path, tiny_long_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What commands are given when all is right, by name; and things that are wrong, in capitals."""
    home = tmp_path_factory.mktemp("mistakes")
    for split in ("train", "dev", "test"):
        rows = "".join(f"the patient has {n % 2}\tc{n % 2}\n" for n in range(8))
        (home / f"{split}.tsv").write_text(f"text\tlabel\n{rows}")
    (home / "notes").mkdir()
    for n in range(40):
        (home / "notes" / f"{n}.txt").write_text(f"the patient {n} has the drug " * 5)
    (home / "gold").mkdir()
    (home / "gold" / "a.txt").write_text("the drug")
    (home / "gold" / "a.ann").write_text("T1\tDrug 4 8\tdrug\n")
    (home / "terms.txt").write_text("warfarinx\n")
    (home / "empty").mkdir()
    (home / "file").write_text("a file")
    (home / "binary.txt").write_bytes(b"\x00\xff\xfe\x00PK\x03\x04" * 9)
    (home / "binary").mkdir()
    (home / "config").mkdir()
    (home / "config" / "config.json").write_text((tiny_long_folder / "config.json").read_text())
    (home / "broken").mkdir()
    for file in tiny_long_folder.iterdir():
        (home / "broken" / file.name).write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    names = Labels.of([Document("a", "x", (Span.of(0, 1, "Drug"),))]).names()
    with quiet(), torch.random.fork_rng():
        tagger = load(tiny_bert_folder, "ner", id2label=names, label2id={v: k for k, v in names.items()})
        masked = load(tiny_bert_folder, "mlm", new_head=True)
    for model, folder in ((tagger, home / "ner"), (masked, home / "mlm")):
        model.save_pretrained(folder)
        load_tokenizer(tiny_bert_folder).save_pretrained(folder)
    made = {
        name: str(home / name)
        for name in ("notes", "gold", "terms.txt", "ner", "mlm", "file", "train.tsv", "test.tsv")
    }
    made |= {"short": str(tiny_bert_folder), "home": str(home)}
    wrong = {"EMPTY": "empty", "FILE": "file", "BINARY": "binary.txt", "CONFIG": "config", "BROKEN": "broken"}
    made |= {name: str(home / file) for name, file in wrong.items()}
    write_configs(home, made)
    return made


def write_configs(home: Path, made: dict[str, str]) -> None:
    plan = {
        "task": {"kind": "classification"},
        "model": made["short"],
        "out": "OUT",
        "data": {"path": str(home)},
        "recipe": {"learning_rate": 1e-3, "batch": 4, "max_steps": 1},
    }
    phase = {"name": "one", "sequence_tokens": 64, "steps": 1, "learning_rate": 1e-3}
    curriculum = {
        "model": made["mlm"],
        "out": "OUT",
        "cache": str(home / "cache"),
        "corpora": {"one": {"paths": [made["notes"]]}},
        "validation": {"share": 0.3, "lengths": [64]},
        "phases": [phase],
        "trackers": [],
    }
    suite = {
        "title": "Tiny",
        "out": "OUT",
        "models": {"short": made["mlm"]},
        "pretrained": [
            {
                "name": "made",
                "start": "short",
                "config": "pretrain.yaml",
                "new_words": {"terms": made["terms.txt"], "corpus": [made["notes"]]},
            }
        ],
        "arms": [{"name": "made", "model": "made"}],
        "baseline": "made",
        "tasks": [{"name": "classes", "config": "finetune.yaml"}],
        "data": str(home),
    }
    for name, content in (("finetune", plan), ("pretrain", curriculum), ("benchmark", suite)):
        (home / f"{name}.yaml").write_text(json.dumps(content))


ARGUMENTS: dict[str, Callable[[dict[str, str], str], list[str]]] = {
    "doctor": lambda at, out: [],
    "convert": lambda at, out: [at["short"], out, "--max-tokens", "128", "--window", "16"],
    "synthesize": lambda at, out: [out, "--notes", "1"],
    "pretrain": lambda at, out: [f"{at['home']}/pretrain.yaml", "--out", out],
    "finetune": lambda at, out: [f"{at['home']}/finetune.yaml", "--out", out],
    "predict": lambda at, out: [at["ner"], at["notes"], "--out", out],
    "evaluate": lambda at, out: [at["ner"], at["gold"], "--out", out],
    "benchmark": lambda at, out: [f"{at['home']}/benchmark.yaml", "--out", out],
    "quickstart": lambda at, out: ["--out", out],
    "split": lambda at, out: [at["notes"], out],
    "vocab mine": lambda at, out: [at["mlm"], at["notes"]],
    "vocab train": lambda at, out: [at["notes"], "--out", out],
    "vocab extend": lambda at, out: [
        *(at["mlm"], out, "--terms", at["terms.txt"], "--corpus", at["notes"], "--layers", "0,1")
    ],
    "vocab compare": lambda at, out: [
        *(at["mlm"], out, "--terms", at["terms.txt"], "--corpus", at["notes"], "--unseen", at["test.tsv"]),
        *("--layers", "0,1"),
    ],
}


def asked_wrongly(command: str, option: str, wrong: str, at: dict[str, str], out: str) -> list[str]:
    """The words of a command of which one is wrong."""
    words = ARGUMENTS[command](at, out)
    for name in ("EMPTY", "FILE", "BINARY", "CONFIG", "BROKEN"):
        wrong = wrong.replace(name, at[name])
    if option.startswith("--set "):
        key = option.removeprefix("--set ")
        value = json.dumps([wrong] if key.rpartition(".")[2] in ("paths", "corpus") else wrong)
        if key.endswith("hub"):
            words += ["--set", key.removesuffix("hub") + "paths=[]"]
        if key == "tokenizer":
            words += ["--set", "random_weights=true"]
        return [*command.split(), *words, "--set", f"{key}={value}"]
    params = dict(commands())[command].params
    (param,) = [each for each in params if each.name == option]
    if param.param_type_name == "argument":
        place = [each.name for each in params if each.param_type_name == "argument"].index(option)
        words[place] = wrong
        return [*command.split(), *words]
    return [*command.split(), *words, param.opts[0], wrong]


def in_this_process(work: Any, given: Any, tell: Any, title: str) -> str | None:
    """As `worker.run_apart`, without the seconds that a new process takes to begin."""
    try:
        work(given, tell)
    except LongbioError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("command", "option", "wrong"), WALK)
def test_a_mistake_is_one_line(
    command: str,
    option: str,
    wrong: str,
    place: dict[str, str],
    tiny_bert_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if wrong in ("flash", "bfloat16", "cuda:77") and torch.cuda.is_available():
        pytest.skip("bfloat16 and flash are no mistake on a GPU")
    monkeypatch.setattr(benchmarking, "run_apart", in_this_process)
    monkeypatch.setattr(quickstarting, "minilm", lambda: tiny_bert_folder)
    monkeypatch.chdir(tmp_path)
    asked = asked_wrongly(command, option, wrong, place, str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["longbio", *asked])
    with pytest.raises(SystemExit) as stop:
        main()
    said, err = capsys.readouterr()
    assert stop.value.code in (1, 2), "it was taken for right"
    assert "Traceback" not in said + err
    assert "✓" not in said + err or (command, option, wrong) in FOUND_BY_READING, "something was done first"
    # What is wrong is named: all else is right.
    given = json.loads(asked[-1].partition("=")[2]) if option.startswith("--set ") else None
    named = str(given[0] if isinstance(given, list) else given) if given is not None else wrong
    named = place.get(named.removesuffix("/below"), named)
    words = " ".join((said + err).split())
    assert named in words or option.rpartition(".")[2] in words
    if stop.value.code == 1 and command != "benchmark":
        assert err.startswith("longbio: ")
        assert err.count("\n") == 1
        assert len(err) - len("longbio: ") <= LONGEST_LINE + len(str(tmp_path)) + len(place["home"])
