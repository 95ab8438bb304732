"""What finished cells say together: the content of a benchmark's `results.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
import torch

from longbio.artifacts.atomic_files import read_json
from longbio.benchmarking.cells import Cell
from longbio.benchmarking.settings import Benchmark
from longbio.finetuning.learn import REPORT, versions
from longbio.tasks.statistics import difference, holm

Finished = tuple[Cell, dict[str, Any], dict[str, Any]]
"""A cell, what its run says, what it cost."""

SCORES: dict[str, dict[str, tuple[str, ...]]] = {
    # Gu et al. 2021, table 2: six kinds of task count the same, however many sets they have.
    "blurb": {
        "entities": ("bc5-chem", "bc5-disease", "ncbi-disease", "bc2gm", "jnlpba"),
        "PICO": ("ebm-pico",),
        "relations": ("chemprot", "ddi", "gad"),
        "similarity": ("biosses",),
        "documents": ("hoc",),
        "questions": ("pubmedqa", "bioasq"),
    }
}
"""Scores over many tasks: means over groups of tasks, each the mean of its own."""


def results_of(
    suite: Benchmark, cells: Sequence[Cell], failed: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Gather the cells that are finished, and compare them; `failed` are a `task`, an `arm`, and `what`
    happened."""
    finished = [(cell, *done) for cell in cells if (done := cell.results()) is not None]
    tasks, faults = [], [*failed, *_other_weights(finished)]
    for task in suite.tasks:
        of_task = [done for done in finished if done[0].task.name == task.name]
        if of_task:
            tasks.append(_task(suite, of_task, faults))
    _correct_p_values(tasks)
    return {
        "title": suite.title,
        "plan": suite.model_dump(mode="json"),
        "versions": versions(),
        "machine": machine(),
        "baseline": suite.baseline,
        "seeds": sorted({seed for task in tasks for arm in task["arms"] for seed in arm["seeds"]}),
        "score": _score(suite, tasks),
        "tasks": tasks,
        "failed": faults,
    }


def _other_weights(finished: Sequence[Finished]) -> Iterator[dict[str, str]]:
    """Cells whose model was replaced, under its old name, since another cell was run."""
    first: dict[str, str] = {}
    for cell, run, _ in finished:
        digest, arm = run["model"]["sha256"], cell.arm
        if first.setdefault(arm.model, digest) != digest:
            fault = f"the model {arm.model} has other weights here than in cells before; delete what is old"
            yield {"task": cell.task.name, "arm": arm.name, "what": fault}


def _task(suite: Benchmark, finished: Sequence[Finished], faults: list[Mapping[str, str]]) -> dict[str, Any]:
    first, first_run, _ = finished[0]
    baseline = next((run for cell, run, _ in finished if cell.arm.name == suite.baseline), None)
    arms = []
    for cell, run, cost in finished:
        against = None
        if baseline is not None and run is not baseline:
            against, fault = _against(run, baseline)
            if fault is not None:
                faults.append({"task": first.task.name, "arm": cell.arm.name, "what": fault})
        arms.append({**_arm(cell, run, cost), "against_baseline": against})
    return {
        "name": first.task.name,
        "kind": first.plan.task.kind,
        "measure": first.plan.task.measure,
        "documents": first_run["data"]["documents"],
        "arms": arms,
    }


def _arm(cell: Cell, result: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    runs, test = result["runs"], result["test"]
    learned = [read_json(cell.plan.out / f"seed-{run['seed']}" / "model" / REPORT) for run in runs]
    return {
        "name": cell.arm.name,
        "model": result["model"]["name"],
        "reads": cell.arm.reads,
        "kernel": runs[0]["kernel"],
        "seeds": [run["seed"] for run in runs],
        "scores": [run["test"]["main"] for run in runs],
        **{name: test[name] for name in ("mean", "standard_deviation", "minimum", "collapsed", "interval")},
        "steps": round(fmean(run["steps"] for run in runs)),
        "recipe": result["recipe"],
        "tried": result["grid"],
        "left_out": runs[0]["left_out"],
        "by_length": _over_seeds([run["test"]["by_length"] for run in runs], "main"),
        "by_position": _over_seeds([run["test"]["by_position"] for run in runs], "recall") or None,
        "by_type": _by_type(runs),
        "losses": [run["losses"] for run in learned],
        "reliability": runs[0]["test"]["reliability"],
        "cost": _cost(cell, runs, cost),
        "command": cell.command,
    }


def _by_type(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]] | None:
    """F1 of each entity type, mean over seeds, and how often it occurs; None for other tasks."""
    types = [run["test"]["scores"]["strict"]["types"] for run in runs if "strict" in run["test"]["scores"]]
    by_type: dict[str, dict[str, float]] = {}
    for label in dict.fromkeys(label for scores in types for label in scores):
        rows = [scores[label] for scores in types if label in scores]
        # A type that one seed predicted by mistake is in its scores alone.
        mentions = sum(rows[0][count] for count in ("correct", "incorrect", "partial", "missed"))
        by_type[label] = {"f1": sum(row["f1"] for row in rows) / len(types), "mentions": mentions}
    return by_type or None


