"""`benchmark`: cells in processes of their own, what they say together, and what is left of a killed run."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longbio.artifacts.atomic_files import read_json
from longbio.benchmarking.cells import cells_of
from longbio.benchmarking.run import benchmark
from longbio.benchmarking.settings import Benchmark
from longbio.benchmarking.shown_documents import examples_of
from longbio.errors import LongbioError
from longbio.progress import Silence
from longbio.tasks.evidence import MEASURES

Make = Callable[..., Benchmark]


class Told(Silence):
    """Remembers what is told; kills the run when a stage's title holds `stop_at`."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.titles: list[str] = []
        self.results: list[str] = []
        self.failures: list[str] = []
        self.stop_at = stop_at

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        self.titles.append(title)
        if self.stop_at is not None and self.stop_at in title:
            raise KeyboardInterrupt
        return super().begin(title, total)

    def end(self, result: str) -> None:
        self.results.append(result)

    def fail(self, what: str) -> None:
        self.failures.append(what)


def arms_of(results: dict[str, Any], task: str) -> dict[str, Any]:
    found = next(each for each in results["tasks"] if each["name"] == task)
    return {arm["name"]: arm for arm in found["arms"]}


def test_a_finished_cell_notices_that_its_corpus_or_model_has_changed(
    finished: Benchmark, suite: Make, corpora: Path, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished.out, tmp_path / "out")
    data = shutil.copytree(corpora, tmp_path / "data")
    model = shutil.copytree(tiny_bert_folder, tmp_path / "model")
    overrides = (f"data={data}", f"models.short={model}")
    cells = [*cells_of(suite(*overrides), {"short": str(model), "long": str(model)})]

    def finished_cells() -> list[tuple[str, str]]:
        return [
            (cell.task.name, cell.arm.name) for cell in cells if cell.results() and cell.arm.name != "long"
        ]

    every = [(task, arm) for task in ("notes", "classes") for arm in ("chunks", "first")]
    assert finished_cells() == every
    file = next((data / "classes").glob("train*"))
    file.write_bytes(file.read_bytes() + file.read_bytes())
    assert finished_cells() == every[:2]
    shutil.rmtree(data)
    assert finished_cells() == every, "what isn't there any more tells nothing"
    settings = model / "tokenizer_config.json"
    settings.write_text(settings.read_text() + " ")
    assert finished_cells() == []


def test_every_arm_does_every_task_and_is_compared(finished: Benchmark) -> None:
    results = read_json(finished.out / "results.json")
    assert results["failed"] == []
    assert [task["name"] for task in results["tasks"]] == ["notes", "classes"]
    assert [task["measure"] for task in results["tasks"]] == ["entity F1", "macro F1"]
    assert results["tasks"][0]["documents"] == {"train": 4, "dev": 2, "test": 4}
    assert results["seeds"] == [0, 1]
    assert results["score"] is None
    for task in ("notes", "classes"):
        arms = arms_of(results, task)
        assert list(arms) == ["chunks", "long", "first"]
        assert arms["chunks"]["against_baseline"] is None
        for name in ("long", "first"):
            against = arms[name]["against_baseline"]
            assert against["difference"] == pytest.approx(arms[name]["mean"] - arms["chunks"]["mean"])
            assert against["low"] <= against["difference"] <= against["high"]
            assert against["p"] <= against["p_holm"] <= min(1.0, 2 * against["p"])
        for arm in arms.values():
            assert arm["mean"] == pytest.approx(np.mean(arm["scores"]))
            assert arm["interval"]["value"] == pytest.approx(arm["mean"])
            assert arm["interval"]["low"] <= arm["mean"] <= arm["interval"]["high"]
            assert len(arm["losses"]) == 2
            assert len(arm["losses"][0]) == arm["steps"] == 3
            assert arm["cost"]["peak_memory_mb"] > 50
            assert arm["cost"]["training_seconds"] >= 0
            assert arm["cost"]["tokens_per_second"] > 0
            assert sum(row["documents"] for row in arm["by_length"]) == results["tasks"][0]["documents"][
                "test"
            ] * (1 if task == "notes" else 1.5)
    notes = arms_of(results, "notes")
    assert notes["chunks"]["recipe"]["max_tokens"] == 64
    assert notes["long"]["recipe"]["max_tokens"] is None
    assert sum(row["mentions"] for row in notes["chunks"]["by_position"]) == 48
    assert arms_of(results, "classes")["chunks"]["by_position"] is None
    plan = read_json(finished.out / "notes" / "first" / "results.json")["plan"]
    assert plan["task"]["first_window"] is True
    for name in ("report.html", "report.md", "report.csv"):
        assert (finished.out / name).stat().st_size > 0


def test_a_finished_one_starts_nothing(finished: Benchmark) -> None:
    before, told = read_json(finished.out / "results.json"), Told()
    assert benchmark(finished, told) == before
    assert told.titles == ["compare"]
    assert told.results[0].startswith("6 of 6 cells are finished")


def test_what_documents_add_is_the_score(finished: Benchmark) -> None:
    for task, arm in itertools.product(("notes", "classes"), ("chunks", "long", "first")):
        for one in read_json(finished.out / task / arm / "results.json")["runs"]:
            evidence = one["test"]["evidence"]
            summed = np.array(evidence["totals"]).sum(axis=0)
            assert MEASURES[evidence["measure"]](summed) == pytest.approx(one["test"]["main"])


