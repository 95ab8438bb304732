"""`finetune`: a grid with one seed, the best of it with every seed, all of it resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from longbio.artifacts.atomic_files import digest_of_path, read_json, write_json
from longbio.artifacts.checkpoints import checkpoint_digest, locate
from longbio.artifacts.staged_folders import refuse_unless_writable
from longbio.encoders.families import dropout_names
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import config_of, load_tokenizer
from longbio.finetuning.data import Splits, places_of, read_data
from longbio.finetuning.evaluate import evaluate, model_of
from longbio.finetuning.grid import learn_best, recipes_of
from longbio.finetuning.learn import learn
from longbio.finetuning.settings import Finetuning, Recipe
from longbio.progress import Narrator, Silence
from longbio.tasks import AnyTask
from longbio.tasks.ner import Entities
from longbio.tasks.statistics import interval_text, score_interval
from longbio.training.processes import open_together, processes
from longbio.training.requirements import refuse_kernel, refuse_settings
from longbio.training.settings import TrainingSettings

RESULTS = "results.json"

OF_LEARNING = ("task", "steps", "kernel", "versions", "left_out", "left_out_at", "history", "seconds")
OF_SCORING = ("scores", "interval", "by_length", "by_position", "reliability", "evidence", "seconds")
"""What the results of a run keep of `finetuning.json`, and of `scores.json`, of each seed."""

LOW_CEILING = 0.98
"""The F1 that tags allow, below which a run says so as a warning."""


def finetune(plan: Finetuning, tell: Narrator | None = None) -> dict[str, Any]:
    """Run a plan, or what is left of it.

    Returns:
        What is saved as `results.json`: the chosen recipe, of each seed the scores on development and test
        documents, and mean, standard deviation, minimum and collapsed runs over seeds.

    Raises:
        LongbioError: `out` holds another run, or one is at work there, documents or the model can't be read,
            or a model has diverged.
    """
    tell = tell or Silence()
    source = check(plan)
    if not (plan.out / RESULTS).is_file():
        check_machine(plan, source)
    with open_together(plan.out, plan_of(plan, source)):
        return _finetune(plan, source, tell)


def _finetune(plan: Finetuning, source: Path, tell: Narrator) -> dict[str, Any]:
    out = plan.out
    data = read_data(plan.data)
    tell.begin("documents", 0)
    tell.end(data.summary())
    done = read_json(out / RESULTS) if (out / RESULTS).is_file() else None
    if done is not None and [run["seed"] for run in done["runs"]] == list(plan.seeds):
        tell.end(f"finished before: {_in_words(done)}; results: {out / RESULTS}")
        return done

    check_machine(plan, source)
    learned = data.refuse_without_examples(plan.task)
    warnings = data.warnings(learned)
    for line in warnings:
        tell.begin("documents", 0)
        tell.end(line)
    inputs = InputFormat.of(config_of(source), load_tokenizer(source), plan.recipe.max_tokens)
    for documents in (data.dev, data.test):
        plan.task.check(documents, inputs)
    ceiling = _tag_ceiling(plan.task, data, inputs, tell)
    learn_one, first = partial(_learn, plan, source, data, tell), plan.seeds[0]
    recipe, tried = learn_best(
        recipes_of(plan.recipe, plan.grid), partial(learn_one, first), out / "grid", _model_of(plan, first)
    )
    runs = [_run(plan, data, learn_one, recipe, seed, tell) for seed in plan.seeds]
    interval = score_interval([run["test"]["evidence"] for run in runs])
    results = {
        "task": runs[0]["task"],
        "model": {"name": plan.model, "sha256": checkpoint_digest(source)},
        "data": data.described,
        "warnings": warnings,
        "tag_ceiling": ceiling,
        "grid": tried,
        "recipe": asdict(recipe),
        "test": over_seeds([run["test"] for run in runs]) | {"interval": interval},
        "dev": over_seeds([run["dev"] for run in runs]),
        "runs": runs,
        "plan": plan.model_dump(mode="json"),
    }
    if processes().is_main_process:
        write_json(out / RESULTS, results)
    processes().wait_for_everyone()
    tell.end(f"{_in_words(results)}; results: {out / RESULTS}")
    return read_json(out / RESULTS)


def check(plan: Finetuning) -> Path:
    """What can be known of a plan before documents are read; the folder of its model.

    Raises:
        LongbioError: the model or a split isn't there, or `out` can't be written to.
    """
    refuse_unless_writable(plan.out)
    places_of(plan.data)
    source = locate(plan.model)
    InputFormat.of(config_of(source), load_tokenizer(source), plan.recipe.max_tokens)
    return source


def check_machine(plan: Finetuning, source: Path) -> None:
    """Whether this machine can learn by the plan, its model being in the folder `source`.

    Raises:
        LongbioError: it lacks what the kernel, the precision or the optimizer needs, or the batch can't be
            divided among the processes.
    """
    config, machine = config_of(source), plan.machine
    for recipe in recipes_of(plan.recipe, plan.grid):
        refuse_settings(TrainingSettings(1, recipe, recipe.batch, machine))
    dropout = plan.recipe.dropout
    if dropout is None:
        dropout = getattr(config, dropout_names(config.model_type)[1], 0.0)
    refuse_kernel(machine.kernel, machine.precision, config.model_type, dropout)


def plan_of(plan: Finetuning, source: Path) -> dict[str, Any]:
    """All that decides the results of a plan, the model in the folder `source` and the documents by what they
    hold.

    Raises:
        LongbioError: the model or the documents can't be read.
    """
    model = {"model": checkpoint_digest(source)}
    return plan_of_settings(plan) | model | digests_of_documents(plan)


def digests_of_documents(plan: Finetuning) -> dict[str, Any]:
    """What the files of a plan hold. Raises LongbioError where there are none, or they can't be read."""
    places = places_of(plan.data).items()
    return {"documents": {split: place and digest_of_path(place) for split, place in places}}


