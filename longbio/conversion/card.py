"""The model card of a converted checkpoint: where it comes from, how it was made, what was proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longbio.artifacts.cards import markdown_table
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.verify import as_rows
from longbio.encoders.card_calls import STOCK_BIGBIRD, call, card
from longbio.encoders.casing import Casing


def render(report: Mapping[str, Any], name: str) -> str:
    """The README.md of a converted folder, from its `conversion.json`."""
    settings = report["settings"]
    target = {"longformer": "Longformer", "bigbird": "BigBird"}[settings["to"]]
    sections = [
        ("How to load it", HOW_TO_LOAD.format(name=name)),
        ("Provenance", markdown_table(("what", "value"), _provenance(report))),
    ]
    if report["casing"] is not None:
        casing = Casing(**report["casing"])
        read = f"{casing.reads[0].upper()}{casing.reads[1:]}. {casing.loss[0].upper()}{casing.loss[1:]}."
        sections.append(("Capitals and accents", read))
    if report["made_up"]:
        sections.append(("What the source did not have", _bullets(report["made_up"])))
    if report["left_behind"]:
        sections.append(("Weights left behind", _bullets(f"`{n}`" for n in report["left_behind"])))
    full = ConversionSettings(**settings).full_tokens
    plain = LONGFORMER if settings["to"] == "longformer" else STOCK_BIGBIRD.format(full=full)
    sections.append(("With plain transformers", plain))
    proof = report["verification"]
    if proof is None:
        sections.append(("Verification", "Not verified: the conversion ran with `--no-verify`."))
    else:
        table = markdown_table(("result", "check", "measured", "limit"), as_rows(proof))
        sections.append(("Verification", f"Took {proof['seconds']} s.\n\n{table}"))
    has_head = not any(line.startswith("masked-LM head") for line in report["made_up"])
    title = f"{name}: a {target} of {settings['max_tokens']:,} tokens"
    call_text = call("mlm" if has_head else "features", name, settings["to"])
    return card(title, "mlm", settings["to"], sections, call_text)


HOW_TO_LOAD = (
    "With plain transformers (see the call at the end), or with longbio for a faster kernel:\n\n"
    "```python\nimport longbio\n"
    'model = longbio.load("{name}", task="ner")\n```'
)
LONGFORMER = (
    "No token has been taught to be global yet: the global projections are copies of the local ones, so that"
    " `global_attention_mask` decides only what is seen from afar. Question answering needs it even so:"
    " LongformerForQuestionAnswering without one looks for three separators, and a BERT's pairs have two."
)


def _provenance(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            "source",
            f"`{report['source']}` ({report['source_family']}, {report['source_tokens']} tokens)",
        ),
        ("SHA-256 of its config, tokenizer and weights", f"`{report['source_sha256']}`"),
    ]
    rows += [(key.replace("_", " "), str(value)) for key, value in report["settings"].items()]
    return rows + [(f"{key} version", value) for key, value in report["versions"].items()]


def _bullets(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)