@pytest.mark.usefixtures("here")
def test_a_cell_that_fails_is_listed_and_the_others_go_on(suite: Make, tmp_path: Path) -> None:
    broken = ("models.lost=nowhere/at/all", "arms.1.model=lost", "seeds=[0]")
    told = Told()
    results = benchmark(suite(*broken), told, only_tasks=["notes"])
    assert [(each["task"], each["arm"]) for each in results["failed"]] == [("notes", "long")]
    assert "nowhere/at/all" in results["failed"][0]["what"]
    assert list(arms_of(results, "notes")) == ["chunks", "first"]
    failed, over = told.failures
    assert failed.startswith("failed: ")
    assert over.startswith("2 of 6 cells are finished, 1 failed")
    assert not any("failed" in said for said in told.results), "a failure carries no tick"
    # It stays listed while others run, and is gone when it has run.
    asked = {"only_arms": ["first"], "only_tasks": ["notes"]}
    assert benchmark(suite(*broken), **asked)["failed"] == results["failed"]
    mended = benchmark(suite("seeds=[0]"), only_tasks=["notes"])
    assert mended["failed"] == []
    assert list(arms_of(mended, "notes")) == ["chunks", "long", "first"]


@pytest.mark.usefixtures("here")
def test_a_model_that_diverges_fails_alone(suite: Make) -> None:
    wild = ("arms.1.set=[recipe.learning_rate=1e30, recipe.clip=1e30]", "seeds=[0]")
    results = benchmark(suite(*wild), only_tasks=["notes"])
    assert [each["arm"] for each in results["failed"]] == ["long"]
    assert "the loss is" in results["failed"][0]["what"]
    assert list(arms_of(results, "notes")) == ["chunks", "first"]


@pytest.mark.usefixtures("here")
def test_killed_it_goes_on_and_ends_as_if_nothing_had_happened(suite: Make, finished: Benchmark) -> None:
    whole = read_json(finished.out / "results.json")
    for place in ("notes, chunks: seed 1", "notes, long: seed 0"):
        with pytest.raises(KeyboardInterrupt):
            benchmark(suite(), Told(stop_at=place), only_tasks=["notes"])
    resumed = benchmark(suite(), only_tasks=["notes"])
    assert without_times(resumed) == without_times(whole)


def without_times(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What two runs of the same plan share, of the notes."""
    left_out = ("cost", "command", "against_baseline")
    found = [
        {key: value for key, value in arm.items() if key not in left_out}
        | {key: (arm["against_baseline"] or {}).get(key) for key in ("difference", "low", "high", "p")}
        for arm in arms_of(results, "notes").values()
    ]
    assert len(found) == 3
    return found


@pytest.mark.usefixtures("here")
def test_every_arm_tries_the_same_rates(suite: Make) -> None:
    results = benchmark(suite("learning_rates=[1e-9, 1e-2]", "seeds=[4]"), only_tasks=["notes"])
    tried = {name: [each["name"] for each in arm["tried"]] for name, arm in arms_of(results, "notes").items()}
    assert tried["chunks"] == tried["long"] == tried["first"]
    assert len(tried["chunks"]) == 2
    assert results["seeds"] == [4]
    assert "grid.learning_rates=[1e-09, 0.01]" in arms_of(results, "notes")["long"]["command"]


@pytest.mark.usefixtures("here")
def test_other_documents_than_the_baselines_are_not_compared(
    suite: Make, corpora: Path, tmp_path: Path
) -> None:
    shutil.copytree(corpora, tmp_path / "data")
    asked = suite("seeds=[0]", f"data={tmp_path / 'data'}")
    benchmark(asked, only_tasks=["notes"], only_arms=["chunks"])
    for file in (tmp_path / "data" / "notes" / "test").glob("note-9.*"):
        file.unlink()
    results = benchmark(asked, only_tasks=["notes"], only_arms=["long"])
    # The baseline learned from another corpus than the one that lies there now: it counts as not run.
    assert "chunks" not in arms_of(results, "notes")
    assert arms_of(results, "notes")["long"]["against_baseline"] is None


@pytest.mark.usefixtures("here")
def test_names_that_are_not_there_are_said_with_the_nearest(suite: Make) -> None:
    with pytest.raises(LongbioError, match="no 'note'; did you mean 'notes'"):
        benchmark(suite(), only_tasks=["note"])
    with pytest.raises(LongbioError, match="no 'lang'; did you mean 'long'"):
        benchmark(suite(), only_arms=["lang"])


def test_an_override_that_is_none_stops_all_before_anything_is_run(suite: Make, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=r"unknown setting recipe.epoch.*did you mean epochs"):
        benchmark(suite("arms.2.set=[recipe.epoch=3]"))
    assert not (tmp_path / "out").exists()


def test_no_text_is_anywhere_unless_it_was_asked_for(finished: Benchmark) -> None:
    text = "the patient, the patient"
    pages = [finished.out / name for name in ("report.html", "report.md", "report.csv", "results.json")]
    assert not any(text in page.read_text() for page in pages)


@pytest.mark.usefixtures("here")
def test_a_note_is_shown_where_it_may_be(suite: Make, tmp_path: Path) -> None:
    asked = suite("seeds=[0]", "tasks.0.arms=[chunks]", "tasks.0.show_text=true")
    benchmark(asked, only_tasks=["notes"])
    found = examples_of(asked, cells_of(asked, asked.models)[:1], show_text=False)
    assert [(name, gold.id, list(read)) for name, gold, read in found] == [("notes", "note-6", ["chunks"])]
    assert found[0][1].text == found[0][2]["chunks"].text
    assert "the patient, the patient" in (tmp_path / "out" / "report.html").read_text()
    benchmark(suite("seeds=[0]", "tasks.0.arms=[chunks]"), only_tasks=["notes"])
    assert "the patient, the patient" not in (tmp_path / "out" / "report.html").read_text()
