"""Every way of reading runs with a short and with a long model, and reads what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from longbio.artifacts.atomic_files import read_json
from longbio.benchmarking.cells import cells_of, overrides_of
from longbio.benchmarking.results import _other_weights, _tokens_read
from longbio.benchmarking.run import benchmark
from longbio.benchmarking.settings import Benchmark
from longbio.benchmarking.shown_documents import examples_of
from longbio.errors import LongbioError

Make = Callable[..., Benchmark]


def write_questions(folder: Path) -> None:
    """An article of some 150 tokens, its answer near its end."""
    folder.mkdir()
    text = "the patient " * 70 + "drug 7 " + "the patient " * 4
    question = {"id": "q", "question": "the drug", "answers": [{"text": "drug 7", "answer_start": 840}]}
    for split in ("train", "dev", "test"):
        paragraphs = [{"context": text, "qas": [{**question, "id": f"{split}-{n}"}]} for n in range(2)]
        data = [{"title": f"{split}-{n}", "paragraphs": [each]} for n, each in enumerate(paragraphs)]
        (folder / f"{split}.json").write_text(json.dumps({"version": "1.1", "data": data}))


def details(cell: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (cell / "seed-0" / "test" / "details.jsonl").read_text().splitlines()
    ]


@pytest.mark.usefixtures("here")
def test_every_reading_runs(suite: Make, corpora: Path, tmp_path: Path) -> None:
    write_questions(tmp_path / "questions")
    config = {
        "task": {"kind": "qa"},
        "model": "NONE",
        "out": "NOWHERE",
        "data": {"path": str(tmp_path / "questions")},
        "recipe": {"learning_rate": 1e-3, "batch": 2, "max_steps": 1},
    }
    (tmp_path / "questions.yaml").write_text(yaml.safe_dump(config))
    arms = [
        {"name": "max", "model": "short", "reads": "chunks-max"},
        {"name": "attention", "model": "long", "reads": "chunks-attention"},
        {"name": "first", "model": "long", "reads": "first"},
        {"name": "whole", "model": "long", "reads": "whole"},
        {"name": "stock", "model": "long", "reads": "whole", "set": ["machine.kernel=stock"]},
    ]
    tasks = [
        {"name": "classes", "config": "../finetune/classes.yaml", "data": "classes"},
        {
            "name": "questions",
            "config": str(tmp_path / "questions.yaml"),
            "set": [f"data.path={tmp_path / 'questions'}"],
            "arms": ["max", "first", "whole", "stock"],
        },
    ]
    asked = suite(
        f"arms={json.dumps(arms)}",
        f"tasks={json.dumps(tasks)}",
        "baseline=max",
        "seeds=[0]",
        "set=[recipe.max_steps=1]",
    )
    results = benchmark(asked)
    assert results["failed"] == []
    out = tmp_path / "out"
    read = {}
    for task in results["tasks"]:
        for arm in task["arms"]:
            first = details(out / task["name"] / arm["name"])[0]
            read[task["name"], arm["name"]] = first.get("questions", [first])[0]
    for task in ("classes", "questions"):
        assert read[task, "first"]["unread_tokens"] > 0
        assert read[task, "whole"]["unread_tokens"] == read[task, "max"]["unread_tokens"] == 0
        costs = {arm: read_json(out / task / arm / "cell.json")["cost"] for arm in ("max", "whole")}
        assert all(cost["peak_memory_mb"] > 0 for cost in costs.values())
    # 81 tokens; 62 fit beside the special ones.
    windows = {name: read["classes", name]["windows"] for name in ("max", "attention", "first", "whole")}
    assert windows == {"max": 2, "attention": 2, "first": 1, "whole": 1}
    arms_of_questions = {arm["name"]: arm for arm in results["tasks"][1]["arms"]}
    assert results["tasks"][1]["measure"] == "answer F1"
    assert arms_of_questions["stock"]["kernel"] == "stock"
    assert arms_of_questions["stock"]["mean"] == pytest.approx(arms_of_questions["whole"]["mean"], abs=1e-6)
    assert arms_of_questions["first"]["by_position"][0]["recall"] == 0.0

    page = (out / "report.html").read_text()
    assert "drug 7" not in page
    benchmark(asked, show_text=True)
    page = (out / "report.html").read_text()
    assert "the drug" in page
    classes, questions = examples_of(asked, cells_of(asked, asked.models), show_text=True)
    assert (classes[0], questions[0]) == ("classes", "questions")
    assert [*questions[2]] == ["max", "first", "whole", "stock"]
    place = read["questions", "whole"]["best"][0]
    (answered,) = questions[2]["whole"].questions
    assert answered.answers == ((place["start_char"], place["end_char"]),)
    assert all(read.labels for read in classes[2].values())


def test_the_text_that_was_read_counts_and_no_other() -> None:
    assert _tokens_read({"tokens": 900, "unread_tokens": 400}) == 500
    assert _tokens_read({"tokens": 900, "questions": [{"unread_tokens": 0}, {"unread_tokens": 400}]}) == 1400
    assert _tokens_read({"tokens": 900, "pairs": 3}) == 900


def test_relations_have_no_first_chunk() -> None:
    with pytest.raises(LongbioError, match="a pair at a time"):
        overrides_of("first", "relations", 512)
    assert overrides_of("chunks-max", "relations", 512) == ("recipe.max_tokens=512",)


def test_weights_that_were_replaced_are_said() -> None:
    def found(arm: str, digest: str) -> Any:
        cell = SimpleNamespace(
            arm=SimpleNamespace(name=arm, model="long"), task=SimpleNamespace(name="notes")
        )
        return cell, {"model": {"sha256": digest}}, {}

    assert not [*_other_weights([found("whole", "1"), found("chunks", "1")])]
    (fault,) = _other_weights([found("whole", "1"), found("chunks", "2")])
    assert (fault["task"], fault["arm"]) == ("notes", "chunks")
