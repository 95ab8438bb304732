"""Where one process makes a folder or a file, each command says so instead of making it as well."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from longbio.artifacts.locks import hold_lock
from longbio.cli import main
from longbio.corpus.records import Document, Span
from longbio.encoders.loading import load, load_tokenizer, quiet
from longbio.tasks.tags import Labels


@pytest.fixture(scope="module")
def home(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger, a model with a masked-LM head, notes with and without mentions, new words, and plans."""
    folder = tmp_path_factory.mktemp("home")
    for split in ("train", "dev", "test"):
        rows = "".join(f"the patient has {n % 2}\tc{n % 2}\n" for n in range(8))
        (folder / f"{split}.tsv").write_text(f"text\tlabel\n{rows}")
    for name in ("notes", "gold"):
        (folder / name).mkdir()
    for n in range(40):
        (folder / "notes" / f"{n}.txt").write_text(f"the patient {n} has the drug " * 5)
    (folder / "gold" / "a.txt").write_text("the drug")
    (folder / "gold" / "a.ann").write_text("T1\tDrug 4 8\tdrug\n")
    (folder / "terms.txt").write_text("warfarinx\n")
    names = Labels.of([Document("a", "x", (Span.of(0, 1, "Drug"),))]).names()
    with quiet(), torch.random.fork_rng():
        tagger = load(tiny_bert_folder, "ner", id2label=names, label2id={v: k for k, v in names.items()})
        masked = load(tiny_bert_folder, "mlm", new_head=True)
    for model, name in ((tagger, "ner"), (masked, "mlm")):
        model.save_pretrained(folder / name)
        load_tokenizer(tiny_bert_folder).save_pretrained(folder / name)
    phase = {"name": "one", "sequence_tokens": 64, "steps": 1, "learning_rate": 1e-3}
    plans = {
        "finetune": {
            "task": {"kind": "classification"},
            "model": str(tiny_bert_folder),
            "out": "OUT",
            "data": {"path": str(folder)},
            "recipe": {"learning_rate": 1e-3, "batch": 4, "max_steps": 1},
        },
        "pretrain": {
            "model": str(folder / "mlm"),
            "out": "OUT",
            "cache": str(folder / "cache"),
            "corpora": {"one": {"paths": [str(folder / "notes")]}},
            "validation": {"share": 0.3, "lengths": [64]},
            "phases": [phase],
            "trackers": [],
        },
    }
    for name, plan in plans.items():
        (folder / f"{name}.yaml").write_text(json.dumps(plan))
    return folder


COMMANDS: dict[str, Callable[[Path, Path], list[str | Path]]] = {
    "convert": lambda at, out: [at / "mlm", out, "--max-tokens", "128", "--window", "16", "--no-verify"],
    "pretrain": lambda at, out: [at / "pretrain.yaml", "--set", f"out={out}"],
    "finetune": lambda at, out: [at / "finetune.yaml", "--set", f"out={out}"],
    "predict": lambda at, out: [at / "ner", at / "notes", "--out", out],
    "evaluate": lambda at, out: [at / "ner", at / "gold", "--out", out],
    "vocab mine": lambda at, out: [at / "mlm", at / "notes", "--out", out],
    "vocab train": lambda at, out: [at / "notes", "--out", out, "--size", "60"],
    "vocab extend": lambda at, out: [at / "mlm", out, "--terms", at / "terms.txt", "--init", "mean"],
    "vocab compare": lambda at, out: [
        *(at / "mlm", out, "--terms", at / "terms.txt", "--corpus", at / "notes"),
        *("--unseen", at / "test.tsv", "--methods", "mean"),
    ],
}
"""All that leave something behind, but `benchmark` and `quickstart`, whose processes wait for each other, and
`synthesize`."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_that_another_process_is_at_it(
    command: str,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    words = [str(word) for word in COMMANDS[command](home, out)]
    monkeypatch.setattr(sys, "argv", ["longbio", *command.split(), *words])
    with hold_lock(out), pytest.raises(SystemExit) as stop:
        main()
    err = capsys.readouterr().err
    assert stop.value.code == 1, err
    assert f"{out}: another process is writing there; wait for it" in " ".join(err.split())
    assert not out.is_file()
    assert not out.is_dir() or not [*out.iterdir()]
