"""`report.html`: one page, no script and nothing fetched, that says what was run and what came out."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longbio.artifacts.files import write_text_atomically
from longbio.benchmark.notes import COLOURS, compared, marked
from longbio.benchmark.report_words import doubt, verdict
from longbio.conversion.verify import as_rows
from longbio.corpus.records import Document
from longbio.tasks.statistics import spoken_interval

SHOWN_CHARS = 6000


def write_report(out: Path, results: Mapping[str, Any], shown: tuple[Document, Document] | None) -> None:
    """Write `report.html` into a run folder.

    Args:
        out: the run folder.
        results: the content of its `results.json`.
        shown: a document with its true mentions, and the same with the predicted ones; None
            when no text may be shown.
    """
    template = files("longbio.quickstart").joinpath("report.html.jinja").read_text("utf-8")
    types = sorted(results["scores"]["long"]["scores"]["strict"]["types"])
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    html = page.render(
        results=results,
        checks=as_rows(results["conversion"]["verification"]),
        types=types,
        spoken_interval=spoken_interval,
        compared=compared_words(results["difference"]),
        loss_curve=Markup(loss_curve(results)),
        colours={label: COLOURS[i % len(COLOURS)] for i, label in enumerate(types)},
        note=None if shown is None else marked(shown[0].text, compared(*shown), types, SHOWN_CHARS),
        is_cut=shown is not None and len(shown[0].text) > SHOWN_CHARS,
        shown_chars=SHOWN_CHARS,
    )
    write_text_atomically(out / "report.html", html)


def compared_words(difference: Mapping[str, Any] | None) -> str:
    """Long minus chunks with its interval and p, and what follows."""
    if difference is None:
        return "The two can't be compared over a single document or group."
    # One task: nothing to correct p for.
    against = {**difference, "p_holm": difference["p"]}
    result = verdict(against)
    said = f"Long minus chunks: {difference['difference']:+.3f} ({spoken_interval(difference)}"
    said += f", p = {difference['p']:.3f}): "
    if result != "unclear":
        return f"{said}the long model is {result}."
    why = doubt(against)
    return f"{said}no difference that these documents can show{'' if why is None else f'; {why}'}."


def loss_curve(results: Mapping[str, Any]) -> str:
    """Losses of healing and of learning entities, as an SVG drawing."""
    panels = (
        ("healing: masked LM, nats per masked token", {"long model": results["healing"]["losses"]}),
        (
            "learning entities, nats per word",
            {
                spoken: results["learning"][name]["losses"]
                for name, spoken in (("long", "long model"), ("chunks", "512-token chunks"))
            },
        ),
    )
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(1, 2), panels, strict=True):
        for (label, losses), colour in zip(curves.items(), ("#1f5f99", "#d2691e"), strict=False):
            axes.plot(range(1, len(losses) + 1), losses, label=label, color=colour, linewidth=1.4)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("step", fontsize=9)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    drawing = io.StringIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    svg = drawing.getvalue()
    return svg[svg.index("<svg") :]
