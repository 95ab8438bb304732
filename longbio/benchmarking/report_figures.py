"""The charts of one task: by length, by position, calibration and losses, each with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from longbio.benchmarking import report_tables as tables
from longbio.benchmarking.figures import LOSS_POINTS, Curve, Look, chart, looks, smooth
from longbio.benchmarking.report_tables import Table
from longbio.benchmarking.report_words import Result, points


@dataclass(frozen=True)
class Drawing:
    """A chart: what it is about, how it is to be read, the drawing, and its numbers, where a table of a few
    lines can hold them."""

    title: str
    note: str
    svg: Markup
    table: Table | None = None


def drawings(place: str, task: Result, styles: Mapping[str, Look]) -> list[Drawing]:
    """What can be drawn of a task, each name beginning with its `place` in the page; charts without data are
    left out."""
    drawn = [draw(place, task, styles) for draw in (_by_length, _by_position, _reliability, _losses)]
    return [drawing for drawing in drawn if drawing is not None]


def pretraining(results: Result) -> tuple[Drawing, dict[str, Look]] | None:
    """How models that were made first have learned, and how each is drawn; None where none were made."""
    models = results.get("pretraining")
    if not models:
        return None
    names = [model["name"] for model in models]
    styles = looks(names, names[0])
    curves = {model["name"]: smooth([model["bits"]]) for model in models if model["bits"]}
    says = "Bits per masked token by step of pre-training"
    svg = _by_step(curves, styles, says, name="pretraining", y_label="bits per masked token")
    note = (
        "Bits while learning compare models that mask alike and share a vocabulary; held-out bits compare the"
        " others too."
    )
    return Drawing("Pre-training", note, svg, tables.pretraining_table(models)), styles


def _by_length(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    return _over_ranges(
        task,
        styles,
        "by_length",
        name=f"{place}-length",
        title="By length of the document",
        note="Mean over seeds; lengths are in tokens of each arm's own model.",
        says=f"{task['measure']} by length of the document",
        x_label="tokens in the document (n: documents)",
        y_label=task["measure"],
    )


def _by_position(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    target = "answer" if task["kind"] == "qa" else "mention"
    measured = tables.position_measure(task)
    shown = "Which share of the true mentions was found"
    if target == "answer":
        shown = "How well questions were answered"
    return _over_ranges(
        task,
        styles,
        "by_position",
        name=f"{place}-position",
        title=f"By where the {target} stands",
        note=f"{shown}, by how far into the document the {target}s stand.",
        says=f"{measured.capitalize()} by where in the document the {target} stands",
        x_label=f"tokens before the {target} (n: {target}s)",
        y_label=measured,
    )


def _over_ranges(
    task: Result,
    styles: Mapping[str, Look],
    key: str,
    *,
    title: str,
    note: str,
    says: str,
    **labels: Any,
) -> Drawing | None:
    """A curve for each arm over the ranges of tokens that occur."""
    table = tables.ranges_table(task, key)
    if table is None:
        return None
    _, count, value = tables.RANGES[key]
    arms = [arm for arm in task["arms"] if arm[key]]
    curves: dict[str, tuple[list[float], list[float]]] = {arm["name"]: ([], []) for arm in arms}
    ticks = []
    for place, (low, high) in enumerate(tables.ranges_of(arms, key)):
        cells = {arm["name"]: cell for arm in arms if (cell := tables.find(arm[key], (low, high)))}
        for name, cell in cells.items():
            curves[name][0].append(float(place))
            curves[name][1].append(100 * cell[value])
        number = next(iter(cells.values()))[count]
        ticks.append(f"{f'{low:,}+' if high is None else f'< {high:,}'}\nn = {number:,.0f}")
    says = f"{says}. {_ends(curves, ticks)}"
    return Drawing(title, note, chart(curves, styles, says=says, ticks=ticks, **labels), table)


def _ends(curves: Mapping[str, Curve], ticks: Sequence[str]) -> str:
    """Where each curve begins and ends."""
    sentences = []
    for arm, (xs, ys) in curves.items():
        if xs:
            first, last = (ticks[int(x)].partition("\n")[0] for x in (xs[0], xs[-1]))
            end = f", {ys[-1]:.1f} at {last}" if len(xs) > 1 else ""
            sentences.append(f"{arm}: {ys[0]:.1f} at {first} tokens{end}.")
    return " ".join(sentences)


def _reliability(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    table = tables.reliability_table(task)
    if table is None:
        return None
    known = {arm["name"]: arm["reliability"] for arm in task["arms"] if arm["reliability"]}
    curves = {}
    for name, reliability in known.items():
        bins = [group for group in reliability["bins"] if group["count"]]
        curves[name] = [group["confidence"] for group in bins], [group["accuracy"] for group in bins]
    errors = [f"{name}: {points(data['expected_calibration_error'])}." for name, data in known.items()]
    svg = chart(
        curves,
        styles,
        name=f"{place}-reliability",
        says=f"Reliability diagram. Expected calibration error in hundredths, {' '.join(errors)}",
        x_label="mean probability",
        y_label="share that is right",
        is_square=True,
    )
    note = "On the line, probabilities are as often right as they say; below it they promise too much."
    return Drawing("Are the probabilities true?", note, svg, table)


def _losses(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    curves = {arm["name"]: smooth(arm["losses"]) for arm in task["arms"] if any(arm["losses"])}
    if not curves:
        return None
    svg = _by_step(curves, styles, "Training loss by step", name=f"{place}-losses", y_label="training loss")
    longest = max(len(losses) for arm in task["arms"] for losses in arm["losses"])
    by = -(-longest // LOSS_POINTS)
    note = "Mean over seeds" + (f", each point the mean of about {by:,} steps." if by > 1 else ".")
    return Drawing("Training loss", note, svg, tables.loss_table(task))


def _by_step(
    curves: Mapping[str, Curve], styles: Mapping[str, Look], says: str, *, name: str, y_label: str
) -> Markup:
    ends = " ".join(f"{arm}: from {ys[0]:.2f} to {ys[-1]:.2f}." for arm, (_, ys) in curves.items())
    says = f"{says}. {ends}"
    return chart(curves, styles, name=name, says=says, x_label="step", y_label=y_label, has_markers=False)
