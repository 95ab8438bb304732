"""Short against long on nine public sets, or on some of them, with stated budgets.

    python scripts/finetuning_study.py DATA OUT --short MODEL --long MODEL [--sets ncbi-disease,hoc]
        [--seeds 3] [--arms short,long] [--quick]

DATA is laid out as docs/data.md says. Both models get the same configuration and the same number of
steps of as many samples. A sample is the same text for both, which the short model reads in overlapping
windows; but for questions it is a window, and a long one holds up to eight times the text. A run that
was killed goes on; one that is finished is only read. What is printed is a table in Markdown, and stands
in OUT/table.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from longbio.artifacts.files import read_json
from longbio.cli.output import narrated
from longbio.finetuning.run import finetune
from longbio.finetuning.settings import Finetuning
from longbio.settings import load_settings


@dataclass(frozen=True)
class Budget:
    """What one set may cost on two cores.

    Args:
        folder: of the set, within DATA.
        measure: what its main score is.
        overrides: of its configuration.
    """

    folder: str
    measure: str
    overrides: tuple[str, ...]


# Rates are higher than the configurations', which are for models of 110M weights and many steps; they were
# not tuned, for neither arm.
BUDGETS: dict[str, Budget] = {
    "ncbi-disease": Budget(
        "blurb", "entity F1", ("recipe.learning_rate=1e-4", "recipe.batch=16", "recipe.epochs=4")
    ),
    "bc5-chem": Budget(
        "blurb", "entity F1", ("recipe.learning_rate=1e-4", "recipe.batch=16", "recipe.epochs=2")
    ),
    "hoc": Budget("blurb", "micro F1", ("recipe.learning_rate=2e-4", "recipe.batch=16", "recipe.epochs=4")),
    "gad": Budget("blurb", "micro F1", ("recipe.learning_rate=1e-4", "recipe.batch=32", "recipe.epochs=2")),
    "biosses": Budget("blurb", "Pearson", ("recipe.learning_rate=1e-4", "recipe.epochs=30")),
    "pubmedqa": Budget(
        "blurb", "accuracy", ("recipe.learning_rate=5e-5", "recipe.batch=16", "recipe.epochs=4")
    ),
    "covid-qa": Budget(
        "covid_qa",
        "F1",
        (
            "task.negatives=1",
            "recipe.learning_rate=2e-4",
            "recipe.max_steps=100",
            "recipe.batch=4",
            "data.eval_documents=5",
        ),
    ),
    "craft": Budget(
        "craft",
        "entity F1",
        ("recipe.learning_rate=5e-4", "recipe.batch=2", "recipe.max_steps=150", "data.eval_documents=15"),
    ),
    "evidence-inference": Budget(
        "evidence_inference",
        "macro F1",
        (
            "recipe.learning_rate=1e-4",
            "recipe.batch=4",
            "recipe.max_steps=120",
            "data.train_documents=300",
            "data.eval_documents=40",
        ),
    ),
}
DROPOUT = "recipe.dropout=0.1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--short", required=True)
    parser.add_argument("--long", required=True)
    parser.add_argument("--sets", default=",".join(BUDGETS))
    parser.add_argument("--arms", default="short,long", help="one of them, where another process has the other")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few steps and documents, to see it run")
    asked = parser.parse_args()

    for name in asked.sets.split(","):
        for arm in asked.arms.split(","):
            run(name, arm, getattr(asked, arm), asked)
        write_table(rows_of(asked.out), asked.out / "table.md")
    print((asked.out / "table.md").read_text())


def rows_of(out: Path) -> list[list[str]]:
    """A line for each set that both arms have finished, whenever that was."""
    rows = []
    for name in BUDGETS:
        files = {arm: out / f"{name}-{arm}" / "results.json" for arm in ("short", "long")}
        if all(file.is_file() for file in files.values()):
            rows.append(row_of(name, {arm: read_json(file) for arm, file in files.items()}))
    return rows


def run(name: str, arm: str, model: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Both arms differ by their model alone."""
    budget = BUDGETS[name]
    overrides = [
        f"model={model}",
        f"out={asked.out / f'{name}-{arm}'}",
        f"data.path={asked.data / budget.folder}",
        f"seeds={list(range(asked.seeds))}",
        DROPOUT,
        *budget.overrides,
    ]
    if asked.quick:
        overrides += ["recipe.max_steps=2", "data.train_documents=8", "data.eval_documents=2"]
    plan = load_settings(Finetuning, ROOT / "configs" / "finetune" / f"{name}.yaml", overrides)
    with narrated(as_json=False, verbose=False) as tell:
        tell.console.print(f"== {name}, {arm}")
        return finetune(plan, tell)


def row_of(name: str, results: Mapping[str, dict[str, Any]]) -> list[str]:
    """A line of the table: mean and spread of both, and the difference with its interval over seeds."""
    scores = {arm: [run["test"]["main"] for run in result["runs"]] for arm, result in results.items()}
    seconds = {arm: sum_of_seconds(result["runs"]) for arm, result in results.items()}
    low, high = interval(scores["long"], scores["short"])
    difference = np.mean(scores["long"]) - np.mean(scores["short"])
    documents = results["long"]["data"]["documents"]
    spread = "one seed" if np.isnan(low) else f"{100 * low:+.1f} to {100 * high:+.1f}"
    return [
        name,
        BUDGETS[name].measure,
        f"{documents['train']:,} / {documents['test']:,}",
        f"{results['long']['runs'][0]['steps']:,}",
        *(shown(scores[arm]) for arm in ("short", "long")),
        f"{100 * difference:+.1f} ({spread})",
        f"{seconds['short'] / 60:.0f} / {seconds['long'] / 60:.0f}",
    ]


def shown(scores: Sequence[float]) -> str:
    """Mean and standard deviation over seeds, in hundredths."""
    mean = f"{100 * np.mean(scores):.1f}"
    return mean if len(scores) == 1 else f"{mean} ± {100 * np.std(scores, ddof=1):.1f}"


def interval(long: Sequence[float], short: Sequence[float]) -> tuple[float, float]:
    """95% of the mean difference over seeds, Student's t over pairs of the same seed."""
    if len(long) < 2:
        return float("nan"), float("nan")
    differences = np.subtract(long, short)
    reach = t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / len(differences) ** 0.5
    return float(differences.mean() - reach), float(differences.mean() + reach)


def sum_of_seconds(runs: Sequence[Mapping[str, Any]]) -> float:
    """Learning and reading the test documents, over all seeds."""
    return float(sum(run["seconds"] + run["test"]["seconds"] for run in runs))


def write_table(rows: Sequence[Sequence[str]], file: Path) -> None:
    head = [
        "set",
        "score",
        "train / test",
        "steps",
        "short",
        "long",
        "long minus short (95%, seeds)",
        "minutes, short / long",
    ]
    lines = [head, ["---"] * len(head), *rows]
    file.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


if __name__ == "__main__":
    main()
