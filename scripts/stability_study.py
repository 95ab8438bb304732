"""Each stabiliser against plain fine-tuning on two small sets: BIOSSES, and GAD at 500 examples.

    python scripts/stability_study.py DATA OUT --model MODEL [--seeds 5] [--only plain] [--quick]

DATA holds BLURB's folders (docs/data.md). Every arm has the same data, seeds and steps, but for the one
that says otherwise. What is printed is a table in Markdown: mean, standard deviation, minimum and
collapsed runs; it stands in OUT/table.md, with the arms of this call.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from longbio.cli.output import narrated
from longbio.finetuning.run import finetune
from longbio.finetuning.settings import Finetuning
from longbio.settings import load_settings

SETS: dict[str, tuple[str, ...]] = {
    "biosses": ("recipe.learning_rate=1e-4", "recipe.epochs=20", "recipe.batch=16"),
    "gad": (
        "data.train_documents=500",
        "recipe.learning_rate=1e-4",
        "recipe.epochs=6",
        "recipe.batch=32",
    ),
}
TECHNIQUES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "frozen embeddings and 2 layers": ("stability.freeze_layers=2",),
    "layer decay 0.8, Zhang's": ("stability.layer_decay=0.8",),
    "layer decay 0.8, ELECTRA's": ("stability.layer_decay=0.8", "stability.decay_convention=electra"),
    "top layer anew": ("stability.reinitialise_layers=1",),
    "no bias correction": ("stability.bias_correction=false",),
    "twice as long, early stopping": ("recipe.epochs={twice}", "recipe.patience=4"),
    "mixout 0.5": ("stability.mixout=0.5",),
    "R-Drop 1": ("stability.r_drop=1",),
    "average of the last quarter": ("stability.average_last=0.25",),
}
WITHOUT_SOFTMAX = ("biosses",)
"""A similarity is a number: R-Drop has nothing to compare."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=list(TECHNIQUES), help="again for more")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--quick", action="store_true", help="two steps of few documents, to see it run")
    asked = parser.parse_args()

    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for technique in asked.only or TECHNIQUES:
        for name in asked.sets.split(","):
            if not (technique.startswith("R-Drop") and name in WITHOUT_SOFTMAX):
                found[technique, name] = run(name, technique, asked)
    table = table_of(found)
    (asked.out / "table.md").write_text(table)
    print(table)


def run(name: str, technique: str, asked: argparse.Namespace) -> dict[str, Any]:
    """One technique on one set, over all seeds."""
    folder = "".join(letter if letter.isalnum() else "-" for letter in technique.lower())
    epochs = next(float(each.split("=")[1]) for each in SETS[name] if each.startswith("recipe.epochs"))
    overrides = [
        f"model={asked.model}",
        f"out={asked.out / f'{name}-{folder}'}",
        f"data.path={asked.data}",
        f"seeds={list(range(asked.seeds))}",
        *SETS[name],
        *(each.replace("{twice}", f"{2 * epochs:g}") for each in TECHNIQUES[technique]),
    ]
    if asked.quick:
        overrides += ["recipe.max_steps=2", "data.train_documents=16", "data.eval_documents=8"]
    plan = load_settings(Finetuning, ROOT / "configs" / "finetune" / f"{name}.yaml", overrides)
    with narrated(as_json=False, verbose=False) as tell:
        tell.console.print(f"== {name}: {technique}")
        return finetune(plan, tell)


def table_of(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """Markdown, a line for each technique, hundredths of the score."""
    names = list(dict.fromkeys(name for _, name in found))
    head = ["technique", *(f"{name}: mean ± sd | minimum | collapsed" for name in names)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * (1 + 3 * len(names))]
    for technique in dict.fromkeys(technique for technique, _ in found):
        cells = [technique]
        for name in names:
            result = found.get((technique, name))
            if result is None:
                cells += ["–", "–", "–"]
                continue
            test = result["test"]
            spread = test["standard_deviation"]
            cells.append(f"{100 * test['mean']:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}"))
            cells += [f"{100 * test['minimum']:.1f}", f"{test['collapsed']} of {test['runs']}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
