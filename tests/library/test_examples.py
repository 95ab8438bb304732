"""The example of every public function, and the guide of the library, run on tiny models."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

import longbio
from longbio import library
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat


def drug_note(number: int) -> Document:
    """A note in which every `drug N` is a mention."""
    text, spans = "", []
    for place in range(8):
        text += "the patient, " * (1 + (number + place) % 3)
        spans.append(Span.of(len(text), len(text) + 6, "Drug"))
        text += f"drug {place}. "
    return Document(f"note-{number}", text, tuple(spans))


@pytest.fixture
def home(
    tiny_bert_folder: Path,
    tiny_long_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A working folder with what the examples speak of: `short`, `long`, `corpus`, `notes`."""
    (tmp_path / "short").symlink_to(tiny_bert_folder)
    (tmp_path / "long").symlink_to(tiny_long_folder)
    documents = [drug_note(number) for number in range(10)]
    for split, some in (("train", documents[:6]), ("dev", documents[6:8]), ("test", documents[8:])):
        brat.write(some, tmp_path / "corpus" / split)
    (tmp_path / "notes").mkdir()
    for document in documents:
        (tmp_path / "notes" / f"{document.id}.txt").write_text(document.text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_example(name: str) -> None:
    function = getattr(longbio, name)
    examples = doctest.DocTestFinder().find(function, name, globs={"longbio": longbio})
    examples = [each for each in examples if each.examples]
    assert examples, f"{name} has no example"
    told: list[str] = []
    for each in examples:
        assert doctest.DocTestRunner().run(each, out=told.append).failed == 0, "".join(told)


@pytest.mark.parametrize("name", ["convert", "load", "pretrain", "extend_vocabulary", "read_documents"])
def test_the_example_of(name: str, home: Path) -> None:
    if name == "convert":
        (home / "long").unlink()
    run_example(name)


def test_the_examples_of_learning_and_predicting(home: Path) -> None:
    for name in ("finetune", "evaluate", "predict"):
        run_example(name)


def test_the_example_of_benchmark(home: Path) -> None:
    run_example("benchmark")
    assert longbio.benchmark is library.benchmark, "a folder of longbio has that name too"


@pytest.mark.parametrize("kind", [longbio.Document, longbio.Span])
def test_the_example_of_a_record(kind: type) -> None:
    examples = [each for each in doctest.DocTestFinder(recurse=False).find(kind) if each.examples]
    assert examples
    globs = {"longbio": longbio}
    for each in examples:
        each.globs.update(globs)
        assert doctest.DocTestRunner().run(each).failed == 0


def test_the_guide(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every block of docs/library.md, one after the other, in one notebook."""
    (home / "long").unlink()
    guide = (Path(__file__).resolve().parents[2] / "docs" / "library.md").read_text("utf-8")
    scope: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    for block in blocks:
        small = block.replace("max_tokens=4096", "max_tokens=256, window=32")
        small = small.replace(
            'grid={"learning_rates": []}', 'grid={"learning_rates": []}, recipe={"max_steps": 3}'
        )
        exec(compile(small, "docs/library.md", "exec"), scope)
    out = capsys.readouterr().out
    assert "Drug drug 0" in out
    assert "longformer" in out
    assert "<mark" in scope["found"]._repr_html_() or not scope["found"].mentions
    assert len(blocks) >= 7
