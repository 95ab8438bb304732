"""The model card of a converted checkpoint: where it comes from, how it was made, what was proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longbio.artifacts.cards import markdown_table, model_card
from longbio.conversion.verify import as_rows

STOCK_BIGBIRD = (
    "Plain transformers computes another function in evaluation than in training beyond "
    "{full} tokens: there its random blocks are all block 0. Loaded with `longbio.load` the "
    "model sees the same random blocks in both, drawn from `random_pattern_seed` in the config."
)


def render(report: Mapping[str, Any], name: str) -> str:
    """The README.md of a converted folder, from its `conversion.json`."""
    settings = report["settings"]
    target = {"longformer": "Longformer", "bigbird": "BigBird"}[settings["to"]]
    sections = [
        (
            "How to load it",
            "With plain transformers, or with longbio for a faster kernel:\n\n```python\n"
            f'from transformers import AutoModel\nmodel = AutoModel.from_pretrained("{name}")\n\n'
            f'import longbio\nmodel = longbio.load("{name}", task="ner")\n```',
        ),
        ("Provenance", markdown_table(("what", "value"), _provenance(report))),
    ]
    if report["made_up"]:
        sections.append(("What the source did not have", _bullets(report["made_up"])))
    if report["left_behind"]:
        sections.append(("Weights left behind", _bullets(f"`{n}`" for n in report["left_behind"])))
    if settings["to"] == "bigbird":
        full = (5 + 2 * settings["random_blocks"]) * settings["block"]
        sections.append(("With plain transformers", STOCK_BIGBIRD.format(full=full)))
    proof = report["verification"]
    if proof is None:
        sections.append(("Verification", "Not verified: the conversion ran with `--no-verify`."))
    else:
        table = markdown_table(("result", "check", "measured", "limit"), as_rows(proof))
        sections.append(("Verification", f"Took {proof['seconds']} s.\n\n{table}"))
    metadata = {
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": ["longbio", settings["to"]],
    }
    title = f"{name}: a {target} of {settings['max_tokens']:,} tokens"
    return model_card(title=title, metadata=metadata, sections=sections)


def _provenance(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            "source",
            f"`{report['source']}` ({report['source_family']}, {report['source_tokens']} tokens)",
        ),
        ("SHA-256 of its config and weights", f"`{report['source_sha256']}`"),
    ]
    rows += [(key.replace("_", " "), str(value)) for key, value in report["settings"].items()]
    return rows + [(f"{key} version", value) for key, value in report["versions"].items()]


def _bullets(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)
