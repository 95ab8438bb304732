"""A benchmark's report: one page that needs nothing else, the same in Markdown, and all numbers as CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment
from markupsafe import Markup

from longbio.artifacts.atomic_files import write_text_atomically
from longbio.artifacts.cards import markdown_table
from longbio.benchmarking import report_tables as tables
from longbio.benchmarking import report_words as words
from longbio.benchmarking.figures import PALETTE, Look, looks, swatch
from longbio.benchmarking.report_figures import drawings, pretraining
from longbio.benchmarking.report_tables import Table
from longbio.benchmarking.report_words import Result
from longbio.benchmarking.shown_documents import SHOWN_CHARS, Example, render_example
from longbio.corpus.marks import COLOURS


def write(out: Path, results: dict[str, Any], examples: Sequence[Example] | None = None) -> None:
    """Write `report.html`, `report.md` and `report.csv` into a benchmark's folder.

    Args:
        out: the folder.
        results: the content of its `results.json`.
        examples: documents to be shown with what is true and what each arm found; whoever gives them answers
            for their text being public. None shows no text.

    Raises:
        LongbioError: the disk is full.
    """
    sections = [_section(number, task, results) for number, task in enumerate(results["tasks"])]
    write_text_atomically(out / "report.html", as_html(results, sections, examples or ()))
    write_text_atomically(out / "report.md", as_markdown(results, sections))
    write_text_atomically(out / "report.csv", tables.as_csv(results))


def _section(number: int, task: Result, results: Result) -> dict[str, Any]:
    documents = task["documents"] or {}
    counts = ", ".join(f"{documents[split]:,} {split}" for split in documents if documents[split] is not None)
    kind = words.KINDS.get(task["kind"], task["kind"])
    names, place = [arm["name"] for arm in task["arms"]], f"t{number}"
    styles = looks(tables.arm_names(results), results["baseline"])
    return {
        "name": task["name"],
        "about": f"{kind}, scored by {task['measure']}; documents: {counts or 'not known'}",
        "sentences": [words.sentence(arm, task, results) for arm in words.rivals(task, results)],
        "arms": tables.arms_table(task, results),
        "types": tables.types_table(task),
        "key": _key(place, {name: styles[name] for name in names}),
        "drawings": drawings(place, task, styles),
        "tried": tables.tried_table(task),
        "commands": [(arm["name"], arm["command"]) for arm in task["arms"] if arm["command"]],
    }


def _key(place: str, styles: Mapping[str, Look]) -> tuple[tuple[str, Markup], ...]:
    return tuple((name, swatch(look, f"{place}-key{n}")) for n, (name, look) in enumerate(styles.items()))


def rerun(results: Result) -> list[tuple[str, str]]:
    """(what, value): what else has to be known to run it again."""
    machine = results["machine"]
    parts = [
        machine.get("cpu"),
        machine.get("cores") and f"{machine['cores']} cores",
        machine.get("memory_gb") and f"{machine['memory_gb']:.0f} GB of memory",
        machine.get("gpu") or "no GPU",
    ]
    return [
        ("machine", ", ".join(str(part) for part in parts if part)),
        ("versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
        ("seeds", ", ".join(str(seed) for seed in results["seeds"])),
        ("baseline", results["baseline"]),
    ]


def plan_text(results: Result) -> str:
    """The plan as YAML, as `longbio benchmark` reads it."""
    return yaml.safe_dump(results["plan"], sort_keys=False, allow_unicode=True, width=100)


def as_html(results: Result, sections: Sequence[dict[str, Any]], examples: Sequence[Example]) -> str:
    """One page without a script, and nothing that is fetched."""
    template = files("longbio.benchmarking").joinpath("report.html.jinja").read_text("utf-8")
    made = pretraining(results)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["keep_figures_together"] = keep_figures_together
    page = environment.from_string(template)
    return page.render(
        results=results,
        sections=sections,
        answers=words.answers(results),
        lead=words.lead(results),
        total=words.total_score(results),
        overview=tables.overview(results),
        unfinished=words.unfinished(results),
        made=made and {"drawing": made[0], "key": _key("made", made[1])},
        limits=words.limits(results),
        rerun=rerun(results),
        plan=plan_text(results),
        palette=PALETTE,
        colours=COLOURS,
        examples=[render_example(*example) for example in examples],
        shown_chars=SHOWN_CHARS,
    )


def as_markdown(results: Result, sections: Sequence[dict[str, Any]]) -> str:
    """The page's text and tables; what its charts show stands in tables."""
    total = words.total_score(results)
    answers = "\n".join(f"- **{_safe(task)}**: {_safe(answer)}" for task, answer in words.answers(results))
    parts = [f"# {_safe(results['title'])}", _safe(words.lead(results)), answers]
    parts += [_safe(total or "")]
    if results["failed"]:
        failed = [f"{cell['task']}, {cell['arm']}: {cell['what']}" for cell in results["failed"]]
        parts += [f"## Failed: {words.plural(len(failed), 'run')}", _list(failed)]
    if unfinished := words.unfinished(results):
        parts += [_safe(f"Not finished: {unfinished}.")]
    parts += ["## Overview", _markdown(tables.overview(results))]
    for section in sections:
        parts += [f"## {_safe(section['name'])}", _safe(section["about"]), _list(section["sentences"])]
        parts += [_markdown(section["arms"]), _markdown(section["types"])]
        for drawing in section["drawings"]:
            parts += [f"### {drawing.title}", _safe(drawing.note), _markdown(drawing.table)]
        parts += [f"### {section['tried'].caption}", _markdown(section["tried"])]
        parts += ["\n".join(f"    {' '.join(command.split())}" for _, command in section["commands"])]
    if made := pretraining(results):
        parts += ["## Models made first", _safe(made[0].note), _markdown(made[0].table)]
    parts += ["## What this can't say", _list(words.limits(results))]
    parts += ["## To run it again", "\n".join(f"- {name}: {_safe(value)}" for name, value in rerun(results))]
    parts += ["\n".join(f"    {line}" for line in plan_text(results).splitlines())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_safe(sentence)}" for sentence in sentences)


def _markdown(table: Table | None) -> str:
    if table is None:
        return ""
    header = [_safe(name) for name in table.header]
    return markdown_table(header, [[_safe(cell) for cell in row] for row in table.rows])


def _safe(text: str) -> str:
    """Text that Markdown shows as it is: names are users', and may hold anything."""
    return re.sub(r"([\\`*]|<(?=[a-zA-Z/!?])|&(?=[#\w]))", r"\\\1", text)


def keep_figures_together(text: str) -> str:
    """A sentence whose intervals, p-values and ratios aren't broken over two lines."""
    return re.sub(
        r"\[[^\[\]]{1,20}\]|p [=<] [\d.]+|[\d.]+× the", lambda match: match[0].replace(" ", "\xa0"), text
    )
