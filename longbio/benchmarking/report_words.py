"""What a benchmark says, in sentences: who is better, by how much, how sure that is, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Result = Mapping[str, Any]
"""A part of `results.json`."""

SIGNIFICANT = 0.05
FEW_DOCUMENTS = 30
LITTLE = 0.1
"""An arm whose score is below this share has learned next to nothing."""

KINDS = {"ner": "Entities", "qa": "Questions", "classification": "Classification", "relations": "Relations"}
KINDS |= {"similarity": "Similarity"}

Verdict = Literal["better", "worse", "unclear"]


def verdict(against: Result | None) -> Verdict:
    """What a comparison with the baseline says: clear only where the interval leaves out zero and p, after
    Holm's correction, is below 0.05."""
    if against is None or None in (against["low"], against["high"], against["p_holm"]):
        return "unclear"
    if against["p_holm"] >= SIGNIFICANT or against["low"] <= 0 <= against["high"]:
        return "unclear"
    return "better" if against["low"] > 0 else "worse"


def doubt(against: Result) -> str | None:
    """Why a difference isn't clear where interval and p disagree; None where they agree."""
    low, high, p_holm = (against[name] for name in ("low", "high", "p_holm"))
    if verdict(against) != "unclear" or None in (low, high, p_holm):
        return None
    if low <= 0 <= high:
        return "p is below 0.05, but the interval holds zero" if p_holm < SIGNIFICANT else None
    least = too_few(against)
    if least is not None:
        return f"the interval leaves out zero, but with {_units(against)} no p can be below {least:g}"
    if against["p"] < SIGNIFICANT:
        return (
            "the interval leaves out zero, but p is below 0.05 only before Holm's correction over the tasks"
        )
    return "the interval leaves out zero, but p isn't below 0.05: models that are alike may differ as much"


def too_few(against: Result) -> float | None:
    """The least p that so few documents or groups can have, where that is 0.05 or more: two models' results
    can be swapped for each or not, in 2^n ways, and two of these are extreme."""
    units = against.get("units")
    least = None if units is None else 2.0 ** (1 - units)
    return least if least is not None and least >= SIGNIFICANT else None


def _units(against: Result) -> str:
    """`3 documents`."""
    return plural(against["units"], against["over"].removesuffix("s"))


def points(value: float | None, *, signed: bool = False) -> str:
    """A score in hundredths with one decimal, and more where it would be nothing otherwise; a dash for
    None."""
    if value is None:
        return "–"
    value = 100 * value
    decimals = 1 if abs(value) >= 0.05 or value == 0 else 2 if abs(value) >= 0.005 else 3
    text = f"{abs(value):.{decimals}f}"
    sign = "−" if value < 0 and float(text) else "+" if signed and float(text) else ""
    return sign + text


def interval(low: float | None, high: float | None) -> str:
    """Both ends in hundredths."""
    return "no interval" if low is None or high is None else f"[{points(low)}, {points(high)}]"


def chance(p: float | None) -> str:
    """A p-value that doesn't seem to cross 0.05 by rounding."""
    if p is None:
        return "no p-value"
    if p < 0.001:
        return "p < 0.001"
    if p >= 0.1:
        return f"p = {p:.2f}"
    return f"p = {min(p, 0.0499):.4f}" if p < SIGNIFICANT <= round(p, 3) else f"p = {p:.3f}"


def seconds_of(arm: Result) -> float | None:
    """Learning and reading the test documents; None where one of them wasn't measured."""
    cost = arm["cost"]
    spent = cost["training_seconds"], cost["prediction_seconds"]
    return None if None in spent else sum(spent)


def cost_ratio(arm: Result, baseline: Result | None) -> str | None:
    """How many times the baseline's seconds an arm took, as `1.4×`."""
    ours, theirs = seconds_of(arm), baseline and seconds_of(baseline)
    if not ours or not theirs:
        return None
    ratio = ours / theirs
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.1f}×" if ratio >= 0.1 else f"{ratio:.2g}×"


def baseline_of(task: Result, results: Result) -> Result | None:
    """The baseline's arm of a task; None where it failed."""
    return next((arm for arm in task["arms"] if arm["name"] == results["baseline"]), None)


def rivals(task: Result, results: Result) -> list[Result]:
    """All arms but the baseline: first those that read documents whole, else in the order of the plan."""
    planned = {arm["name"]: arm for arm in results["plan"].get("arms", ())}

    def reads_pieces(arm: Result) -> bool:
        reads = planned.get(arm["name"], {}).get("reads") or "whole"
        return reads != "whole" or bool((arm["recipe"] or {}).get("max_tokens"))

    return sorted((arm for arm in task["arms"] if arm["name"] != results["baseline"]), key=reads_pieces)


