"""A small suite: two kinds of task, a short and a long model of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from longbio.benchmarking import run
from longbio.benchmarking.settings import Benchmark, load_benchmark
from longbio.benchmarking.worker import Work
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat
from longbio.errors import LongbioError
from longbio.progress import Narrator

Make = Callable[..., Benchmark]


def drug_notes(count: int, sentences: int = 12) -> list[Document]:
    """Every `drug N` is a mention; most notes are longer than the short model."""
    made = []
    for number in range(count):
        text, spans = "", []
        for place in range(sentences):
            text += "the patient, " * (1 + (number + place) % 3)
            spans.append(Span.of(len(text), len(text) + 6, "Drug"))
            text += f"drug {place % 10}. "
        made.append(Document(f"note-{number}", text, tuple(spans)))
    return made


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`notes` with mentions and `classes` with a class each, both too long for 64 tokens."""
    folder = tmp_path_factory.mktemp("corpora")
    notes = drug_notes(10)
    for split, part in (("train", notes[:4]), ("dev", notes[4:6]), ("test", notes[6:])):
        brat.write(part, folder / "notes" / split)
    (folder / "classes").mkdir()
    for split in ("train", "dev", "test"):
        lines = [
            {
                "id": f"{split}-{n}",
                "text": "the patient " * 40 + ("drug" if n % 2 else "pain"),
                "label": n % 2,
            }
            for n in range(6)
        ]
        text = "".join(json.dumps({**line, "label": f"c{line['label']}"}) + "\n" for line in lines)
        (folder / "classes" / f"{split}.jsonl").write_text(text)
    return folder


CONFIGS: dict[str, dict[str, Any]] = {
    "notes": {"task": {"kind": "ner", "sample_tokens": 200}},
    "classes": {"task": {"kind": "classification", "choose_by": "macro_f1"}},
}
RECIPE = {"learning_rate": 1e-2, "batch": 2, "max_steps": 3, "epochs": 100, "head_factor": 3, "dropout": 0}


@pytest.fixture(scope="session")
def suite_file(
    tmp_path_factory: pytest.TempPathFactory, corpora: Path, tiny_bert_folder: Path, tiny_long_folder: Path
) -> Path:
    """benchmark/suite.yaml, its configurations in finetune/ beside that folder."""
    folder = tmp_path_factory.mktemp("suite")
    for name in ("finetune", "benchmark"):
        (folder / name).mkdir()
    for name, config in CONFIGS.items():
        whole = {"model": "NONE", "out": "NOWHERE", "data": {"path": "NOWHERE"}, "recipe": RECIPE, **config}
        (folder / "finetune" / f"{name}.yaml").write_text(yaml.safe_dump(whole))
    suite = {
        "title": "Tiny",
        "out": "NOWHERE",
        "models": {"short": str(tiny_bert_folder), "long": str(tiny_long_folder)},
        "arms": [
            {"name": "chunks", "model": "short", "reads": "chunks-max"},
            {"name": "long", "model": "long"},
            {"name": "first", "model": "short", "reads": "first"},
        ],
        "tasks": [
            {"name": name, "config": f"../finetune/{name}.yaml", "data": name}
            for name in ("notes", "classes")
        ],
        "baseline": "chunks",
        "data": str(corpora),
        "seeds": [0, 1],
        "chunk_tokens": 64,
    }
    file = folder / "benchmark" / "suite.yaml"
    file.write_text(yaml.safe_dump(suite))
    return file


@pytest.fixture
def suite(suite_file: Path, tmp_path: Path) -> Make:
    """suite("a.b=c", ...): the small suite with overrides; its folder is `out`."""
    return lambda *overrides: load_benchmark(suite_file, [f"out={tmp_path / 'out'}", *overrides])


def in_this_process(work: Work, given: Mapping[str, Any], tell: Narrator, title: str) -> str | None:
    """As `worker.run_apart`, without the seconds that a new process takes to begin."""
    told = _Titled(tell, title)
    try:
        work(given, told)
    except LongbioError as error:
        return str(error)
    return None


class _Titled:
    def __init__(self, tell: Narrator, title: str) -> None:
        self.tell, self.title = tell, title

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        return self.tell.begin(f"{self.title}: {title}", total)

    def end(self, result: str) -> None:
        self.tell.end(result)

    def fail(self, what: str) -> None:
        self.tell.fail(what)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells run in this process."""
    monkeypatch.setattr(run, "run_apart", in_this_process)


@pytest.fixture(scope="session")
def finished(suite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """The small suite, run without being disturbed."""
    suite = load_benchmark(suite_file, [f"out={tmp_path_factory.mktemp('finished') / 'out'}"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "run_apart", in_this_process)
        run.benchmark(suite)
    return suite
