"""The model card of a fine-tuned model: what it began with, what it learned, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import longbio
from longbio.artifacts.cards import markdown_table
from longbio.encoders.card_calls import STOCK_BIGBIRD, call, card, what_is_global
from longbio.encoders.families import takes_global
from longbio.finetuning.stability import Stability
from longbio.tasks import TASKS


def render(report: Mapping[str, Any], name: str, config: Any, max_tokens: int) -> str:
    """The README.md of a model's folder, from what `learn` saved and the tokens of a row. It holds no text of
    the corpus."""
    model_type, task = config.model_type, report["task"]
    settings = {
        **report["task"],
        **report["recipe"],
        # What was done against unstable learning; all else is off.
        **{key: value for key, value in report["stability"].items() if value != getattr(Stability(), key)},
        "seed": report["seed"],
        "steps": report["steps"],
    }
    rows = [(key, f"`{value}`") for key, value in settings.items() if value not in (None, "", (), [])]
    left_out = [(kind, f"{count:,}") for kind, count in report["left_out"].items() if count]
    sections = [
        (
            "How to load it",
            "With longbio, which reads documents of any length and gives offsets, or with plain transformers"
            f" (see the call at the end):\n\n```bash\nlongbio predict {name} NOTES --out found\n"
            f"longbio evaluate {name} DATA --out scores\n```\n\n"
            f"A pipeline of transformers ends after {max_tokens:,} tokens and doesn't say so, unless it is"
            " given a `stride`; and it gives no `global_attention_mask`.",
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
    if takes_global(model_type):
        sections.append(("Global tokens", what_is_global(task["global_tokens"])))
    if model_type == "big_bird":
        full = (5 + 2 * config.num_random_blocks) * config.block_size
        sections.append(("With plain transformers", STOCK_BIGBIRD.format(full=full)))
    head = TASKS[task["kind"]].head
    return card(name, head, model_type, sections, _call(task, name, model_type, max_tokens))


def _call(task: Mapping[str, Any], name: str, model_type: str, max_tokens: int) -> str:
    """How plain transformers uses it; a pair of mentions in its text is made by longbio alone."""
    if task["kind"] == "relations":
        return f"```bash\nlongbio predict {name} NOTES --out found\n```"
    kind = "sigmoid()" if task.get("multi_label") else "softmax(-1)"
    # Behind the classes may stand the weight of a window.
    shown = f"logits[:{len(task.get('classes', ()))}] / {task.get('temperature', 1.0)}"
    result = (
        f"probabilities = ({shown}).{kind}.tolist()\n"
        "print({model.config.id2label[number]: share for number, share in enumerate(probabilities)})"
    )
    if task["kind"] == "similarity":
        result = f"print({task['mean']!r} + {task['deviation']!r} * float(logits[0]))"
    pair = ("Chest pain since Monday.", "The chest has hurt for two days.")
    return call(
        TASKS[task["kind"]].head,
        name,
        model_type,
        roles=task["global_tokens"],
        max_tokens=max_tokens,
        texts=pair if task["kind"] == "similarity" else pair[:1],
        answer_tokens=task.get("max_answer_tokens", 64),
        result=result,
    )
