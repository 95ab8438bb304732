"""The whole path: it learns on real weights, resumes to the same end, and reads a user's corpus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import longbio.finetuning.learn
import longbio.pretraining.train
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.synthetic import synthesize
from longbio.corpus.writers import brat, jsonl
from longbio.errors import LongbioError
from longbio.quickstart import plan as plans
from longbio.quickstart import run
from longbio.quickstart.plan import Plan, plan_for
from longbio.quickstart.report import compared_words

SMALL = Plan(train_notes=2, dev_notes=1, test_notes=2, head_steps=2, healing_steps=2, learning_steps=3)


def has_learned(results: dict[str, Any]) -> bool:
    """What the quickstart promises on its default data."""
    healing = results["healing"]
    lowered = healing["bits_after"] <= 0.85 * healing["bits_before"]
    return lowered and results["scores"]["long"]["scores"]["strict"]["micro"]["f1"] >= 0.60


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tiny_bert_folder: Path) -> None:
    """A quickstart of seconds: a tiny random source, few notes and steps."""
    monkeypatch.setattr(run, "minilm", lambda: tiny_bert_folder)
    monkeypatch.setattr(run, "SHORT_TOKENS", 64)
    monkeypatch.setattr(run, "LONG_TOKENS", 1024)
    monkeypatch.setattr(run, "plan_for", lambda minutes, source, seed: SMALL)


class StopAt(run.Silence):
    """Kills the run when a stage begins."""

    def __init__(self, title: str) -> None:
        self.title = title

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        if title.startswith(self.title):
            raise KeyboardInterrupt
        return super().begin(title, total)


def without_times(results: dict[str, Any]) -> dict[str, Any]:
    text = re.sub(
        r'"(seconds|source|sha256|source_sha256)": ("[^"]*"|[0-9.]+)', '"t": 0', json.dumps(results)
    )
    return json.loads(text)


@pytest.mark.timeout(1500)
def test_it_learns_on_the_default_data(minilm_folder: Path, tmp_path: Path) -> None:
    results = run.quickstart(out=tmp_path / "run")
    assert has_learned(results), (
        results["healing"]["bits_after"],
        results["scores"]["long"]["scores"]["strict"]["micro"],
    )
    assert results["conversion"]["verification"]["passed"]
    assert (tmp_path / "run" / "report.html").is_file()
    found = read_documents(tmp_path / "run" / "predictions" / "long")
    assert len(found) == results["plan"]["test_notes"]


@pytest.mark.usefixtures("small")
def test_without_training_it_does_not_count_as_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_training(model, samples, collate, summed_loss, settings, folder, on_step, callbacks=()):
        return model, [0.0] * settings.steps

    def not_even_stably(model, samples, collate, summed_loss, settings, folder, stability, **rest):
        return model, [0.0] * settings.steps

    monkeypatch.setattr(longbio.pretraining.train, "train", no_training)
    monkeypatch.setattr(longbio.finetuning.learn, "train_stably", not_even_stably)
    assert not has_learned(run.quickstart(out=tmp_path / "run"))


@pytest.mark.usefixtures("small")
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = run.quickstart(out=tmp_path / "whole")
    for stage in ("convert", "learn entities", "score on unseen notes: short"):
        with pytest.raises(KeyboardInterrupt):
            run.quickstart(out=tmp_path / "killed", tell=StopAt(stage))
    resumed = run.quickstart(out=tmp_path / "killed")
    assert without_times(resumed) == without_times(whole)

    models = {file: file.stat().st_mtime_ns for file in (tmp_path / "killed").rglob("*.safetensors")}
    run.quickstart(out=tmp_path / "killed")
    assert models == {file: file.stat().st_mtime_ns for file in models}


@pytest.mark.usefixtures("small")
def test_a_corpus_of_ones_own_is_read_and_its_text_is_not_shown(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 1)):
        brat.write(synthesize(count, split=split, seed=5), tmp_path / "data" / split)
    results = run.quickstart(data=tmp_path / "data", out=tmp_path / "run")
    assert results["corpus"]["documents"] == {"train": 2, "dev": 1, "test": 1}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "No document is shown" in page
    test_note = read_documents(tmp_path / "data" / "test")[0]
    secrets = {test_note.text[s.start_char : s.end_char] for s in test_note.spans if s.label == "Person"}
    assert not any(secret in page for secret in secrets)

    shown = run.quickstart(data=tmp_path / "data", out=tmp_path / "run", show_text=True)
    assert shown["scores"] == results["scores"]
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


@pytest.mark.parametrize("name", ["dev", "valid", "validation", "val"])
def test_what_is_chosen_by_is_taken_by_any_of_its_names(name: str, tmp_path: Path) -> None:
    corpus = run._corpus(corpus_of_patients(tmp_path, name), SMALL, run.Silence())
    assert {note.group for note in corpus.dev} == {"p8", "p9"}
    assert len(corpus.train) == 40


def test_patients_are_held_out_whole(tmp_path: Path) -> None:
    corpus = run._corpus(corpus_of_patients(tmp_path, None), SMALL, run.Silence())
    learned, chosen_by = ({note.group for note in notes} for notes in (corpus.train, corpus.dev))
    assert len(chosen_by) == 1
    assert not learned & chosen_by
    assert len(corpus.train) + len(corpus.dev) == 40
    assert corpus.described["dev_is_held_out"]


def test_what_the_comparison_says() -> None:
    found = {"difference": 0.03, "low": 0.01, "high": 0.06, "p": 0.25, "over": "documents", "units": 3}
    assert compared_words(found) == (
        "Long minus chunks: +0.030 (95% interval 0.010 to 0.060 over 3 documents, p = 0.250): no difference"
        " that these documents can show; the interval leaves out zero,"
        " but with 3 documents no p can be below 0.25."
    )
    assert compared_words(found | {"p": 0.004, "units": 12}).endswith(": the long model is better.")
    assert compared_words(found | {"low": -0.01}).endswith("these documents can show.")
    assert compared_words(None) == "The two can't be compared over a single document or group."


@pytest.mark.usefixtures("small")
def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run.quickstart(out=tmp_path / "run", tell=StopAt("masked-LM head"))
    with pytest.raises(LongbioError, match="choose another --out"):
        run.quickstart(out=tmp_path / "run", seed=1, tell=StopAt("masked-LM head"))


def test_more_minutes_are_more_steps(tiny_bert_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_seconds_of_a_healing_step", lambda source: 3.0)
    short, long = plan_for(6, tiny_bert_folder, 0), plan_for(12, tiny_bert_folder, 0)
    assert 1 <= short.healing_steps < long.healing_steps
    assert short.learning_steps < long.learning_steps
    assert len(plan_for(30, tiny_bert_folder, 0).learning_rates) == 3
    assert plan_for(0.1, tiny_bert_folder, 0).healing_steps == 1
    assert plan_for(None, tiny_bert_folder, 7) == Plan(seed=7)


def test_the_speed_of_this_machine_is_measured(minilm_folder: Path, tiny_bert_folder: Path) -> None:
    assert 0 < plans._seconds_of_a_healing_step(tiny_bert_folder) < 60


def test_other_weights_than_the_pinned_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch, minilm_folder
) -> None:
    monkeypatch.setattr(run, "MINILM_SHA256", "0" * 64)
    with pytest.raises(LongbioError, match="aren't those"):
        run.minilm()
    monkeypatch.setattr(run, "MINILM_PACKAGE", "no_such_package")
    with pytest.raises(LongbioError, match="pip install"):
        run.minilm()
