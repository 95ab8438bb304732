"""A grid of recipes: each is tried, the development documents choose."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import read_json, write_json
from longbio.finetuning.settings import Grid, Recipe
from longbio.training.processes import processes

LearnOne = Callable[[Recipe, Path, str], dict[str, Any]]
"""A recipe, the folder to make and a title: what `learn` returns."""


def recipes_of(recipe: Recipe, grid: Grid) -> list[Recipe]:
    """Every combination of a grid; what it leaves open is the recipe's."""
    return [
        replace(recipe, learning_rate=rate, batch=batch, epochs=epochs)
        for rate, batch, epochs in itertools.product(
            grid.learning_rates or (recipe.learning_rate,),
            grid.batches or (recipe.batch,),
            grid.epochs or (recipe.epochs,),
        )
    ]


def learn_best(
    recipes: Sequence[Recipe], learn_one: LearnOne, folder: Path, out: Path
) -> tuple[Recipe, list[dict[str, Any]]]:
    """Try recipes and leave the model of the best one in `out`; of equally good ones the first. A single
    recipe isn't tried.

    Trials are kept in `folder`, without their models once one is chosen.

    Returns:
        The best recipe, and the name and the development score of each.
    """
    if len(recipes) == 1:
        return recipes[0], []
    state, trials = processes(), []
    for number, recipe in enumerate(recipes, start=1):
        name = f"lr{recipe.learning_rate:g}-batch{recipe.batch}-epochs{recipe.epochs:g}"
        kept = folder / f"{name}.json"
        if not kept.is_file():
            report = learn_one(recipe, folder / name / out.name, f"try {number} of {len(recipes)}: {name}")
            if state.is_main_process:
                write_json(kept, {"name": name, "dev": report["dev"]["main"]})
            state.wait_for_everyone()
        trials.append(read_json(kept))
    best = max(range(len(recipes)), key=lambda number: trials[number]["dev"])
    if state.is_main_process:
        # A model's card names its folder.
        winner = folder / trials[best]["name"] / out.name
        if winner.is_dir() and not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            winner.rename(out)
        for trial in trials:
            shutil.rmtree(folder / trial["name"], ignore_errors=True)
    state.wait_for_everyone()
    return recipes[best], trials
