"""Charts of a benchmark as SVG to stand inside a page: they take its colours, light or dark.

Colours are variables of the page's style sheet, so that one drawing reads well on white and on black.
A drawing holds no text of a user: arms are named in a legend of the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

PALETTE = (
    ("#0067a6", "#56b4e9"),
    ("#b84a00", "#f08a4b"),
    ("#00795a", "#2fc79a"),
    ("#9c4274", "#e396c0"),
    ("#7d5c00", "#e0b030"),
    ("#5b4bb0", "#a99bf0"),
)
"""A colour on white and its partner on black; the six differ for colour-blind eyes as far as possible."""

# What is drawn with, and the style sheet's name of it.
INK, FAINT = "#00fe00", "#00fe01"
DRAWN = {INK: "var(--ink)", FAINT: "var(--faint)"} | {
    f"#00fe{n + 16:02x}": f"var(--arm-{n})" for n in range(len(PALETTE))
}
ARM_COLOURS = tuple(colour for colour in DRAWN if colour not in (INK, FAINT))

MARKERS = ("s", "^", "D", "v", "P", "X", "p")
DASHES = ("-", (0, (6, 1.5)), (0, (2, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (10, 2)))
LOSS_POINTS = 80

Curve = tuple[Sequence[float], Sequence[float]]
"""Where points lie: their x and their y."""


@dataclass(frozen=True)
class Look:
    """How an arm is drawn in every chart of a report: one of the colours of `DRAWN`, and matplotlib's marker
    and style of a line."""

    colour: str
    marker: str
    dashes: str | tuple[int, tuple[float, ...]]


def looks(arms: Sequence[str], baseline: str) -> dict[str, Look]:
    """A look for each arm that no other has: the baseline in ink, dashed, with round markers."""
    by_arm = {baseline: Look(INK, "o", (0, (3, 2)))}
    for n, arm in enumerate(arm for arm in arms if arm != baseline):
        colour, marker = ARM_COLOURS[n % len(ARM_COLOURS)], MARKERS[n % len(MARKERS)]
        by_arm[arm] = Look(colour, marker, DASHES[n % len(DASHES)])
    return by_arm


def swatch(look: Look, name: str) -> Markup:
    """A piece of an arm's line, for a legend that names it."""
    figure = Figure(figsize=(0.5, 0.16))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot((0, 1, 2), (0, 0, 0), **_style(look), markevery=[1])
    axes.set_axis_off()
    return _svg(figure, name, None)


def chart(
    curves: Mapping[str, Curve],
    looks: Mapping[str, Look],
    *,
    name: str,
    says: str,
    x_label: str,
    y_label: str,
    ticks: Sequence[str] = (),
    is_square: bool = False,
    has_markers: bool = True,
) -> Markup:
    """A line for each arm.

    Args:
        curves: by arm.
        looks: by arm.
        name: of the drawing, unique in the page: letters, digits and dashes.
        says: what the drawing shows, for those who can't see it.
        x_label: what is to the right.
        y_label: what is up.
        ticks: of x = 0, 1, 2, ...; numbers when none.
        is_square: both axes go from 0 to 1, with the diagonal drawn.
        has_markers: each point has its marker.
    """
    figure = Figure(figsize=(4.4, 4.0 if is_square else 2.9), layout="constrained")
    axes = figure.subplots()
    if is_square:
        axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for arm, (xs, ys) in curves.items():
        axes.plot(xs, ys, **(_style(looks[arm]) if has_markers else _style(looks[arm]) | {"marker": ""}))
    if ticks:
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
    elif not is_square:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(x_label, color=INK, fontsize=9.5)
    axes.set_ylabel(y_label, color=INK, fontsize=9.5, parse_math=False)
    _style_axes(axes)
    return _svg(figure, name, says)


def smooth(losses: Sequence[Sequence[float]]) -> Curve:
    """Losses of each step, by seed, as one curve of at most 80 points, each the mean of the steps around it;
    where some seeds have ended, of the others."""
    steps = max((len(curve) for curve in losses), default=0)
    if steps == 0:
        return (), ()
    padded: NDArray[np.float64] = np.full((len(losses), steps), np.nan)
    for row, curve in zip(padded, losses, strict=True):
        row[: len(curve)] = curve
    groups = np.array_split(np.arange(steps), min(LOSS_POINTS, steps))
    return [float(group.mean()) + 1 for group in groups], [float(np.nanmean(padded[:, g])) for g in groups]


def _style(look: Look) -> dict[str, Any]:
    return {
        "color": look.colour,
        "marker": look.marker,
        "linestyle": look.dashes,
        "linewidth": 1.8,
        "markersize": 5,
    }


def _style_axes(axes: Axes) -> None:
    axes.tick_params(labelsize=9, color=INK, labelcolor=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def _svg(figure: Figure, name: str, says: str | None) -> Markup:
    """A drawing without a background, its ids its own, its colours the page's; hidden from readers when it
    says nothing."""
    drawing = io.StringIO()
    # Text stays text, in the page's own letters; the salt makes equal drawings equal bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "longbio"}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(drawing, format="svg", transparent=True, metadata=nothing)
    svg = drawing.getvalue()
    svg = svg[svg.index("<svg") :]
    # Its style sheet and its fonts would be the whole page's.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|font-family: [^;]+; ", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for drawn, variable in DRAWN.items():
        svg = svg.replace(drawn, variable)
    spoken = Markup('role="img" aria-label="{}"').format(says) if says else 'aria-hidden="true"'
    return Markup(svg.replace("<svg ", f"<svg {spoken} ", 1))
