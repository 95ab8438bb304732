"""Benchmarks as data: the schema of `longbio benchmark CONFIG`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from longbio.conversion.settings import ConversionSettings
from longbio.errors import LongbioError
from longbio.settings import HomePath, Settings, load_settings, settings_file
from longbio.tasks import TASKS
from longbio.vocabulary.initialise import Method

Reads = Literal["whole", "chunks-mean", "chunks-max", "chunks-attention", "first"]

Overrides = tuple[str, ...]
"""`a.b=c` each, as for `--set`."""

Name = Annotated[str, Field(pattern=r"[A-Za-z0-9]")]


class Arm(Settings):
    """One way to do the tasks.

    Args:
        name: in tables; its letters and digits name folders.
        model: one of the benchmark's.
        reads: how it reads documents (`cells.READINGS`); None for what each task says.
        set: overrides of every task's configuration.
        by_task: more of them, by the name of a task or its kind (`ner`, `qa`, ...).
    """

    name: Name
    model: str
    reads: Reads | None = None
    set: Overrides = ()
    by_task: dict[str, Overrides] = Field(default_factory=dict)


class TaskEntry(Settings):
    """One task on one corpus.

    Args:
        name: in tables; its letters and digits name folders.
        config: a plan of `longbio finetune`: a preset's name, or a path, which starts at the benchmark's own
            file.
        data: a folder within the benchmark's `data`.
        set: overrides of the plan, for every arm.
        arms: those that do it; None for all.
        show_text: a document of it may stand in the report: the data are public, or invented.
    """

    name: Name
    config: Path
    data: str | None = None
    set: Overrides = ()
    arms: tuple[str, ...] | None = None
    show_text: bool = False


class NewWords(Settings):
    """Words that a model is given before it is pre-trained.

    Args:
        terms: what `longbio vocab mine` wrote, or one a line.
        corpus: texts with them.
        init: how their rows begin.
        contexts: of each, where `init` needs some.
    """

    terms: Path
    corpus: tuple[Path, ...] = ()
    init: Method = "mean"
    contexts: int = Field(default=25, gt=0)


class Pretrained(Settings):
    """A model that the benchmark makes first, and arms may name.

    Args:
        name: its name.
        start: a model of the benchmark, or one of `pretrained` that stands before this one.
        config: a curriculum of `longbio pretrain`: a preset's name, or a path, which starts at the
            benchmark's own file.
        set: overrides of it.
        new_words: what the vocabulary gets before.
        convert: the long model that it becomes before.
    """

    name: Name
    start: str
    config: Path
    set: Overrides = ()
    new_words: NewWords | None = None
    convert: ConversionSettings | None = None


Entry = TypeVar("Entry", TaskEntry, Pretrained)


class Benchmark(Settings):
    """Models by tasks by seeds.

    Args:
        title: of the report.
        out: the run folder: `<task>/<arm>` are runs of `longbio finetune`.
        models: checkpoint folders or names on the hub.
        pretrained: models that are made first.
        arms: what is compared; one for each model, by its name, when empty.
        tasks: on what.
        baseline: the arm that every other is compared with.
        data: the corpora; None for what the configurations say.
        seeds: of every cell; None for those of the configurations.
        learning_rates: tried by every arm on every task; empty for what the configurations say.
        chunk_tokens: what a chunk holds, special tokens included.
        set: overrides of every cell, which have the last word.
        set_pretrained: overrides of every curriculum of `pretrained`, which have the last word.
        target_bits: how few bits per masked token pre-training shall reach; how many steps that takes is
            reported.
        score: a score over all tasks: `blurb`.
    """

    title: str
    out: HomePath
    models: dict[str, str] = Field(min_length=1)
    pretrained: tuple[Pretrained, ...] = ()
    arms: tuple[Arm, ...] = ()
    tasks: tuple[TaskEntry, ...] = Field(min_length=1)
    baseline: str
    data: HomePath | None = None
    seeds: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = ()
    chunk_tokens: int = Field(default=512, ge=16)
    set: Overrides = ()
    set_pretrained: Overrides = ()
    target_bits: float | None = Field(default=None, gt=0)
    score: Literal["blurb"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _give_each_model_an_arm(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("arms") or not isinstance(values.get("models"), dict):
            return values
        made = [entry.get("name") for entry in values.get("pretrained") or () if isinstance(entry, dict)]
        return {**values, "arms": [{"name": name, "model": name} for name in [*values["models"], *made]]}

    @model_validator(mode="after")
    def _names(self) -> Self:
        _refuse_twins("arms", [arm.name for arm in self.arms])
        _refuse_twins("tasks", [task.name for task in self.tasks])
        _refuse_twins("models", [*self.models, *(made.name for made in self.pretrained)])
        models = list(self.models)
        for made in self.pretrained:
            _refuse_unknown(f"pretrained {made.name} starts from", [made.start], models)
            models.append(made.name)
        arms = [arm.name for arm in self.arms]
        _refuse_unknown("the baseline is", [self.baseline], arms)
        for arm in self.arms:
            _refuse_unknown(f"arm {arm.name} has the model", [arm.model], models)
            known = [*(task.name for task in self.tasks), *TASKS]
            _refuse_unknown(f"arm {arm.name} has settings by_task for", arm.by_task, known)
        for task in self.tasks:
            _refuse_unknown(f"task {task.name} has the arm", task.arms or (), arms)
            if task.arms is not None and self.baseline not in task.arms:
                raise ValueError(f"task {task.name} leaves out the baseline {self.baseline}")
        return self

    def arms_of(self, task: TaskEntry) -> list[Arm]:
        """The arms that do a task."""
        return [arm for arm in self.arms if task.arms is None or arm.name in task.arms]


def load_benchmark(file: Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Benchmark:
    """Read a benchmark, a YAML file or its content; paths in it then start in the working folder.

    Raises:
        LongbioError: a setting is wrong, or a configuration isn't there; names the nearest.
    """
    suite = load_settings(Benchmark, file, overrides)
    named_in = None if isinstance(file, Mapping) else file

    def with_file(entry: Entry, command: str) -> Entry:
        return entry.model_copy(update={"config": settings_file(entry.config, command, named_in=named_in)})

    return suite.model_copy(
        update={
            "tasks": tuple(with_file(task, "finetune") for task in suite.tasks),
            "pretrained": tuple(with_file(made, "pretrain") for made in suite.pretrained),
        }
    )


def folder_name(name: str) -> str:
    """A name as a folder's: lower case, hyphens for all but letters and digits."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")


def refuse_unknown(name: str, known: Sequence[str], where: str) -> None:
    """Raises LongbioError, which says the nearest one, for a name that isn't known."""
    if name not in known:
        raise LongbioError(
            f"there is no {name!r}", where=where, remedy=f"did you mean {_near(name, known)!r}?"
        )


def _refuse_unknown(whose: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{whose} {name!r}, which doesn't exist; did you mean {_near(name, known)!r}?")


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    folders = [folder_name(name) for name in names]
    twins = [name for name, folder in zip(names, folders, strict=True) if folders.count(folder) > 1]
    if twins:
        raise ValueError(f"{what} need names of their own, these are alike: {', '.join(twins)}")


def _near(name: str, known: Sequence[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
