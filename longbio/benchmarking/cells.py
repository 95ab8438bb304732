"""A cell of a benchmark: one arm at one task, as a plan of fine-tuning."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import read_json
from longbio.artifacts.checkpoints import checkpoint_digest, locate
from longbio.artifacts.runs import is_run_of
from longbio.benchmarking.settings import Arm, Benchmark, Overrides, Reads, TaskEntry, folder_name
from longbio.benchmarking.worker import CELL
from longbio.errors import LongbioError
from longbio.finetuning.run import RESULTS, digests_of_documents, plan_of_settings
from longbio.finetuning.settings import Finetuning
from longbio.settings import load_settings

FAILURE = "failure.json"


def _pool_windows(pooling: str) -> dict[str, Overrides]:
    windows = ("task.reading.part=windows", f"task.reading.pooling={pooling}")
    return {"classification": windows, "similarity": windows}


HEAD = ("task.reading.part=head",)
FIRST_WINDOW = ("task.first_window=true",)

READINGS: dict[Reads, dict[str, Overrides]] = {
    "whole": {},
    "chunks-mean": _pool_windows("mean"),
    "chunks-max": _pool_windows("max"),
    "chunks-attention": _pool_windows("attention"),
    "first": {"ner": FIRST_WINDOW, "qa": FIRST_WINDOW, "classification": HEAD, "similarity": HEAD},
}
"""How an arm reads documents: what has to be set, by kind of task. Entities and answers of chunks are merged
as those of any windows are, so pooling is of documents alone."""


@dataclass(frozen=True)
class Cell:
    """What has to be run: an arm at a task, the plan made of both, and the command that runs it alone."""

    task: TaskEntry
    arm: Arm
    plan: Finetuning
    command: str

    @property
    def failure(self) -> Path:
        """The file that says why the cell failed."""
        return self.plan.out.with_name(f"{self.plan.out.name}.{FAILURE}")

    def results(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Results and cost of the finished run of this plan; None where there is none yet."""
        out = self.plan.out
        if not (out / CELL).is_file() or not (out / RESULTS).is_file():
            return None
        asked = plan_of_settings(self.plan)
        # A finished benchmark is reported even where its models or its corpora are gone.
        with suppress(LongbioError):
            asked["model"] = checkpoint_digest(locate(self.plan.model))
        with suppress(LongbioError):
            asked |= digests_of_documents(self.plan)
        done = read_json(out / RESULTS)
        if not is_run_of(out, asked) or [run["seed"] for run in done["runs"]] != list(self.plan.seeds):
            return None
        return done, read_json(out / CELL)["cost"]


def cells_of(suite: Benchmark, models: Mapping[str, str]) -> list[Cell]:
    """Every cell, task by task, with a folder or hub name for each model that arms name.

    Raises:
        LongbioError: a plan can't be made: an override names what there isn't.
    """
    return [_cell(suite, task, arm, models) for task in suite.tasks for arm in suite.arms_of(task)]


def _cell(suite: Benchmark, task: TaskEntry, arm: Arm, models: Mapping[str, str]) -> Cell:
    out = suite.out / folder_name(task.name) / folder_name(arm.name)
    ours = (f"model={json.dumps(models[arm.model])}", f"out={json.dumps(str(out))}")
    shared = (*_of_all(suite, task), *task.set)
    kind = load_settings(Finetuning, task.config, [*shared, *ours]).task.kind
    overrides = [
        *shared,
        *overrides_of(arm.reads, kind, suite.chunk_tokens),
        *arm.set,
        *arm.by_task.get(kind, ()),
        *arm.by_task.get(task.name, ()),
        *suite.set,
        *ours,
    ]
    plan = load_settings(Finetuning, task.config, overrides)
    if suite.learning_rates and not plan.grid.learning_rates:
        raise LongbioError(
            "the benchmark's learning_rates aren't tried: a later `grid` without rates replaces them",
            where=f"{task.name}, {arm.name}",
            remedy="name grid.batches and grid.epochs instead of the whole grid, or drop learning_rates",
        )
    flags = [word for override in overrides for word in ("--set", override)]
    return Cell(task, arm, plan, shlex.join(["longbio", "finetune", str(task.config), *flags]))


def overrides_of(reads: Reads | None, kind: str, chunk_tokens: int) -> Overrides:
    """Overrides by which a task of a `kind` reads documents so; None for the plan's own way. Chunks hold so
    many tokens, special ones included.

    Raises:
        LongbioError: the task can't be read so.
    """
    if reads is None:
        return ()
    if reads == "first" and kind not in READINGS[reads]:
        raise LongbioError(
            f"{kind} are read a pair at a time: there is no first chunk of a document",
            where="reads",
            remedy="leave the task out of this arm",
        )
    chunk = "null" if reads == "whole" else str(chunk_tokens)
    return (f"recipe.max_tokens={chunk}", *READINGS[reads].get(kind, ()))


def _of_all(suite: Benchmark, task: TaskEntry) -> Overrides:
    """What the benchmark says for every cell: corpora, seeds, and the rates that each of them tries."""
    overrides = []
    if suite.data is not None:
        overrides.append(f"data.path={json.dumps(str(suite.data / (task.data or '')))}")
    if suite.seeds is not None:
        overrides.append(f"seeds={json.dumps(suite.seeds)}")
    if suite.learning_rates:
        overrides.append(f"grid.learning_rates={json.dumps(suite.learning_rates)}")
    return tuple(overrides)
