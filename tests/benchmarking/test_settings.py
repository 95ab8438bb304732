"""Suites as data: what is refused, how arms read, and the suites that come with longbio."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from longbio.benchmarking.cells import READINGS, Cell, cells_of
from longbio.benchmarking.results import SCORES, score_over_tasks
from longbio.benchmarking.settings import Benchmark, Reads, folder_name, load_benchmark
from longbio.errors import LongbioError
from longbio.finetuning.settings import Finetuning
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities

Make = Callable[..., Benchmark]


def cell(suite: Benchmark, task: str, arm: str) -> Cell:
    return next(
        each for each in cells_of(suite, suite.models) if (each.task.name, each.arm.name) == (task, arm)
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("baseline=chunk", "baseline is 'chunk', which doesn't exist; did you mean 'chunks'"),
        ("arms.1.model=lang", "arm long has the model 'lang', which doesn't exist; did you mean 'long'"),
        ("arms.1.reads=chunks-min", "arms.1.reads"),
        ("arms.1.by_task={nerd: [a=1]}", "by_task for 'nerd', which doesn't exist; did you mean 'ner'"),
        (
            "tasks.0.arms=[chunks, lonk]",
            "task notes has the arm 'lonk', which doesn't exist; did you mean 'long'",
        ),
        ("tasks.0.arms=[long]", "task notes leaves out the baseline chunks"),
        ("tasks.0.name='Classes!'", "tasks need names of their own, these are alike: Classes!, classes"),
        ("arms.0.name='--'", "arms.0.name"),
        ("titel=x", "unknown setting titel; did you mean title"),
        (
            "tasks.0.config=../finetune/note.yaml",
            "no configuration ../finetune/note.yaml; did you mean notes.yaml",
        ),
        ("seeds=[]", "seeds"),
        ("pretrained=[{name: a, start: shirt, config: x.yaml}]", "starts from 'shirt', which doesn't exist"),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest(override: str, said: str, suite: Make) -> None:
    with pytest.raises(LongbioError) as caught:
        suite(override)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_reading_has_a_word() -> None:
    assert set(READINGS) == set(get_args(Reads))


@pytest.mark.parametrize(
    ("reads", "max_tokens", "first", "part", "pooling"),
    [
        ("whole", None, False, "windows", "mean"),
        ("chunks-mean", 64, False, "windows", "mean"),
        ("chunks-max", 64, False, "windows", "max"),
        ("chunks-attention", 64, False, "windows", "attention"),
        ("first", 64, True, "head", "mean"),
    ],
)
def test_arms_read_as_their_word_says(
    reads: str, max_tokens: int | None, first: bool, part: str, pooling: str, suite: Make
) -> None:
    asked = suite(f"arms.1.reads={reads}")
    notes, classes = (cell(asked, task, "long").plan for task in ("notes", "classes"))
    assert notes.recipe.max_tokens == classes.recipe.max_tokens == max_tokens
    assert isinstance(notes.task, Entities)
    assert isinstance(classes.task, Classes)
    assert notes.task.first_window is first
    assert (classes.task.reading.part, classes.task.reading.pooling) == (part, pooling)


def test_the_more_special_has_the_last_word_and_the_suite_the_very_last(suite: Make) -> None:
    asked = (
        "tasks.0.set=[recipe.batch=3, recipe.epochs=3]",
        "arms.1.set=[recipe.batch=4, recipe.weight_decay=0.4]",
        "arms.1.by_task={ner: [recipe.batch=5, recipe.clip=5], notes: [recipe.clip=6]}",
    )
    plan = cell(suite(*asked), "notes", "long").plan
    assert (plan.recipe.epochs, plan.recipe.batch, plan.recipe.weight_decay, plan.recipe.clip) == (
        3,
        5,
        0.4,
        6,
    )
    others = cell(suite(*asked), "classes", "long").plan
    assert (others.recipe.batch, others.recipe.clip) == (4, 1.0)
    last = cell(suite(*asked, "set=[recipe.batch=7]"), "notes", "long").plan
    assert last.recipe.batch == 7


def test_corpora_seeds_and_rates_are_the_suites(suite: Make, corpora: Path) -> None:
    plan = cell(suite("learning_rates=[3e-5, 1e-4]"), "notes", "chunks").plan
    assert plan.data.path == corpora / "notes"
    assert plan.seeds == (0, 1)
    assert plan.grid.learning_rates == (3e-5, 1e-4)
    own = cell(suite("data=null", "seeds=null"), "notes", "chunks").plan
    assert str(own.data.path) == "NOWHERE"
    assert own.seeds == (0,)


def test_rates_that_a_later_grid_drops_are_told(suite: Make) -> None:
    with pytest.raises(LongbioError, match=r"notes, .*: the benchmark's learning_rates aren't tried"):
        cell(suite("learning_rates=[3e-5, 1e-4]", "set=['grid={}']"), "notes", "chunks")


def test_names_become_folders() -> None:
    assert folder_name("Layer decay 0.8, Zhang's") == "layer-decay-0.8-zhang-s"
    assert folder_name("../up") == "up"


def test_the_blurb_score_by_hand() -> None:
    """PubMedBERT's thirteen scores, as published, and the score published with them."""
    published = {
        "bc5-chem": 93.33,
        "bc5-disease": 85.62,
        "ncbi-disease": 87.82,
        "bc2gm": 84.52,
        "jnlpba": 79.10,
        "ebm-pico": 73.38,
        "chemprot": 77.24,
        "ddi": 82.36,
        "gad": 83.96,
        "biosses": 92.30,
        "hoc": 82.32,
        "pubmedqa": 55.84,
        "bioasq": 87.56,
    }
    assert score_over_tasks(published, "blurb") == pytest.approx(81.16, abs=0.02)
    assert score_over_tasks({**published, "more": 0.0}, "blurb") == score_over_tasks(published, "blurb")
    del published["ddi"]
    assert score_over_tasks(published, "blurb") is None


