"""`benchmark`: every cell in a process of its own, what is finished compared and reported."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import read_json, write_json
from longbio.artifacts.locks import hold_lock
from longbio.artifacts.staged_folders import refuse_unless_writable
from longbio.benchmarking import report
from longbio.benchmarking.cells import Cell, cells_of
from longbio.benchmarking.made_models import Made, describe, make, models_of
from longbio.benchmarking.results import results_of
from longbio.benchmarking.settings import Benchmark, refuse_unknown
from longbio.benchmarking.shown_documents import Example, examples_of
from longbio.benchmarking.worker import learn_cell, run_apart
from longbio.errors import LongbioError
from longbio.finetuning.data import places_of
from longbio.finetuning.run import check, check_machine
from longbio.finetuning.settings import Finetuning
from longbio.progress import Narrator, Silence

RESULTS = "results.json"


def benchmark(
    suite: Benchmark,
    tell: Narrator | None = None,
    *,
    only_tasks: Sequence[str] = (),
    only_arms: Sequence[str] = (),
    show_text: bool = False,
) -> dict[str, Any]:
    """Run a benchmark, or what is left of it.

    A cell that fails doesn't stop the others, and is listed. What is finished isn't started again.

    Args:
        suite: what to do.
        tell: told of the progress.
        only_tasks: run cells of these now; all when empty. What is finished is reported whatever it is.
        only_arms: run cells of these now; all when empty.
        show_text: show a note of every task of mentions in the report, not of those alone whose notes may be.

    Returns:
        What is saved as `results.json` in `suite.out`, beside the report.

    Raises:
        LongbioError: a plan can't be made, a name isn't known, or the folder can't be written to.
    """
    tell = tell or Silence()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise LongbioError(
            "a benchmark starts processes of its own", remedy="start it once, without torchrun or accelerate"
        )
    for name in only_tasks:
        refuse_unknown(name, [task.name for task in suite.tasks], "--task")
    for name in only_arms:
        refuse_unknown(name, [arm.name for arm in suite.arms], "--arm")
    refuse_unless_writable(suite.out)
    models, to_make = models_of(suite)
    cells = cells_of(suite, models)
    titles = {
        cell.plan.out: f"{number} of {len(cells)}, {cell.task.name}, {cell.arm.name}"
        for number, cell in enumerate(cells, start=1)
        if (not only_tasks or cell.task.name in only_tasks) and (not only_arms or cell.arm.name in only_arms)
    }
    asked = [cell for cell in cells if cell.plan.out in titles]
    asked = _without_faults(asked, {made.asked.name for made in to_make if not made.is_done()}, titles, tell)
    needed = _models_asked(suite, {cell.arm.name for cell in asked})
    not_made = _make_models([made for made in to_make if made.asked.name in needed], tell)
    for cell in asked:
        if cell.arm.model not in not_made and cell.results() is None:
            with _alone_at(cell.plan.out):
                _run(cell, titles[cell.plan.out], tell)
    with hold_lock(suite.out, wait=True):
        return _report(suite, cells, to_make, not_made, show_text, tell)


def _without_faults(
    cells: Sequence[Cell], made_later: Collection[str], titles: Mapping[Path, str], tell: Narrator
) -> list[Cell]:
    """The cells that are done or can be run; the others fail here, before long work begins."""
    sound = []
    for cell in cells:
        is_done = cell.results() is not None
        fault = None if is_done else _fault_of(cell.plan, has_model=cell.arm.model not in made_later)
        if fault is None:
            sound.append(cell)
        else:
            _note_failure(cell, fault, titles[cell.plan.out], tell)
    return sound


def _report(
    suite: Benchmark,
    cells: Sequence[Cell],
    to_make: Sequence[Made],
    not_made: Mapping[str, str],
    show_text: bool,
    tell: Narrator,
) -> dict[str, Any]:
    """Compare what is finished, and write it down."""
    tell.begin("compare", 0)
    failed = [
        {"task": cell.task.name, "arm": cell.arm.name, "what": reason}
        for cell in cells
        if (reason := _failure_of(cell, not_made)) is not None
    ]
    trusted = [cell for cell in cells if cell.arm.model not in not_made]
    results = results_of(suite, trusted, failed)
    done = [describe(made, suite.target_bits) for made in to_make if made.is_done()]
    if done:
        results["pretraining"] = done
    write_json(suite.out / RESULTS, results)
    report.write(suite.out, results, _examples(suite, trusted, show_text, tell))
    finished, faults = sum(len(task["arms"]) for task in results["tasks"]), len(results["failed"])
    words = f"{finished} of {len(cells)} cells are finished" + (f", {faults} failed" if faults else "")
    (tell.fail if failed else tell.end)(f"{words}; report: {suite.out / 'report.html'}")
    return results


def _examples(suite: Benchmark, cells: Sequence[Cell], show_text: bool, tell: Narrator) -> list[Example]:
    finished = [cell for cell in cells if cell.results() is not None]
    try:
        return examples_of(suite, finished, show_text=show_text)
    except LongbioError as error:
        # A finished benchmark has its report even where its corpora are gone.
        tell.fail(f"no note is shown: {error}")
        return []


def _make_models(to_make: Sequence[Made], tell: Narrator) -> dict[str, str]:
    """Make models one after the other; returns why some couldn't be made, by their names."""
    failed: dict[str, str] = {}
    for made in to_make:
        name, title = made.asked.name, f"pre-training, {made.asked.name}"
        reason = failed.get(made.asked.start)
        if reason is None and not made.is_done():
            with _alone_at(made.curriculum.out):
                # Another process may just have made it.
                reason = None if made.is_done() else run_apart(make, made.plan(), tell, title)
        if reason is not None:
            failed[name] = reason
            tell.begin(title, 0)
            tell.fail(f"failed: {reason}")
    return failed


