"""`finetune`: grid, seeds, results, and what is left of a run that was killed."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longbio.artifacts.atomic_files import read_json
from longbio.artifacts.locks import hold_lock
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat
from longbio.encoders.loading import load
from longbio.errors import LongbioError
from longbio.finetuning.grid import recipes_of
from longbio.finetuning.run import finetune, over_seeds
from longbio.finetuning.settings import Finetuning, Grid, Recipe
from longbio.progress import Silence
from tests.commands import begin

Make = Callable[..., Finetuning]


@pytest.fixture
def plan(tiny_bert_folder: Path, drug_notes: Callable[[int], list[Document]], tmp_path: Path) -> Make:
    notes = drug_notes(8)
    for split, part in (("train", notes[:4]), ("dev", notes[4:6]), ("test", notes[6:])):
        brat.write(part, tmp_path / "data" / split)

    def make(out: str = "run", **changes: Any) -> Finetuning:
        given: dict[str, Any] = {
            "task": {"kind": "ner", "sample_tokens": 200},
            "model": str(tiny_bert_folder),
            "out": tmp_path / out,
            "data": {"path": tmp_path / "data"},
            "recipe": {
                "learning_rate": 1e-2,
                "batch": 2,
                "max_steps": 6,
                "epochs": 100,
                "head_factor": 3,
                "dropout": 0,
            },
            "seeds": [0, 1],
        }
        return Finetuning.model_validate(given | changes)

    return make


def without_times(results: dict[str, Any]) -> Any:
    """Seconds and the name of the folder differ from run to run."""
    text = re.sub(r'"(seconds|out)": ("[^"]*"|[0-9.]+)', '"t": 0', json.dumps(results, default=str))
    return json.loads(text)


class StopAt(Silence):
    """Kills the run at its n-th stage."""

    def __init__(self, stage: int) -> None:
        self.left = stage

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().begin(title, total)


class Heard(Silence):
    """Keeps the titles; ends the run at a step."""

    def __init__(self, stop_at: int = 0) -> None:
        self.titles: list[str] = []
        self.stop_at = stop_at

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        self.titles.append(title)

        def advance(step: int, words: str) -> None:
            if step == self.stop_at and "loss" in words:
                raise KeyboardInterrupt

        return advance


def test_a_run_says_where_it_goes_on(plan: Make) -> None:
    machine = {"save_steps": 2}
    for stop_at, titles in ((1, "seed 0"), (5, "seed 0, from the start: it was stopped before anything")):
        heard = Heard(stop_at)
        with pytest.raises(KeyboardInterrupt):
            finetune(plan(machine=machine), heard)
        assert heard.titles[-1].startswith(titles)
    heard = Heard()
    finetune(plan(machine=machine), heard)
    assert "seed 0, goes on after step 4 of 6" in heard.titles


def test_a_folder_belongs_to_a_model_and_its_tokenizer(
    plan: Make, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_bert_folder, tmp_path / "copy")
    finetune(plan(model=str(copy), seeds=[0]))
    settings = copy / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_lower_case": False}))
    with pytest.raises(LongbioError, match="another plan: model has changed"):
        finetune(plan(model=str(copy), seeds=[0]))


def test_a_second_run_says_that_another_is_at_it(plan: Make, tmp_path: Path) -> None:
    with hold_lock(tmp_path / "run"), pytest.raises(LongbioError, match="another process is writing there"):
        finetune(plan())
    assert not (tmp_path / "run").exists()


def test_seeds_have_results_and_native_models(plan: Make, tmp_path: Path) -> None:
    results = finetune(plan())
    assert results == read_json(tmp_path / "run" / "results.json")
    mains = [run["test"]["main"] for run in results["runs"]]
    assert results["test"]["mean"] == pytest.approx(sum(mains) / 2)
    assert results["test"]["minimum"] == min(mains)
    interval = results["test"]["interval"]
    assert interval["value"] == pytest.approx(results["test"]["mean"])
    assert interval["low"] <= interval["value"] <= interval["high"]
    assert (interval["over"], interval["units"]) == ("documents", 2)
    for seed in (0, 1):
        home = tmp_path / "run" / f"seed-{seed}"
        load(home / "model", "ner")
        assert (home / "model" / "README.md").read_text().startswith("---")
        assert [d.id for d in read_documents(home / "test")] == ["note-6", "note-7"]
        recorded = read_json(home / "results.json")
        assert recorded["test"]["scores"]["confusion"]
        assert recorded["test"]["by_length"][0]["documents"] == 2
        details = [json.loads(line) for line in (home / "test" / "details.jsonl").read_text().splitlines()]
        assert [each["id"] for each in details] == ["note-6", "note-7"]
        assert recorded["versions"].keys() == {"longbio", "torch", "transformers", "python"}
    assert results["plan"]["machine"]["kernel"] == "auto"
    assert len(results["model"]["sha256"]) == 64


class Lines(Silence):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def end(self, result: str) -> None:
        self.lines.append(result)


def test_what_tags_cannot_give_back_is_said_before_learning(plan: Make, tmp_path: Path) -> None:
    note = Document("n", "fevers, no chills", (Span.of(0, 5, "Drug"), Span.of(11, 17, "Drug")), group=None)
    brat.write([note], tmp_path / "test")
    data = {"path": tmp_path / "data", "test": tmp_path / "test"}
    tell = Lines()
    results = finetune(plan(data=data, seeds=[0], task={"kind": "ner"}), tell)
    assert results["tag_ceiling"]["test"] == {
        "f1": 2 / 3,
        "lost": {"mentions that begin or end within a word": 1},
        "lost_at": {"mentions that begin or end within a word": "n, character 0"},
    }
    said = next(line for line in tell.lines if "F1 0.6667 at best" in line)
    assert said.startswith("warning: ")
    assert tell.lines.index(said) == 1


def test_the_development_documents_choose_among_a_grid(plan: Make, tmp_path: Path) -> None:
    grid = {"learning_rates": [1e-9, 1e-2], "batches": [2, 4]}
    results = finetune(plan(grid=grid, seeds=[3]))
    scores = {trial["name"]: trial["dev"] for trial in results["grid"]}
    assert len(scores) == 4
    assert results["recipe"]["learning_rate"] == 1e-2
    assert results["dev"]["mean"] == max(scores.values()) > 0
    # The losing models are gone, and the best one is the first seed's.
    assert not list((tmp_path / "run" / "grid").glob("*/"))
    model = tmp_path / "run" / "seed-3" / "model"
    assert "longbio evaluate model DATA" in (model / "README.md").read_text()


def test_a_run_killed_at_every_stage_ends_as_if_nothing_had_happened(plan: Make, tmp_path: Path) -> None:
    grid = {"learning_rates": [1e-3, 1e-2]}
    whole = finetune(plan("whole", grid=grid))
    for stage in (3, 3, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            finetune(plan("killed", grid=grid), StopAt(stage))
    resumed = finetune(plan("killed", grid=grid))
    assert without_times(resumed) == without_times(whole)


def test_a_finished_run_does_nothing_and_more_seeds_may_follow(plan: Make, tmp_path: Path) -> None:
    first = finetune(plan(seeds=[0]))
    weights = tmp_path / "run" / "seed-0" / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert without_times(finetune(plan(seeds=[0]))) == without_times(first)
    assert first["test"]["standard_deviation"] is None
    both = finetune(plan(seeds=[0, 1]))
    assert weights.stat().st_mtime_ns == before
    assert both["runs"][0] == first["runs"][0]
    assert both["test"]["runs"] == 2


def started_together(plan: Finetuning, count: int, folder: Path) -> None:
    """So many processes run a plan, as torchrun would start them."""
    file = folder / f"{plan.out.name}.json"
    file.write_text(plan.model_dump_json())
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    commands = [
        begin(["finetune", str(file)], folder, RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(count)
    ]
    ends = [command.end() for command in commands]
    assert not any(ends), "\n".join(command.said.read_text() for command in commands)


def test_two_processes_learn_what_one_does(plan: Make, tmp_path: Path) -> None:
    """Gloo on two CPUs: the same losses and scores, each file written once."""
    results, losses = {}, {}
    for name, count in (("alone", 1), ("together", 2)):
        asked = plan(name, seeds=[0], grid={"learning_rates": [1e-3, 1e-2]})
        started_together(asked, count, tmp_path)
        results[name] = read_json(tmp_path / name / "results.json")
        losses[name] = read_json(tmp_path / name / "seed-0" / "model" / "finetuning.json")["losses"]
    assert losses["alone"] == pytest.approx(losses["together"], abs=1e-5)
    assert results["alone"]["recipe"] == results["together"]["recipe"]
    assert results["alone"]["test"]["mean"] == pytest.approx(results["together"]["test"]["mean"], abs=1e-6)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def test_another_plan_in_the_same_folder_is_refused(plan: Make) -> None:
    finetune(plan(seeds=[0]))
    with pytest.raises(
        LongbioError, match=r"another plan: recipe\.\w+ was .* and is .*; choose another place"
    ):
        finetune(plan(recipe={"learning_rate": 1e-3}))


def test_other_documents_and_another_model_are_refused(
    plan: Make, tmp_path: Path, drug_notes: Callable[[int], list[Document]], tiny_long_folder: Path
) -> None:
    finetune(plan(seeds=[0]))
    with pytest.raises(LongbioError, match="another plan: model has changed"):
        finetune(plan(model=str(tiny_long_folder)))
    # The same documents elsewhere, and a folder that was moved, are the same.
    (tmp_path / "data").rename(tmp_path / "moved")
    (tmp_path / "run").rename(tmp_path / "also-moved")
    told = Told()
    finetune(plan("also-moved", seeds=[0], data={"path": tmp_path / "moved"}), told)
    assert told.results[-1].startswith("finished before")
    brat.write(drug_notes(9)[8:], tmp_path / "moved" / "test")
    with pytest.raises(LongbioError, match=r"another plan: documents\.test has changed"):
        finetune(plan("also-moved", seeds=[0, 1], data={"path": tmp_path / "moved"}))


def test_a_grid_belongs_to_its_first_seed(plan: Make) -> None:
    grid = {"learning_rates": [1e-3, 1e-2]}
    with pytest.raises(KeyboardInterrupt):
        finetune(plan(grid=grid, seeds=[0]), StopAt(4))
    with pytest.raises(LongbioError, match="seed of the grid was 0 and is 5"):
        finetune(plan(grid=grid, seeds=[5, 0]))
    with pytest.raises(ValueError, match="each seed counts once"):
        plan(seeds=[0, 0])


def test_documents_that_cannot_be_scored_are_said_before_training(plan: Make, tmp_path: Path) -> None:
    for split in ("train", "test"):
        lines = "".join(f"the {n}\t{'' if split == 'test' else n % 2}\n" for n in range(6))
        (tmp_path / f"{split}.tsv").write_text(f"text\tlabel\n{lines}")
    told = Told()
    with pytest.raises(LongbioError, match="none of the 6 documents, read as table, has a label"):
        finetune(plan(task={"kind": "classification"}, data={"path": tmp_path}), told)
    assert not any(title.startswith("seed") for title in told.titles)


def test_a_question_that_leaves_no_room_is_said_before_training(plan: Make, tmp_path: Path) -> None:
    for split in ("train", "test"):
        question = "the " * (60 if split == "test" else 3)
        lines = "".join(f"{question}\tthe {n}\tc{n % 2}\n" for n in range(6))
        (tmp_path / f"{split}.tsv").write_text(f"question\ttext\tlabel\n{lines}")
    told = Told()
    with pytest.raises(LongbioError, match="the question or first text has"):
        finetune(plan(task={"kind": "classification"}, data={"path": tmp_path}), told)
    assert not any(title.startswith("seed") for title in told.titles)


class Told(Silence):
    """Remembers what is told."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.results: list[str] = []

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        self.titles.append(title)
        return super().begin(title, total)

    def end(self, result: str) -> None:
        self.results.append(result)