FOLDER = Path(__file__).resolve().parents[2] / "configs" / "benchmark"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_the_suites_that_are_owed_are_there() -> None:
    assert {file.stem for file in FILES} >= {
        "blurb",
        "clinical-ten",
        "compact-clinical",
        "open-long",
        "pretraining",
        "short-long",
        "smoke",
        "stability",
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_suite_is_complete_and_its_command_is_its_own(file: Path) -> None:
    asked = load_benchmark(file)
    words = file.read_text().split()
    named = "quickstart" if file.stem == "quickstart" else f"configs/benchmark/{file.name}"
    assert ("longbio", named) in {*pairwise(words)} or ("benchmark", named) in {*pairwise(words)}
    assert asked.out.parts[0] == "runs"
    made = {each.name: "made" for each in asked.pretrained}
    cells = cells_of(asked, {**asked.models, **made})
    assert len({each.plan.out for each in cells}) == len(cells)


def test_the_blurb_suite_has_the_sets_of_the_score() -> None:
    names = {task.name for task in load_benchmark(FOLDER / "blurb.yaml").tasks}
    assert names == {name for group in SCORES["blurb"].values() for name in group}
    assert len(names) == 13


def test_the_clinical_suites_have_ten_and_four() -> None:
    assert len(load_benchmark(FOLDER / "clinical-ten.yaml").tasks) == 10
    assert len(load_benchmark(FOLDER / "compact-clinical.yaml").tasks) == 4


def _step_samples(plan: Finetuning) -> int:
    """Of one step; for questions, whose samples are windows, what 4,096 tokens hold counts as one."""
    if plan.task.kind != "qa":
        return plan.recipe.batch
    return plan.recipe.batch * (plan.recipe.max_tokens or 4096) // 4096


def test_arms_of_open_long_take_as_many_steps_and_try_the_same_rates() -> None:
    """Equally tuned: the arms of a task differ in model and reading alone."""
    for name in ("open-long", "short-long"):
        asked = load_benchmark(FOLDER / f"{name}.yaml")
        for task in asked.tasks:
            budgets = {
                str((plan.recipe.max_steps, plan.recipe.epochs, _step_samples(plan), plan.grid, plan.seeds))
                for each in cells_of(asked, asked.models)
                if each.task.name == task.name
                for plan in (each.plan,)
            }
            assert len(budgets) == 1
