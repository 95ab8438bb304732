"""Models that a benchmark makes: BIOptimus's study in miniature."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml

from longbio.artifacts.atomic_files import write_json
from longbio.artifacts.locks import hold_lock
from longbio.benchmarking import report, run
from longbio.benchmarking.made_models import DONE, _made_of, make, models_of, steps_to
from longbio.benchmarking.run import benchmark
from longbio.benchmarking.settings import Benchmark
from longbio.encoders.loading import load, load_tokenizer
from longbio.errors import LongbioError
from longbio.progress import Silence

Make = Callable[..., Benchmark]

PHASE = {
    "name": "words",
    "sequence_tokens": 64,
    "batch_tokens": 256,
    "steps": 12,
    "learning_rate": 1e-2,
    "masking": {"strategy": "whole-word", "rate": 0.15},
}


@pytest.fixture(scope="module")
def with_head(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT with a masked-LM head."""
    folder = tmp_path_factory.mktemp("with_head") / "model"
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(tiny_bert_folder)
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    load_tokenizer(tiny_bert_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def study(suite: Make, suite_file: Path, with_head: Path, tmp_path: Path) -> Make:
    """study("a.b=c", ...): from scratch, continued, and with new words, scored by entities."""
    draw, words = (
        random.Random(0),
        ["the", "patient", "takes", "bronchitis", "pain", "daily", "sleeps", "well", "12", "mg"],
    )
    notes = tmp_path / "notes.jsonl"
    lines = [json.dumps({"text": " ".join(draw.choices(words, k=40))}) for _ in range(60)]
    notes.write_text("".join(f"{line}\n" for line in lines))
    terms = tmp_path / "terms.txt"
    terms.write_text("bronchitis\n")
    plan = {
        "model": "NONE",
        "out": "NOWHERE",
        "cache": str(tmp_path / "cache"),
        "corpora": {"notes": {"paths": [str(notes)]}},
        "validation": {"share": 0.2, "tokens": 2000, "lengths": [64]},
        "phases": [PHASE],
        "trackers": [],
    }
    config = tmp_path / "curriculum.yaml"
    config.write_text(yaml.safe_dump(plan))
    given = {"start": "start", "config": str(config)}
    pretrained = [
        {"name": "scratch", **given, "set": ["random_weights=true"]},
        {"name": "continued", **given},
        {"name": "new words", **given, "new_words": {"terms": str(terms), "init": "mean"}},
        {"name": "after", **given, "start": "continued"},
    ]

    def make(*overrides: str) -> Benchmark:
        return suite(
            f"models={{start: {with_head}}}",
            f"pretrained={json.dumps(pretrained)}",
            "arms=[]",
            "baseline=start",
            "seeds=[0]",
            "target_bits=5.5",
            *overrides,
        )

    return make


@pytest.mark.usefixtures("here")
def test_models_are_made_scored_and_compared(study: Make, tmp_path: Path) -> None:
    asked = study()
    results = benchmark(asked, only_tasks=["notes"])
    assert results["failed"] == []
    arms = results["tasks"][0]["arms"]
    assert [arm["name"] for arm in arms] == ["start", "scratch", "continued", "new words", "after"]
    assert all(arm["against_baseline"] is not None for arm in arms[1:])

    made = {each["name"]: each for each in results["pretraining"]}
    assert list(made) == ["scratch", "continued", "new words", "after"]
    for each in made.values():
        assert each["steps"] == len(each["bits"]) == 12
        before, after = each["phases"][0]["bits_before"]["64"], each["phases"][0]["bits_after"]["64"]
        assert after < before
    assert made["after"]["phases"][0]["bits_before"] == made["continued"]["phases"][0]["bits_after"]
    pieces = load_tokenizer(models_of(asked)[0]["new words"]).tokenize("bronchitis")
    assert pieces == ["bronchitis"]
    assert "steps to 5.5 bits" in (tmp_path / "out" / "report.md").read_text()

    class Told(Silence):
        titles: tuple[str, ...] = ()

        def begin(self, title: str, total: int) -> Any:
            self.titles += (title,)
            return super().begin(title, total)

    told = Told()
    assert benchmark(asked, told, only_tasks=["notes"]) == results
    assert told.titles == ("compare",)

    # Other words under the old name, in the suite or in its file: what was learned isn't theirs.
    terms = Path(asked.pretrained[2].new_words.terms)
    before = terms.read_text()
    terms.write_text(before + "pneumonia\n")
    edited = benchmark(asked, only_tasks=["notes"])
    assert [each["arm"] for each in edited["failed"] if each["task"] == "notes"] == ["new words"]
    terms.write_text(before)
    assert benchmark(asked, only_tasks=["notes"])["failed"] == []
    changed = benchmark(study("pretrained.2.new_words.init=random"), only_tasks=["notes"])
    assert [arm["name"] for arm in changed["tasks"][0]["arms"]] == ["start", "scratch", "continued", "after"]
    assert 'settings.method was "mean" and is "random"' in next(
        each["what"] for each in changed["failed"] if each["arm"] == "new words"
    )


def test_what_is_made_or_run_is_locked_and_so_is_the_report(
    study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[Path] = []

    def refused(place: Path) -> None:
        target = place if place == tmp_path / "out" else place.with_name(f"{place.name}.cell")
        with pytest.raises(LongbioError, match="another process is writing there"), hold_lock(target):
            pass
        places.append(place.relative_to(tmp_path / "out"))

    def fail(work: Any, given: Any, tell: Any, title: str) -> str:
        refused(Path(given.get("curriculum", given)["out"]))
        return "it was stopped"

    write = report.write
    monkeypatch.setattr(run, "run_apart", fail)
    monkeypatch.setattr(report, "write", lambda out, *rest: refused(out) or write(out, *rest))
    benchmark(study(), only_tasks=["notes"])
    made = ["pretrained/scratch", "pretrained/continued", "pretrained/new-words"]
    assert [str(place) for place in places] == [*made, "notes/start", "."]


@pytest.mark.usefixtures("here")
def test_a_model_that_cannot_be_made_fails_with_all_that_begins_with_it(study: Make) -> None:
    results = benchmark(study("pretrained.1.set=[phases.0.sequence_tokens=256]"), only_tasks=["notes"])
    assert [each["arm"] for each in results["failed"] if each["task"] == "notes"] == ["continued", "after"]
    assert all(each["what"].startswith("its model could not be made: ") for each in results["failed"])
    assert [each["name"] for each in results["pretraining"]] == ["scratch", "new words"]


@pytest.mark.usefixtures("here")
def test_only_what_arms_need_is_made(study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(run, "make", lambda given, tell: made.append(given["curriculum"]["out"]))
    benchmark(study(), only_arms=["start"], only_tasks=["notes"])
    assert made == []
    benchmark(study(), only_arms=["after"], only_tasks=["notes"])
    assert [Path(out).name for out in made] == ["continued", "after"]


def test_a_curriculum_that_is_wrong_stops_all_before_anything_is_run(study: Make, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=r"unknown setting phases.0.step; did you mean steps"):
        benchmark(study("pretrained.0.set=[phases.0.step=3]"))
    assert not (tmp_path / "out").exists()


def test_random_weights_are_not_the_models(study: Make, with_head: Path) -> None:
    models, made = models_of(study())
    assert made[0].curriculum.random_weights
    assert made[0].curriculum.model == str(with_head)
    assert made[3].curriculum.model == models["continued"]
    assert load(with_head, "mlm").config.model_type == "bert"


def test_steps_to_a_loss_by_hand() -> None:
    bits = [8.0] * 10 + [4.0] * 10
    # The mean of the last ten is 4 + 4k/10 with k eights among them: 6.0 at five, which is step 15.
    assert steps_to(6.0, bits) == 15
    assert steps_to(8.0, bits) == 10
    assert steps_to(3.9, bits) is None
    assert steps_to(6.0, [1.0] * 9) is None


def test_a_model_of_another_start_or_corpus_has_to_be_made_again(study: Make, tmp_path: Path) -> None:
    start = shutil.copytree(models_of(study())[0]["start"], tmp_path / "start")
    [made] = [
        each for each in models_of(study(f"models={{start: {start}}}"))[1] if each.asked.name == "continued"
    ]
    make(made.plan(), Silence())
    assert made.is_done()
    notes = made.curriculum.corpora["notes"].paths[0]
    with notes.open("a") as corpus:
        corpus.write('{"text": "another note"}\n')
    with pytest.raises(LongbioError):
        make(made.plan(), Silence())
    assert not made.is_done()
    notes.write_text("".join(notes.read_text().splitlines(keepends=True)[:-1]))
    for file in (notes, start / "model.safetensors", start / "tokenizer_config.json"):
        before = file.read_bytes()
        file.write_bytes(before + b"\n")
        assert not made.is_done(), file.name
        file.write_bytes(before)
        assert made.is_done()
    # A finished benchmark has its report even where its corpora are gone.
    notes.unlink()
    shutil.rmtree(start)
    assert made.is_done()


def test_what_was_made_is_recorded(study: Make) -> None:
    plan = models_of(study())[1][2].plan()
    assert json.loads(json.dumps(plan)) == plan
    assert plan["new_words"]["init"] == "mean"


@pytest.mark.parametrize("changed", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_what_was_made_belongs_to_the_model_it_began_with(
    changed: str, study: Make, with_head: Path, tmp_path: Path
) -> None:
    start = shutil.copytree(with_head, tmp_path / "start")
    made = models_of(study(f"models={{start: {start}}}"))[1][1]
    made.curriculum.out.mkdir(parents=True)
    plan = made.plan()
    write_json(made.curriculum.out / DONE, {"asked": plan, "made_of": _made_of(plan), "cost": None})
    assert made.is_done()
    aside = start.rename(tmp_path / "aside")
    assert made.is_done(), "what isn't there any more tells nothing"
    aside.rename(start)
    data = bytearray((start / changed).read_bytes())
    data[-1:] = bytes([data[-1] ^ 1]) if changed == "model.safetensors" else data[-1:] + b" "
    (start / changed).write_bytes(data)
    assert not made.is_done()
