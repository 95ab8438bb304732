"""The charts of one task: by length, by position, calibration and losses, each with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from longbio.benchmarking import report_tables as tables
from longbio.benchmarking.figures import LOSS_POINTS, Curve, Look, chart, looks, smoothed
from longbio.benchmarking.report_tables import Table
from longbio.benchmarking.report_words import Result, points


@dataclass(frozen=True)
class Drawing:
    """A chart.

    Args:
        title: what it is about.
        note: how it is to be read.
        svg: the drawing.
        table: its numbers, where a table of a few lines can hold them.
    """

    title: str
    note: str
    svg: Markup
    table: Table | None = None


def drawings(place: str, task: Result, styles: Mapping[str, Look]) -> list[Drawing]:
    """What can be drawn of a task; charts without data are left out.

    Args:
        place: of the task in the page, before the name of each drawing.
        task: of `results.json`.
        styles: by arm.
    """
    found = (
        _by_length(place, task, styles),
        _by_position(place, task, styles),
        _reliability(place, task, styles),
        _losses(place, task, styles),
    )
    return [drawing for drawing in found if drawing is not None]


def pretraining(results: Result) -> tuple[Drawing, dict[str, Look]] | None:
    """How models that were made first have learned, and how each is drawn; None where none were made."""
    models = results.get("pretraining")
    if not models:
        return None
    names = [each["name"] for each in models]
    styles = looks(names, names[0])
    curves = {each["name"]: smoothed([each["bits"]]) for each in models if each["bits"]}
    said = [f"{name}: from {ys[0]:.2f} to {ys[-1]:.2f}." for name, (_, ys) in curves.items()]
    svg = chart(
        curves,
        styles,
        name="pretraining",
        says=f"Bits per masked token by step of pre-training. {' '.join(said)}",
        x_label="step",
        y_label="bits per masked token",
        has_markers=False,
    )
    note = (
        "Bits while learning compare models that mask alike and share a vocabulary; held-out bits compare the"
        " others too."
    )
    return Drawing("Pre-training", note, svg, tables.pretraining_table(models)), styles


def _by_length(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    table = tables.length_table(task)
    if table is None:
        return None
    curves, ticks = _over_ranges(task, "by_length", "documents", "main")
    svg = chart(
        curves,
        styles,
        name=f"{place}-length",
        says=f"{task['measure']} by length of the document. {_ends(curves, ticks)}",
        x_label="tokens in the document (n: documents)",
        y_label=task["measure"],
        ticks=ticks,
    )
    note = "Mean over seeds; lengths are in tokens of each arm's own model."
    return Drawing("By length of the document", note, svg, table)


def _by_position(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    table = tables.position_table(task)
    if table is None:
        return None
    curves, ticks = _over_ranges(task, "by_position", "mentions", "recall")
    what = "answer" if task["kind"] == "qa" else "mention"
    measured = tables.found_measure(task)
    svg = chart(
        curves,
        styles,
        name=f"{place}-position",
        says=f"{measured.capitalize()} by where in the document the {what} stands. {_ends(curves, ticks)}",
        x_label=f"tokens before the {what} (n: {what}s)",
        y_label=measured,
        ticks=ticks,
    )
    found = (
        "How well questions were answered"
        if task["kind"] == "qa"
        else f"Which share of the true {what}s was found"
    )
    note = f"{found}, by how far into the document the {what}s stand."
    return Drawing(f"By where the {what} stands", note, svg, table)


def _over_ranges(task: Result, key: str, count: str, value: str) -> tuple[dict[str, Curve], list[str]]:
    """A curve for each arm over the ranges of tokens that occur, and what stands below each."""
    arms = [arm for arm in task["arms"] if arm[key]]
    ranges, ticks = tables.ranges_of(arms, key), []
    curves: dict[str, Curve] = {}
    for arm in arms:
        cells = [(n, tables.find(arm[key], borders)) for n, borders in enumerate(ranges)]
        known = [(float(n), 100 * cell[value]) for n, cell in cells if cell and cell[value] is not None]
        curves[arm["name"]] = [n for n, _ in known], [share for _, share in known]
    for borders in ranges:
        first = next(cell for arm in arms if (cell := tables.find(arm[key], borders)))
        low, high = borders
        ticks.append(f"{f'{low:,}+' if high is None else f'< {high:,}'}\nn = {first[count]:,.0f}")
    return curves, ticks


def _ends(curves: Mapping[str, Curve], ticks: Sequence[str]) -> str:
    """Where each curve begins and ends."""
    said = []
    for arm, (xs, ys) in curves.items():
        if xs:
            first, last = (ticks[int(x)].partition("\n")[0] for x in (xs[0], xs[-1]))
            end = f", {ys[-1]:.1f} at {last}" if len(xs) > 1 else ""
            said.append(f"{arm}: {ys[0]:.1f} at {first} tokens{end}.")
    return " ".join(said)


def _reliability(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    table = tables.reliability_table(task)
    if table is None:
        return None
    curves, said = {}, []
    for arm in task["arms"]:
        if arm["reliability"]:
            bins = [each for each in arm["reliability"]["bins"] if each["count"]]
            curves[arm["name"]] = (
                [each["confidence"] for each in bins],
                [each["accuracy"] for each in bins],
            )
            said.append(f"{arm['name']}: {points(arm['reliability']['expected_calibration_error'])}.")
    svg = chart(
        curves,
        styles,
        name=f"{place}-reliability",
        says=f"Reliability diagram. Expected calibration error in hundredths, {' '.join(said)}",
        x_label="mean probability",
        y_label="share that is right",
        is_square=True,
    )
    note = "On the line, probabilities are as often right as they say; below it they promise too much."
    return Drawing("Are the probabilities true?", note, svg, table)


def _losses(place: str, task: Result, styles: Mapping[str, Look]) -> Drawing | None:
    curves = {arm["name"]: smoothed(arm["losses"]) for arm in task["arms"] if any(arm["losses"])}
    if not curves:
        return None
    said = [f"{arm}: from {ys[0]:.2f} to {ys[-1]:.2f}." for arm, (_, ys) in curves.items()]
    svg = chart(
        curves,
        styles,
        name=f"{place}-losses",
        says=f"Training loss by step. {' '.join(said)}",
        x_label="step",
        y_label="training loss",
        has_markers=False,
    )
    longest = max(len(each) for arm in task["arms"] for each in arm["losses"])
    by = -(-longest // LOSS_POINTS)
    note = "Mean over seeds" + (f", each point the mean of about {by:,} steps." if by > 1 else ".")
    return Drawing("Training loss", note, svg, tables.loss_table(task))