def plan_of_settings(plan: Finetuning) -> dict[str, Any]:
    """The part of `plan_of` that needs no files; without seeds, which may be added, and places, which may
    change."""
    settings = plan.model_dump(mode="json", exclude={"model", "machine", "seeds", "out"})
    for place in ("path", "train", "dev", "test"):
        del settings["data"][place]
    return settings | {
        "machine": {"precision": plan.machine.precision, "device_batch": plan.machine.device_batch},
        "seed of the grid": plan.seeds[0] if len(recipes_of(plan.recipe, plan.grid)) > 1 else None,
    }


def _tag_ceiling(task: AnyTask, data: Splits, inputs: InputFormat, tell: Narrator) -> dict[str, Any] | None:
    """What a perfect tagger would score on training and on test documents; None for other tasks."""
    if not isinstance(task, Entities):
        return None
    task = task.learned_from(data.train)
    ceilings = {"train": task.ceiling(data.train, inputs), "test": task.ceiling(data.test, inputs)}
    tell.begin("mentions as tags", 0)
    test = ceilings["test"]
    line = f"F1 {test.counts.f1:.4f} at best on test documents"
    if test.lost:
        line += f"; tags can't give back {'; '.join(test.lost.lines())}"
    low = [split for split, ceiling in ceilings.items() if ceiling.counts.f1 < LOW_CEILING]
    tell.end(f"warning: {line} (below {LOW_CEILING} in {' and '.join(low)})" if low else line)
    return {split: ceiling.as_dict() for split, ceiling in ceilings.items()}


def _model_of(plan: Finetuning, seed: int) -> Path:
    return plan.out / f"seed-{seed}" / "model"


def _learn(
    plan: Finetuning,
    source: Path,
    data: Splits,
    tell: Narrator,
    seed: int,
    recipe: Recipe,
    out: Path,
    title: str,
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
    plan: Finetuning,
    data: Splits,
    learn_one: Callable[[int, Recipe, Path, str], dict[str, Any]],
    recipe: Recipe,
    seed: int,
    tell: Narrator,
) -> dict[str, Any]:
    model, machine = _model_of(plan, seed), plan.machine
    learned = learn_one(seed, recipe, model, f"seed {seed}")
    advance = tell.begin(f"seed {seed}: test documents", len(data.test))
    scored = evaluate(
        model_of(model, kernel=machine.kernel, batch_tokens=machine.batch_tokens),
        data.test,
        model.with_name("test"),
        format_name=data.format,
        on_document=lambda done: advance(done, ""),
    )
    tell.end(f"{scored['scores']['main']:.4f}")
    result = {
        "seed": seed,
        **{name: learned[name] for name in OF_LEARNING},
        "dev": {"main": learned["dev"]["main"], "has_collapsed": learned["dev_has_collapsed"]},
        "test": {
            "main": scored["scores"]["main"],
            "has_collapsed": scored["has_collapsed"],
            **{name: scored[name] for name in OF_SCORING},
        },
    }
    if processes().is_main_process:
        write_json(model.with_name(RESULTS), result)
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


def _in_words(done: Mapping[str, Any]) -> str:
    test, num_seeds = done["test"], len(done["runs"])
    interval = interval_text(test["interval"])
    if num_seeds == 1:
        return f"{test['mean']:.4f} on test documents ({interval}; one seed: no spread)"
    return (
        f"{test['mean']:.4f} ± {test['standard_deviation']:.4f} on test documents over {num_seeds} seeds"
        f" ({interval}), {test['minimum']:.4f} at least, {test['collapsed']} collapsed"
    )
