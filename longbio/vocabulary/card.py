"""The model card of an extended checkpoint: what it grew from, and how its new rows began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import longbio
from longbio.artifacts.cards import markdown_table
from longbio.encoders.card_calls import call, card


def render(report: Mapping[str, Any], name: str, model_type: str, *, has_head: bool) -> str:
    """The README.md of a folder, from its `extension.json`. It names no word.

    Args:
        report: what `extend` saved.
        name: of the folder.
        model_type: of its config.
        has_head: whether it predicts masked words.
    """
    settings = report["settings"]
    used = ["method", "seed"] if settings["method"] in ("random", "gaussian") else ["method", "calibration"]
    if report["needs_contexts"]:
        used += ["contexts", "context_tokens", "seed"]
        used += ["layers"] if settings["method"] == "contextual" else ["distil"]
    task = "mlm" if has_head else "features"
    because = "; ".join(
        f"{len(some):,} {reason}" for reason, some in report["without_contexts_because"].items()
    )
    without = f"{len(report['without_contexts']):,} pieces had no context and began as the mean of theirs"
    without += f": {because}." if because else "."
    sections = [
        (
            "How to load it",
            "With plain transformers, its own tokenizer beside it; or with longbio:\n\n```python\n"
            f'import longbio\nmodel = longbio.load("{name}", task="{task}")\n```',
        ),
        (
            "Where it comes from",
            f"`{report['origin']}` and {len(report['pieces']):,} pieces more, longbio {longbio.__version__}."
            f" Ids and rows of the {report['old_tokens']:,} old pieces, and all other weights, are its own."
            " The new pieces are words of the texts they were mined from: see `extension.json`.",
        ),
        (
            "How the new rows began",
            markdown_table(("setting", "value"), [(key, f"`{settings[key]}`") for key in used])
            + (f"\n\n{without}" if report["needs_contexts"] else ""),
        ),
    ]
    if report["corpus"]:
        figures = [(key.replace("_", " "), f"{count:,}") for key, count in report["corpus"].items()]
        sections.append(("The corpus, cut before and after", markdown_table(("", "count"), figures)))
    return card(name, task, model_type, sections, call(task, name, model_type))