def test_a_finished_run_asks_nothing_of_the_machine(plan: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = finetune(plan(seeds=[0]))
    with monkeypatch.context() as patched:
        patched.setattr("longbio.finetuning.run.check_machine", None)
        assert finetune(plan(seeds=[0])) == finished
    # Another seed has to learn.
    with pytest.raises(LongbioError, match="flash attention needs"):
        finetune(plan(seeds=[0, 1], machine={"kernel": "flash"}))


def test_stability_is_a_setting(plan: Make, tmp_path: Path) -> None:
    finetune(plan(seeds=[0], stability={"freeze_layers": 2}))
    source = load(plan().model, "ner", num_labels=3).state_dict()
    learned = load(tmp_path / "run" / "seed-0" / "model", "ner").state_dict()
    changed = {name for name in source if not (source[name] == learned[name]).all()}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_a_grid_leaves_open_what_the_recipe_says() -> None:
    recipe = Recipe(learning_rate=1e-5, batch=8, epochs=2)
    assert recipes_of(recipe, Grid()) == [recipe]
    made = recipes_of(recipe, Grid(learning_rates=(1e-5, 3e-5), batches=(16, 32)))
    assert [(each.learning_rate, each.batch, each.epochs) for each in made] == [
        (1e-5, 16, 2),
        (1e-5, 32, 2),
        (3e-5, 16, 2),
        (3e-5, 32, 2),
    ]


def test_steps_are_those_of_the_epochs_or_the_budget() -> None:
    assert Recipe(learning_rate=1e-5, batch=16, epochs=4).steps(5134) == 1284
    assert Recipe(learning_rate=1e-5, batch=16, epochs=4, max_steps=100).steps(5134) == 100
    assert Recipe(learning_rate=1e-5, batch=16, epochs=0.01).steps(3) == 1


def test_over_seeds_by_hand() -> None:
    runs = [{"main": 0.5, "has_collapsed": False}, {"main": 0.7, "has_collapsed": True}]
    found = over_seeds(runs)
    assert found["mean"] == pytest.approx(0.6)
    assert found["standard_deviation"] == pytest.approx(0.1 * 2**0.5)
    assert (found["minimum"], found["collapsed"], found["runs"]) == (0.5, 1, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": {"learning_rate": 0}}, "above 0"),
        ({"task": {"kind": "nerd"}}, "kind"),
        ({"task": {"kind": "ner", "sample_token": 3}}, "sample_token"),
        ({"data": {}}, "give path, or train and test"),
        ({"task": {"kind": "classification", "multi_label": True}}, "several labels"),
        ({"seeds": []}, "seeds"),
        ({"machine": {"kernel": "foo"}}, "no kernel 'foo'"),
        ({"machine": {"save_steps": 0}}, "above 0"),
        ({"recipe": {"learning_rate": 1, "patience": 0}}, "patience is above 0"),
        ({"recipe": {"learning_rate": 1, "dropout": 1.5}}, "a dropout of 1.5"),
        ({"grid": {"batches": [0]}}, "above 0"),
        ({"grid": {"epochs": [1, 2]}}, "a grid of epochs and max_steps"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], said: str, plan: Make) -> None:
    with pytest.raises(ValueError, match=said):
        plan(**changes)
