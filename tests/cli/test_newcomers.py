"""Where a new user stumbled: what a command now takes, and says."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

import longbio
from longbio.cli import main
from longbio.cli.app import app
from longbio.cli.output import HIDDEN, _time_left
from longbio.corpus.readers import count_documents, read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat, jsonl
from longbio.errors import LongbioError
from longbio.finetuning.data import read_data
from longbio.finetuning.evaluate import fine_tuned
from longbio.finetuning.settings import DataSettings
from longbio.progress import hush_deepspeed
from longbio.settings import preset_file, presets, settings_file

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(word, ...): exit code, standard output and standard error of a command."""

    def of(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longbio", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return of


def notes(count: int) -> list[Document]:
    text = "the patient takes drug {}. "
    return [
        Document(
            f"n{n}",
            text.format(n % 10) * 3,
            (Span.of(18, 24, "Drug"),),
            group=f"p{n // 2}",
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for split, count in (("train", 4), ("dev", 2), ("test", 2)):
        brat.write(notes(count), folder / split)
    return folder


def learn(run: Run, model: Path, *more: object) -> tuple[int, str, str]:
    return run(
        *("finetune", "entities", "--model", model, "--max-steps", 1),
        *("--set", "seeds=[1]", "--set", "recipe.batch=2", "--learning-rate", "1e-3", *more),
    )


def test_a_preset_by_its_name_out_one_rate_and_the_run_for_its_model(
    run: Run, corpus: Path, tiny_long_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run1"
    code, said, err = learn(run, tiny_long_folder, "--data", corpus, "--out", out)
    assert code == 0, err
    assert "95% interval" in said
    assert re.search(r"on (a CPU, \d+ threads|\w)", said), "where the work is done"
    plan = json.loads((out / "results.json").read_text())["plan"]
    assert plan["recipe"]["learning_rate"] == 1e-3
    assert plan["grid"]["learning_rates"] == []

    code, said, err = run("predict", out, corpus / "test", "--out", tmp_path / "found", "--dtype", "bfloat16")
    assert code == 0, err
    assert f"{out}/seed-1/model" in said
    assert len(read_documents(tmp_path / "found" / "predictions.jsonl", "jsonl")) == 2
    code, said, err = run("evaluate", out, corpus / "test", "--out", tmp_path / "scores")
    assert code == 0, err
    assert f"{out}/seed-1/model" in said
    code, _, err = run("predict", out, corpus, "--out", tmp_path / "nothing")
    assert code == 1
    assert "the folder holds splits: train, dev, test; name one of them" in err
    for option, value in (("--dtype", "float7"), ("--device", "gpu")):
        code, _, err = run("predict", out, corpus / "test", "--out", tmp_path / "no", option, value)
        assert code == 1
        assert f"{value!r}" in err
        assert err.count("\n") == 1


def test_a_run_without_a_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(LongbioError, match="has no fine-tuned model"):
        fine_tuned(tmp_path)
    for seed in (10, 9):
        (tmp_path / f"seed-{seed}" / "model").mkdir(parents=True)
        (tmp_path / f"seed-{seed}" / "model" / "config.json").write_text("{}")
    assert fine_tuned(tmp_path) == tmp_path / "seed-9" / "model"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_can_be_demanded(run: Run, corpus: Path, tiny_long_folder: Path, tmp_path: Path) -> None:
    code, _, err = learn(run, tiny_long_folder, "--data", corpus, "--out", tmp_path / "a", "--device", "cuda")
    assert (code, err) == (
        1,
        "longbio: device: there is no 'cuda' here; `longbio doctor` says what there is\n",
    )
    with pytest.raises(LongbioError, match="no 'cuda' here"):
        longbio.load(tiny_long_folder, device="cuda")


def test_a_gpu_can_be_left_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HIDDEN, "0")
    run("finetune", "entities", "--data", tmp_path, "--model", tmp_path, "--device", "cpu")
    assert os.environ[HIDDEN] == ""


def test_a_type_of_weights(tiny_long_folder: Path) -> None:
    assert longbio.load(tiny_long_folder, dtype="bfloat16", device="cpu").dtype == torch.bfloat16


def test_a_corpus_that_is_not_divided(run: Run, tmp_path: Path) -> None:
    jsonl.write(notes(10), tmp_path / "corpus")
    read = read_data(DataSettings(path=tmp_path / "corpus", test_share=0.2))
    groups = [{each.group for each in split} for split in (read.train, read.dev, read.test)]
    assert [len(each) for each in groups] == [3, 1, 1]
    assert len(set().union(*groups)) == 5
    assert read.described["test_is_held_out"]
    with pytest.raises(LongbioError, match=r"data\.test_share=0\.2"):
        read_data(DataSettings(path=tmp_path / "corpus"))

    code, said, err = run("split", tmp_path / "corpus", tmp_path / "divided")
    assert code == 0, err
    assert "6 train, 2 dev, 2 test documents" in said
    divided = {name: read_documents(tmp_path / "divided" / name) for name in ("train", "test")}
    assert [each.id for each in divided["test"]] == [each.id for each in read.test]
    with pytest.raises(LongbioError, match="has test documents"):
        read_data(DataSettings(path=tmp_path / "divided", test_share=0.2))


def test_synthesize_can_be_forced(run: Run, tmp_path: Path) -> None:
    for words in (("--notes", 1), ("--notes", 2, "--force")):
        code, _, err = run("synthesize", tmp_path / "notes", *words)
        assert code == 0, err
    assert (
        "was made by another plan: notes was 2 and is 3"
        in run("synthesize", tmp_path / "notes", "--notes", 3)[2]
    )


def test_how_many_notes_and_how_long(tmp_path: Path) -> None:
    brat.write(notes(3), tmp_path / "brat")
    jsonl.write(notes(4), tmp_path / "rows")
    assert count_documents(tmp_path / "brat", "brat") == 3
    assert count_documents(tmp_path / "rows", "jsonl") == 4
    assert count_documents(tmp_path / "rows", "table") == 0
    assert _time_left(10, 40, 20.0) == ", about 60 s left"
    assert _time_left(10, 1000, 20.0) == ", about 33 min left"
    assert _time_left(0, 40, 20.0) == _time_left(40, 40, 20.0) == _time_left(3, 0, 20.0) == ""


def test_presets_have_names(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said, _ = run("configs")
    assert code == 0
    assert len(said.splitlines()) == len(presets()) > 40
    assert not [line for line in said.splitlines() if line.endswith(" al.")]
    assert all(re.fullmatch(r"\w+/[\w-]+ +\S.{10,}", line) for line in said.splitlines())
    code, said, _ = run("configs", "show", "finetune/craft")
    assert said == preset_file("craft").read_text()
    assert (
        "2 configurations have the name 'smoke'; did you mean benchmark/smoke or pretrain/smoke?"
        in run("configs", "show", "smoke")[2]
    )
    code, _, err = run("finetune", "craff")
    assert (code, "there is no configuration craff; did you mean craft?" in err) == (1, True)
    # A file of one's own comes first.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "craft").write_text("{}")
    assert settings_file("craft", "finetune") == Path("craft")


def commands(group: Any, before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands(command, f"{before}{name} ")
        else:
            found.append((before + name, command))
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_help_has_an_example_and_sentences(name: str, command: Any) -> None:
    assert f"Example: longbio {name}" in str(command.help)
    for option in command.params:
        if option.name != "help":
            words = str(option.help)
            assert words.endswith("."), words
            assert not re.match(r"(Of|That|With|By) ", words), words


def test_version_and_completion(run: Run) -> None:
    assert run("--version") == (0, f"longbio {longbio.__version__}\n", "")
    assert "--install-completion" in run("--help")[1]


def test_libraries_beneath_say_nothing() -> None:
    hush_deepspeed()
    logger = logging.getLogger("DeepSpeed")
    logger.setLevel(logging.INFO)
    said: list[logging.LogRecord] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record)

    handler = Kept()
    logger.addHandler(handler)
    logger.warning("Setting accelerator to CPU")
    logger.error("broken")
    logger.removeHandler(handler)
    assert [record.getMessage() for record in said] == ["broken"]


def test_a_notebook_hears_nothing(tiny_bert_folder: Path, tmp_path: Path) -> None:
    """Neither DeepSpeed's line nor a bar of transformers."""
    code = f"import longbio; longbio.convert({str(tiny_bert_folder)!r}, 'long', max_tokens=128, window=32)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_import_is_quick_and_tells_what_there_is() -> None:
    code = "import sys, longbio; print('torch' in sys.modules, 'convert' in dir(longbio))"
    code += "; longbio.read_documents; longbio.Document; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
    assert {"convert", "load", "predict", "Document", "Span"} <= {*dir(longbio)}
    for name in longbio.__all__:
        assert name == "__version__" or name in str(longbio.__doc__)