def _models_asked(suite: Benchmark, arms: Collection[str]) -> set[str]:
    """The names of models that arms need, and of those that these begin with."""
    asked = {arm.model for arm in suite.arms if arm.name in arms}
    for made in reversed(suite.pretrained):
        if made.name in asked:
            asked.add(made.start)
    return asked


def _failure_of(cell: Cell, not_made: Mapping[str, str]) -> str | None:
    """Why a cell failed, if it did."""
    if cell.arm.model in not_made:
        return f"its model could not be made: {not_made[cell.arm.model]}"
    return str(read_json(cell.failure)["what"]) if cell.failure.is_file() else None


def _run(cell: Cell, title: str, tell: Narrator) -> None:
    """Run a cell, and note why it failed, if it did."""
    if cell.results() is not None:  # by another process, which this one waited for
        return
    cell.failure.unlink(missing_ok=True)
    reason = run_apart(learn_cell, cell.plan.model_dump(mode="json"), tell, title)
    if reason is not None:
        _note_failure(cell, reason, title, tell)


def _note_failure(cell: Cell, reason: str, title: str, tell: Narrator) -> None:
    """Say why a cell failed, and note it."""
    tell.begin(title, 0)
    tell.fail(f"failed: {reason}")
    cell.failure.parent.mkdir(parents=True, exist_ok=True)
    write_json(cell.failure, {"what": reason})


def _fault_of(plan: Finetuning, *, has_model: bool) -> str | None:
    """What is wrong with a plan that can be known at once."""
    try:
        refuse_unless_writable(plan.out)
        places_of(plan.data)
        if has_model:
            check_machine(plan, check(plan))
    except LongbioError as error:
        return str(error)
    return None


def _alone_at(folder: Path) -> AbstractContextManager[None]:
    """Other processes of the benchmark that make the same run wait; the run itself has a lock of its own."""
    return hold_lock(folder.with_name(f"{folder.name}.cell"), wait=True)
