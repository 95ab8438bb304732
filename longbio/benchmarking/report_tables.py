"""The tables of a benchmark's report: the same in HTML and in Markdown, and all numbers as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from longbio.benchmarking import report_words as words
from longbio.benchmarking.report_words import Result, interval, points

LEARNED_BY = {
    "learning_rate": "rate {:g}",
    "batch": "batch {:g}",
    "epochs": "{:g} epochs",
    "max_steps": "at most {:,} steps",
}
SPOKEN = {"better": "better", "worse": "worse", "unclear": "not told apart"}


@dataclass(frozen=True)
class Table:
    """Cells to be shown as they are, below a header; `texts` are the columns that hold words, not numbers."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: frozenset[int] = frozenset({0})


def overview(results: Result) -> Table:
    """Tasks by arms, whichever are fewer as columns: mean scores, and the comparison with the baseline."""
    arms, tasks, score = arm_names(results), results["tasks"], results["score"]
    failed = {(cell["task"], cell["arm"]) for cell in results["failed"]}
    columns = [f"{task['name']}, {task['measure']}" for task in tasks]
    rows = []
    for name in arms:
        spoken = f"{name} (baseline)" if name == results["baseline"] else name
        cells = []
        for task in tasks:
            arm = next((arm for arm in task["arms"] if arm["name"] == name), None)
            missing = "failed" if (task["name"], name) in failed else "–"
            cells.append(_overview_cell(arm) if arm else missing)
        rows.append((spoken, *cells, *([points(score["arms"].get(name))] if score else [])))
    header = ("arm", *columns, *([score["name"]] if score else []))
    if len(header) > len(rows) + 1:
        header, *rows = zip(*(("task", *header[1:]), *rows), strict=True)
    return Table("Scores in hundredths, mean over seeds", tuple(header), tuple(rows))


def _overview_cell(arm: Result) -> str:
    against = arm["against_baseline"]
    mean = points(arm["mean"])
    if against is None:
        return mean
    verdict, why = SPOKEN[words.verdict(against)], ""
    if words.doubt(against) is not None:
        is_few = words.too_few(against) is not None
        why = f" by {against['units']} {against['over']}" if is_few else ": interval and p differ"
    return f"{mean} ({points(against['difference'], signed=True)}, {verdict}{why})"


def arms_table(task: Result, results: Result) -> Table:
    """What each arm of a task reached, how it differs from the baseline, and what it cost."""
    baseline = words.baseline_of(task, results)
    rows = [_arm_row(arm, baseline) for arm in task["arms"]]
    done = {arm["name"] for arm in task["arms"]}
    failed = [cell for cell in results["failed"] if cell["task"] == task["name"] and cell["arm"] not in done]
    header = (
        "arm",
        f"{task['measure']}, mean ± sd{' [95%]' if any(arm.get('interval') for arm in task['arms']) else ''}",
        "lowest seed",
        "collapsed",
        f"minus {results['baseline']} [95%]",
        "p (Holm)",
        "cost",
        "learning + reading",
        "tokens/s",
        "memory",
    )
    rows += [(cell["arm"], "failed", *[""] * (len(header) - 2)) for cell in failed]
    return Table("Scores in hundredths, and what they cost", header, tuple(rows))


def _arm_row(arm: Result, baseline: Result | None) -> tuple[str, ...]:
    cost, against, is_baseline = arm["cost"], arm["against_baseline"], arm is baseline
    spread = "" if arm["standard_deviation"] is None else f" ± {points(arm['standard_deviation'])}"
    its = arm.get("interval")
    around = f" {interval(its['low'], its['high'])}" if its else ""
    difference = p = "baseline" if is_baseline else "–"
    if against is not None:
        around_difference = interval(against["low"], against["high"])
        difference = f"{points(against['difference'], signed=True)} {around_difference}"
        p = words.chance(against["p_holm"]).removeprefix("p = ").removeprefix("p ")
    return (
        arm["name"],
        f"{points(arm['mean'])}{spread}{around}",
        points(arm["minimum"]),
        f"{arm['collapsed']} of {len(arm['seeds'])}",
        difference,
        "" if is_baseline else p,
        words.cost_ratio(arm, baseline) or "–",
        f"{duration(cost['training_seconds'])} + {duration(cost['prediction_seconds'])}",
        "–" if cost["tokens_per_second"] is None else f"{cost['tokens_per_second']:,.0f}",
        "–" if cost["peak_memory_mb"] is None else f"{cost['peak_memory_mb'] / 1000:.1f} GB",
    )


