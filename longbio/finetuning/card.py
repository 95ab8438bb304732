"""The model card of a fine-tuned model: what it began with, what it learned, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import longbio
from longbio.artifacts.cards import markdown_table, model_card
from longbio.finetuning.stability import Stability
from longbio.tasks import TASKS

PIPELINES = {
    "ner": "token-classification",
    "qa": "question-answering",
    "classification": "text-classification",
}
"""By the task's head."""


def render(report: Mapping[str, Any], name: str, model_type: str) -> str:
    """The README.md of a folder, from its `finetuning.json`. It holds no text of the corpus."""
    settings = {
        **report["task"],
        **report["recipe"],
        **_changed(report["stability"]),
        "seed": report["seed"],
        "steps": report["steps"],
    }
    rows = [(key, f"`{value}`") for key, value in settings.items() if value not in (None, "", (), [])]
    left_out = [(what, f"{count:,}") for what, count in report["left_out"].items() if count]
    sections = [
        (
            "How to load it",
            "With plain transformers, or with longbio, which reads documents of any length and gives"
            f" offsets:\n\n```bash\nlongbio evaluate {name} DATA --out scores\n```",
        ),
        (
            "Where it comes from",
            f"Fine-tuned from `{report['origin']}` on {report['samples']:,} samples,"
            f" longbio {longbio.__version__}.",
        ),
        ("What it learned by", markdown_table(("setting", "value"), rows)),
    ]
    if left_out:
        sections.append(("What it could not learn from", markdown_table(("what", "how many"), left_out)))
    if report["dev"] is not None:
        sections.append(("Development documents", f"Main score {report['dev']['main']:.4f}."))
    metadata = {
        "library_name": "transformers",
        "pipeline_tag": PIPELINES[TASKS[report["task"]["kind"]].head],
        "tags": ["longbio", model_type],
    }
    return model_card(title=name, metadata=metadata, sections=sections)


def _changed(stability: Mapping[str, Any]) -> dict[str, Any]:
    """What was done against unstable learning; all else is off."""
    return {key: value for key, value in stability.items() if value != getattr(Stability(), key)}