def _cost(cell: Cell, runs: Sequence[Mapping[str, Any]], cost: Mapping[str, Any]) -> dict[str, Any]:
    """Of one model: means over seeds."""
    prediction = fmean(run["test"]["seconds"] for run in runs)
    lines = (cell.plan.out / f"seed-{runs[0]['seed']}" / "test" / "details.jsonl").read_text().splitlines()
    tokens = sum(_tokens_read(json.loads(line)) for line in lines)
    return {
        "training_seconds": None if cost["was_interrupted"] else fmean(run["seconds"] for run in runs),
        "prediction_seconds": prediction,
        # Seconds are recorded in tenths.
        "tokens_per_second": tokens / max(prediction, 0.1),
        "peak_memory_mb": cost["peak_memory_mb"],
    }


def _tokens_read(details: Mapping[str, Any]) -> int:
    """Of a document's text, once for each question to it."""
    read = details.get("questions", [details])
    return sum(details["tokens"] - part.get("unread_tokens", 0) for part in read)


def _over_seeds(tables: Sequence[Sequence[Mapping[str, Any]] | None], value: str) -> list[dict[str, Any]]:
    """Rows with the same bounds, their `value` averaged."""
    together: dict[int, list[Mapping[str, Any]]] = {}
    for table in tables:
        for row in table or ():
            together.setdefault(row["from_tokens"], []).append(row)
    return [{**rows[0], value: fmean(row[value] for row in rows)} for _, rows in sorted(together.items())]


def _against(arm: Mapping[str, Any], baseline: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """A run against the baseline over the seeds that both have, and why that can't be."""
    ours, theirs = (
        {run["seed"]: run["test"]["evidence"] for run in side["runs"]} for side in (arm, baseline)
    )
    seeds = [seed for seed in ours if seed in theirs]
    pairs = [(ours[seed], theirs[seed]) for seed in seeds]
    if not pairs:
        return None, None
    if arm["data"]["sha256"]["test"] != baseline["data"]["sha256"]["test"]:
        return (
            None,
            "its test documents aren't the baseline's; delete one of the two folders and run it again",
        )
    try:
        return difference([one for one, _ in pairs], [other for _, other in pairs]), None
    except ValueError:
        return None, "its classes aren't the baseline's"


def _correct_p_values(tasks: Sequence[Mapping[str, Any]]) -> None:
    """Give every comparison of an arm its p after Holm's correction over tasks."""
    by_arm: dict[str, list[dict[str, float]]] = {}
    for task in tasks:
        for arm in task["arms"]:
            if arm["against_baseline"] is not None:
                by_arm.setdefault(arm["name"], []).append(arm["against_baseline"])
    for tests in by_arm.values():
        for test, corrected in zip(tests, holm([test["p"] for test in tests]), strict=True):
            test["p_holm"] = corrected


def _score(suite: Benchmark, tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The score over all tasks of every arm that has them all."""
    if suite.score is None:
        return None
    arms = {}
    for arm in suite.arms:
        means = {
            task["name"]: row["mean"] for task in tasks for row in task["arms"] if row["name"] == arm.name
        }
        score = score_over_tasks(means, suite.score)
        if score is not None:
            arms[arm.name] = score
    return {"name": f"{suite.score.upper()} score", "arms": arms} if arms else None


def score_over_tasks(means: Mapping[str, float], score: str) -> float | None:
    """One of `SCORES` of an arm, by the means of its tasks; None when a task is missing: a score of fewer
    tasks is another score."""
    groups = SCORES[score].values()
    if any(name not in means for group in groups for name in group):
        return None
    return fmean(fmean(means[name] for name in group) for group in groups)


def machine() -> dict[str, Any]:
    """What the work was done on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