RANGES = {
    "by_length": ("document's tokens", "documents", "main"),
    "by_position": ("tokens before it", "mentions", "recall"),
}
"""By the name of a table of ranges of tokens: what they are of, what is counted and measured there."""


def position_measure(task: Result) -> str:
    """What is measured by position: the recall of mentions, or the mean F1 of answers."""
    return "mean F1" if task["kind"] == "qa" else "recall"


def ranges_table(task: Result, key: str) -> Table | None:
    """The score of documents of each length, or how much was found at each place of a document; None where
    that isn't known, or all are in one range, which says no more than the mean."""
    first, count, value = RANGES[key]
    arms = [arm for arm in task["arms"] if arm[key]]
    ranges = ranges_of(arms, key)
    if len(ranges) < 2:
        return None
    rows = []
    for borders in ranges:
        cells = [find(arm[key], borders) for arm in arms]
        counts = {cell[count] for cell in cells if cell}
        rows.append(
            (
                range_text(*borders),
                " / ".join(f"{number:,.0f}" for number in sorted(counts)),
                *(points(cell[value]) if cell else "–" for cell in cells),
            )
        )
    header = (first, count, *(arm["name"] for arm in arms))
    measured = position_measure(task).capitalize() if value == "recall" else task["measure"]
    return Table(f"{measured}, in hundredths", header, tuple(rows))


def types_table(task: Result) -> Table | None:
    """F1 of each entity type, the most frequent first; None for tasks without, and where there is one."""
    arms = [arm for arm in task["arms"] if arm.get("by_type")]
    counts = {label: scores["mentions"] for arm in arms for label, scores in arm["by_type"].items()}
    if len(counts) < 2:
        return None
    none = {"f1": 0.0}
    rows = tuple(
        (label, f"{counts[label]:,}", *(points(arm["by_type"].get(label, none)["f1"]) for arm in arms))
        for label in sorted(counts, key=lambda label: (-counts[label], label))
    )
    header = ("type", "mentions", *(arm["name"] for arm in arms))
    return Table("F1 by type, in hundredths, mean over seeds", header, rows)


Borders = tuple[int, int | None]


def ranges_of(arms: Sequence[Result], key: str) -> list[Borders]:
    """The ranges of tokens that occur in any of the arms, in order."""
    ranges = {(row["from_tokens"], row["to_tokens"]) for arm in arms for row in arm[key] or ()}
    return sorted(ranges, key=lambda borders: (borders[0], borders[1] or float("inf")))


def find(rows: Sequence[Result], borders: Borders) -> Result | None:
    """The row of a range."""
    return next((row for row in rows if (row["from_tokens"], row["to_tokens"]) == borders), None)


def range_text(from_tokens: int, to_tokens: int | None) -> str:
    """`512–1,024`, `4,096+`."""
    return f"{from_tokens:,}+" if to_tokens is None else f"{from_tokens:,}–{to_tokens:,}"


def reliability_table(task: Result) -> Table | None:
    """How far each arm's probabilities are from the share that is right."""
    rows = tuple(
        (
            arm["name"],
            f"{sum(group['count'] for group in arm['reliability']['bins']):,}",
            points(arm["reliability"]["expected_calibration_error"]),
        )
        for arm in task["arms"]
        if arm["reliability"]
    )
    header = ("arm", "predictions", "expected calibration error")
    return Table("Calibration, first seed, in hundredths", header, rows) if rows else None


