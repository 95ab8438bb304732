"""`finetune`: a grid with one seed, the best of it with every seed, all of it resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from longbio.artifacts.checkpoints import checkpoint_digest, locate, weights_digest
from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.plans import refuse_another_plan
from longbio.encoders.loading import config_of, load_tokenizer
from longbio.encoders.rows import InputFormat
from longbio.finetuning.data import Splits, read_data
from longbio.finetuning.evaluate import evaluate
from longbio.finetuning.grid import learn_best, recipes_of
from longbio.finetuning.learn import learn
from longbio.finetuning.settings import Finetuning, Recipe
from longbio.progress import Narrator, Silence
from longbio.training.processes import alone_together, processes

PLAN, RESULTS = "plan.json", "results.json"


def finetune(plan: Finetuning, tell: Narrator | None = None) -> dict[str, Any]:
    """Run a plan, or what is left of it.

    Args:
        plan: what to do.
        tell: told of the progress.

    Returns:
        What is saved as `results.json`: the chosen recipe, of each seed the scores on development
        and test documents, and mean, standard deviation, minimum and collapsed runs over seeds.

    Raises:
        LongbioError: `out` holds another run, or one is at work there, documents or the model
            can't be read, or a model has diverged.
    """
    with alone_together(plan.out):
        return _finetune(plan, tell or Silence())


def _finetune(plan: Finetuning, tell: Narrator) -> dict[str, Any]:
    out = plan.out
    source = locate(plan.model)
    data = read_data(plan.data)
    tell.begin("documents", 0)
    tell.end(data.summary())
    weights = weights_digest(source)
    _bind(plan, data, checkpoint_digest(source))
    done = read_json(out / RESULTS) if (out / RESULTS).is_file() else None
    if done is not None and [run["seed"] for run in done["runs"]] == list(plan.seeds):
        tell.end(f"finished before: {_spoken(done['test'], len(plan.seeds))}; results: {out / RESULTS}")
        finished: dict[str, Any] = done
        return finished

    inputs = InputFormat.of(config_of(source), load_tokenizer(source), plan.recipe.max_tokens)
    for documents in (data.dev, data.test):
        plan.task.check(documents, inputs)
    first = plan.seeds[0]
    recipe, tried = learn_best(
        recipes_of(plan.recipe, plan.grid),
        lambda recipe, folder, title: _learn(plan, source, data, recipe, first, folder, title, tell),
        out / "grid",
        _home(plan, first) / "model",
    )
    runs = [_run(plan, source, data, recipe, seed, tell) for seed in plan.seeds]
    results = {
        "task": runs[0]["task"],
        "model": {"name": plan.model, "weights_sha256": weights},
        "data": data.described,
        "grid": tried,
        "recipe": asdict(recipe),
        "test": over_seeds([run["test"] for run in runs]),
        "dev": over_seeds([run["dev"] for run in runs]),
        "runs": runs,
        "plan": plan.model_dump(mode="json"),
    }
    if processes().is_main_process:
        write_json(out / RESULTS, results)
    processes().wait_for_everyone()
    tell.end(f"{_spoken(results['test'], len(runs))}; results: {out / RESULTS}")
    saved: dict[str, Any] = read_json(out / RESULTS)
    return saved


def _bind(plan: Finetuning, data: Splits, model: str) -> None:
    """A folder with work in it belongs to one plan, one model and the same documents, wherever they lie;
    seeds may be added."""
    out, places = plan.out, {"path", "train", "dev", "test"}
    asked = plan.model_dump(
        mode="json", exclude={"machine": True, "seeds": True, "out": True, "data": places}
    )
    asked["model"] = model
    asked["data"]["sha256"] = data.described["sha256"]
    asked["machine"] = {"precision": plan.machine.precision, "device_batch": plan.machine.device_batch}
    asked["seed of the grid"] = plan.seeds[0] if len(recipes_of(plan.recipe, plan.grid)) > 1 else None
    state = processes()
    with state.main_process_first():
        has_begun = any(out.glob("seed-*")) or any(out.glob("grid/*"))
        refuse_another_plan(out, out / PLAN, asked, has_begun=has_begun)
        if state.is_main_process:
            write_json(out / PLAN, asked)


def _home(plan: Finetuning, seed: int) -> Path:
    return plan.out / f"seed-{seed}"


def _learn(
    plan: Finetuning,
    source: Path,
    data: Splits,
    recipe: Recipe,
    seed: int,
    out: Path,
    title: str,
    tell: Narrator,
) -> dict[str, Any]:
    advance: list[Callable[[int, str], None]] = []

    def on_start(steps: int, words: str) -> None:
        advance.append(tell.begin(f"{title}{words}", steps))

    report = learn(
        source,
        data.train,
        data.dev,
        plan.task,
        recipe,
        out,
        stability=plan.stability,
        seed=seed,
        machine=plan.machine,
        on_start=on_start,
        on_step=lambda step, loss: advance[0](step, f"loss {loss:.3f}"),
    )
    if advance:
        tell.end(f"{report['dev']['main']:.4f} on development documents")
    return report


def _run(
    plan: Finetuning, source: Path, data: Splits, recipe: Recipe, seed: int, tell: Narrator
) -> dict[str, Any]:
    home = _home(plan, seed)
    learned = _learn(plan, source, data, recipe, seed, home / "model", f"seed {seed}", tell)
    advance = tell.begin(f"seed {seed}: test documents", len(data.test))
    scored = evaluate(
        home / "model",
        data.test,
        home / "test",
        format_name=data.format,
        machine=plan.machine,
        on_document=lambda done: advance(done, ""),
    )
    tell.end(f"{scored['scores']['main']:.4f}")
    result = {
        "seed": seed,
        "task": learned["task"],
        "steps": learned["steps"],
        "kernel": learned["kernel"],
        "versions": learned["versions"],
        "left_out": learned["left_out"],
        "history": learned["history"],
        "seconds": learned["seconds"],
        "dev": {"main": learned["dev"]["main"], "has_collapsed": learned["dev_has_collapsed"]},
        "test": {
            "main": scored["scores"]["main"],
            "has_collapsed": scored["has_collapsed"],
            "scores": scored["scores"],
            **{name: scored[name] for name in ("by_length", "by_position", "reliability", "evidence")},
            "seconds": scored["seconds"],
        },
    }
    if processes().is_main_process:
        write_json(home / RESULTS, result)
    return result


def over_seeds(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The main score over seeds: mean, standard deviation (None of one), minimum, and how many runs say
    the same of everything."""
    mains = np.array([run["main"] for run in runs])
    return {
        "mean": float(mains.mean()),
        "standard_deviation": float(mains.std(ddof=1)) if len(mains) > 1 else None,
        "minimum": float(mains.min()),
        "collapsed": sum(bool(run["has_collapsed"]) for run in runs),
        "runs": len(mains),
    }


def _spoken(test: Mapping[str, Any], num_seeds: int) -> str:
    if num_seeds == 1:
        return f"{test['mean']:.4f} on test documents (one seed: no spread)"
    return (
        f"{test['mean']:.4f} ± {test['standard_deviation']:.4f} on test documents over {num_seeds} seeds,"
        f" {test['minimum']:.4f} at least, {test['collapsed']} collapsed"
    )
