"""The model card of a phase's checkpoint: what it began with, what it learned, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import longbio
from longbio.artifacts.cards import markdown_table
from longbio.encoders.card_calls import call, card, what_is_global
from longbio.encoders.families import takes_global


def render(report: Mapping[str, Any], name: str, model_type: str) -> str:
    """The README.md of a folder, from its `pretraining.json`. It holds no text of the corpora."""
    phase = report["phase"]
    settings = [(key, f"`{value}`") for key, value in phase.items() if value not in (None, {}, "")]
    bits = [
        (f"{int(length):,}", f"{report['bits_before'][length]:.3f}", f"{after:.3f}", f"{2**after:.1f}")
        for length, after in report["bits_after"].items()
    ]
    sections = [
        (
            "How to load it",
            "With plain transformers (see the call at the end), or with longbio for a faster kernel:\n\n"
            f'```python\nimport longbio\nmodel = longbio.load("{name}", task="mlm")\n```',
        ),
        (
            "Where it comes from",
            f"Phase {report['number']} of a curriculum, begun from `{report['origin']}`,"
            f" seed {report['seed']}, longbio {longbio.__version__}.",
        ),
        ("What it learned by", markdown_table(("setting", "value"), settings)),
        (
            "Held-out documents",
            "Token masking at 15%, the same tokens at every length.\n\n"
            + markdown_table(("tokens", "bits before", "bits after", "perplexity"), bits),
        ),
    ]
    roles = ("cls",) if phase["global_cls"] else ()
    if takes_global(model_type):
        sections.append(("Global tokens", what_is_global(roles)))
    call_text = call("mlm", name, model_type, roles=roles)
    return card(f"{name}: {phase['name']}", "mlm", model_type, sections, call_text)