def loss_table(task: Result) -> Table | None:
    """Where each arm's losses begin and end, each the mean of a tenth of the steps and of all seeds."""
    rows = []
    for arm in task["arms"]:
        tenths = [(losses, max(1, len(losses) // 10)) for losses in arm["losses"] if losses]
        if tenths:
            first = mean([loss for losses, tenth in tenths for loss in losses[:tenth]])
            last = mean([loss for losses, tenth in tenths for loss in losses[-tenth:]])
            rows.append((arm["name"], f"{arm['steps']:,}", f"{first:.3f}", f"{last:.3f}"))
    header = ("arm", "steps", "first tenth", "last tenth")
    return Table("Training loss, mean of a tenth of the steps", header, tuple(rows)) if rows else None


def pretraining_table(models: Sequence[Result]) -> Table:
    """What models that were made first began with, and what they reached."""
    lengths = list(dict.fromkeys(length for model in models for length in model["phases"][-1]["bits_after"]))
    target = models[0]["target_bits"]
    rows = []
    for model in models:
        before, after = model["phases"][0]["bits_before"], model["phases"][-1]["bits_after"]
        held_out = [
            f"{before[n]:.2f} → {after[n]:.2f}" if n in before and n in after else "–" for n in lengths
        ]
        reached = "not reached" if model["steps_to_target"] is None else f"{model['steps_to_target']:,}"
        new = f", new words by {model['new_words']}" if model["new_words"] else ""
        cells = [model["name"], model["start"] + new, f"{model['steps']:,}", *held_out]
        rows.append((*cells, *([] if target is None else [reached])))
    header = ["model", "begins with", "steps", *(f"held-out bits at {length} tokens" for length in lengths)]
    header += [] if target is None else [f"steps to {target:g} bits"]
    return Table("Bits per masked token, before and after", tuple(header), tuple(rows), frozenset({0, 1}))


def tried_table(task: Result) -> Table:
    """What was tried with the first seed, and which of it the development documents chose."""
    rows = []
    for arm in task["arms"]:
        recipe = arm["recipe"] or {}
        known = [form.format(recipe[key]) for key, form in LEARNED_BY.items() if recipe.get(key) is not None]
        tried = "; ".join(f"{recipe['name']}: {points(recipe['dev'])}" for recipe in arm["tried"])
        rows.append(
            (arm["name"], arm["model"], f"{arm['steps']:,}", ", ".join(known), tried or "nothing else")
        )
    header = ("arm", "model", "steps", "learned by", "tried (score on development documents)")
    return Table("Budgets and settings", header, tuple(rows), frozenset({0, 1, 3, 4}))


def arm_names(results: Result) -> list[str]:
    """All arms with a result, in the order of the first task that has them."""
    return list(dict.fromkeys(arm["name"] for task in results["tasks"] for arm in task["arms"]))


def duration(seconds: float | None) -> str:
    """`48 s`, `12 min`, `3.2 h`."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def as_csv(results: Result) -> str:
    """A line for each task, arm and seed, and one for each cell that failed; shares as they are, from 0 to
    1. Only what is of an arm, not of a seed, repeats."""
    lines = [
        line
        for task in results["tasks"]
        for arm in task["arms"]
        for line in _csv_lines(task, arm, results["baseline"])
    ]
    lines += [
        {"task": cell["task"], "arm": cell["arm"], "failed": cell["what"]} for cell in results["failed"]
    ]
    columns = list(dict.fromkeys(column for line in lines for column in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _csv_lines(task: Result, arm: Result, baseline: str) -> list[dict[str, Any]]:
    documents, against = task["documents"] or {}, arm["against_baseline"] or {}
    of_task = {
        "task": task["name"],
        "kind": task["kind"],
        "measure": task["measure"],
        **{f"{split}_documents": documents.get(split) for split in ("train", "dev", "test")},
    }
    of_arm = {
        "is_baseline": arm["name"] == baseline,
        **{key: arm[key] for key in ("mean", "standard_deviation", "minimum", "collapsed")},
        **{f"score_{end}": (arm.get("interval") or {}).get(end) for end in ("low", "high")},
        **{key: against.get(key) for key in ("difference", "low", "high", "p", "p_holm")},
        "steps": arm["steps"],
        **arm["cost"],
        **_csv_ranges(arm["by_length"], "score", "main"),
        **_csv_ranges(arm["by_position"], "recall", "recall"),
        "expected_calibration_error": (arm["reliability"] or {}).get("expected_calibration_error"),
        **{f"recipe_{key}": _flat(value) for key, value in (arm["recipe"] or {}).items()},
        "tried": _flat(arm["tried"]),
        "command": arm["command"],
    }
    lines = []
    for n, (seed, score) in enumerate(zip(arm["seeds"], arm["scores"], strict=True)):
        losses = arm["losses"][n] if n < len(arm["losses"]) else []
        ends = {"first_loss": losses[0], "last_loss": losses[-1]} if losses else {}
        of_seed = {"arm": arm["name"], "model": arm["model"], "seed": seed, "score": score, "failed": ""}
        lines.append(of_task | of_seed | ends | of_arm)
    return lines


def _csv_ranges(rows: Sequence[Result] | None, name: str, key: str) -> dict[str, Any]:
    return {
        f"{name}_{row['from_tokens']}_{'up' if row['to_tokens'] is None else row['to_tokens']}": row[key]
        for row in rows or ()
    }


def _flat(value: object) -> object:
    return json.dumps(value) if isinstance(value, (list, tuple, Mapping)) else value