def sentence(arm: Result, task: Result, results: Result) -> str:
    """How an arm compares with the baseline, without the task's name."""
    baseline, against, measure = results["baseline"], arm["against_baseline"], task["measure"]
    if against is None:
        why = "" if baseline_of(task, results) else ", which has no result here"
        return f"{arm['name']} was not compared with {baseline}{why}: {points(arm['mean'])} {measure}."
    low, high, difference = against["low"], against["high"], against["difference"]
    holds = verdict(against)
    if holds == "worse":
        low, high, difference = -high, -low, -difference
    size = f"{points(difference, signed=holds == 'unclear')} points of {measure} {interval(low, high)}"
    start = {
        "unclear": f"{arm['name']} and {baseline} can't be told apart: {size}",
        "better": f"{arm['name']} beats {baseline} by {size}",
        "worse": f"{arm['name']} loses to {baseline} by {size}",
    }[holds]
    parts = [start, f"{chance(against['p_holm'])}{'' if against['p_holm'] is None else ' after Holm'}"]
    doubted = doubt(against)
    parts += [] if doubted is None else [doubted]
    theirs = baseline_of(task, results)
    ratio = cost_ratio(arm, theirs)
    if ratio:
        parts.append(f"at {ratio} the cost")
    collapsed = [
        f"{either['name']}: {either['collapsed']} of {plural(len(either['seeds']), 'seed')} collapsed"
        for either in (arm, theirs)
        if either and either["collapsed"]
    ]
    return ", ".join(parts) + (f" ({'; '.join(collapsed)})" if collapsed else "") + "."


def unlearned(task: Result) -> str | None:
    """Says that no arm learned a task, where none did: then their differences mean nothing."""
    arms = task["arms"]
    if not arms or any(arm["mean"] >= LITTLE and arm["collapsed"] < len(arm["seeds"]) for arm in arms):
        return None
    best = max(arms, key=lambda arm: arm["mean"])
    return (
        f"No arm learned this task, so differences say little: the best, {best['name']}, has"
        f" {points(best['mean'])} {task['measure']}."
    )


def answers(results: Result) -> list[tuple[str, str]]:
    """(task, the sentence of its first arm): the whole report in a few lines."""
    answered = []
    for task in results["tasks"]:
        answer = "no arm has a result."
        if others := rivals(task, results):
            answer = " ".join(filter(None, [unlearned(task), sentence(others[0], task, results)]))
        elif task["arms"]:
            only = task["arms"][0]
            answer = f"only {only['name']} was scored: {points(only['mean'])} {task['measure']}."
        answered.append((task["name"], answer))
    return answered


def unfinished(results: Result) -> str | None:
    """What was planned and has neither a result nor failed."""
    known = {(task["name"], arm["name"]) for task in results["tasks"] for arm in task["arms"]}
    known |= {(cell["task"], cell["arm"]) for cell in results["failed"]}
    every = [arm["name"] for arm in results["plan"].get("arms", ())]
    missing = [
        f"{task['name']} ({', '.join(open_arms)})"
        for task in results["plan"].get("tasks", ())
        if (open_arms := [arm for arm in task.get("arms") or every if (task["name"], arm) not in known])
    ]
    return ", ".join(missing) or None


def total_score(results: Result) -> str | None:
    """The score over all tasks, arm by arm."""
    score = results["score"]
    if score is None:
        return None
    arms = ", ".join(f"{arm} {points(value)}" for arm, value in score["arms"].items())
    return f"{score['name']}: {arms}."


def lead(results: Result) -> str:
    """What was compared, in one sentence."""
    tasks, seeds = len(results["tasks"]), len(results["seeds"])
    arms = len({arm["name"] for task in results["tasks"] for arm in task["arms"]})
    return (
        f"{plural(arms, 'arm')} on {plural(tasks, 'task')}, {plural(seeds, 'seed')}; every arm is compared"
        f" with {results['baseline']}."
    )


def plural(number: int, noun: str) -> str:
    """`3 seeds`, `1 seed`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _few(task: Result) -> str | None:
    """How many test documents there are, or groups of them, where they are few."""
    for arm in task["arms"]:
        against = arm["against_baseline"]
        if against is not None and against.get("over") == "groups" and against["units"] < FEW_DOCUMENTS:
            return _units(against)
    documents = (task["documents"] or {}).get("test")
    return plural(documents, "document") if documents is not None and documents < FEW_DOCUMENTS else None


def limits(results: Result) -> list[str]:
    """What the figures of a report can't say."""
    seeds, lines = len(results["seeds"]), []
    if seeds == 1:
        lines.append(
            "There was one seed. Another seed gives another score, here by an unknown amount: no spread over"
            " seeds is shown, and a difference may be luck of the seed."
        )
    else:
        lines.append(
            f"There were {seeds} seeds: their standard deviation is a rough estimate. Intervals and p-values"
            " don't include it: they are over documents, with the seeds averaged."
        )
    lines.append(
        "Intervals (95%, paired BCa bootstrap) and p-values (permutation test, Holm's correction over the"
        " tasks) speak of other documents of the same kind, not of another hospital's. Documents of one"
        " patient are drawn together where the corpus says whose they are; sentences of one text aren't,"
        " where a corpus comes in sentences."
    )
    if results.get("pretraining"):
        lines.append(
            "Every model that was pre-trained here was so once: seeds are of fine-tuning, and say nothing of"
            " how another pre-training would have ended."
        )
    few = [f"{task['name']} ({said_of})" for task in results["tasks"] if (said_of := _few(task)) is not None]
    if few:
        lines.append(f"Few test documents or groups, so only large differences can show: {', '.join(few)}.")
    unequal = [
        task["name"]
        for task in results["tasks"]
        if len({(arm["steps"], len(arm["tried"])) for arm in task["arms"]}) > 1
    ]
    if unequal:
        lines.append(
            f"Not all arms had the same number of steps, or as many settings tried: {', '.join(unequal)}."
        )
    if results["failed"]:
        lines.append("Arms that failed are missing from every comparison.")
    lines.append(
        "The cost is the seconds of learning and of reading the test documents, as a ratio to the"
        " baseline's, on the machine named below and with whatever else ran on it."
    )
    return lines
