"""`learn`: one checkpoint, one recipe, one seed; a native model with its task's head comes out."""

from __future__ import annotations

import math
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from pydantic import TypeAdapter
from torch import Tensor, nn
from transformers import PreTrainedModel, set_seed

import longbio
from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.folders import staged_folder
from longbio.attention.kernels import auto_choices
from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document
from longbio.encoders.families import is_long
from longbio.encoders.heads import begin_from_pooler
from longbio.encoders.loading import load, load_tokenizer
from longbio.encoders.rows import InputFormat
from longbio.encoders.saving import save
from longbio.errors import LongbioError
from longbio.finetuning import card
from longbio.finetuning.samples import Samples
from longbio.finetuning.settings import Machine, Recipe
from longbio.finetuning.stability import Stability, train_stably
from longbio.prediction.run import predict
from longbio.tasks import AnyTask
from longbio.tasks.task import Prediction, Sample, collate, forward, refuse_without_examples
from longbio.training.processes import processes
from longbio.training.stopping import EarlyStopping
from longbio.training.trainer import OnStep, TrainingSettings, gone_on

REPORT = "finetuning.json"


def learn(
    model_folder: Path,
    train_documents: Sequence[Document],
    dev_documents: Sequence[Document],
    task: AnyTask,
    recipe: Recipe,
    out: Path,
    *,
    stability: Stability | None = None,
    seed: int = 0,
    machine: Machine | None = None,
    on_start: Callable[[int, str], None] = lambda steps, words: None,
    on_step: OnStep = lambda step, loss: None,
) -> dict[str, Any]:
    """Fine-tune a checkpoint for a task and leave a native one in `out`.

    Args:
        model_folder: a short or a long checkpoint.
        train_documents: what it learns from.
        dev_documents: what it is scored on, and thresholds are tuned on; may be empty.
        task: what it learns; classes that aren't given are those of the training documents.
        recipe: how.
        out: the folder to make; when it is there already, nothing is done. What a killed run left
            beside it is taken up again.
        stability: what is done against unstable learning.
        seed: of the head, of dropout and of the order of samples.
        machine: how the work is done.
        on_start: told how many steps there will be, and where a run that was stopped goes on, in words
            that follow a title; unless all is done.
        on_step: told of every step.

    Returns:
        What is saved as `finetuning.json` in `out`: task, recipe, losses, scores on the development
        documents.

    Raises:
        LongbioError: there is nothing to learn from, or the model has diverged.
    """
    work = out.with_name(out.name + ".training")
    state = processes()
    if (out / REPORT).is_file():
        if state.is_main_process:
            shutil.rmtree(work, ignore_errors=True)
        done: dict[str, Any] = read_json(out / REPORT)
        return done
    refuse_without_examples(task, train_documents, "data.train")
    refuse_without_examples(task, dev_documents, "data.dev")
    machine, stability = machine or Machine(), stability or Stability()
    begun = _begin(model_folder, train_documents, task, recipe, machine, seed)
    steps = recipe.steps(len(begun.samples))
    on_start(steps, gone_on("", work, steps))
    start = time.monotonic()
    trained, losses, history = _train(
        begun, dev_documents, recipe, stability, machine, seed=seed, work=work, on_step=on_step
    )
    seconds = time.monotonic() - start

    found = list(begun.predicted(trained, dev_documents, machine))
    task = begun.task.tuned(dev_documents, found) if found else begun.task
    report = {
        "task": asdict(task),
        "recipe": asdict(recipe),
        "stability": asdict(stability),
        "kernel": _kernel_of(trained, machine),
        "versions": versions(),
        "seed": seed,
        "steps": len(losses),
        "samples": len(begun.samples),
        "left_out": dict(begun.left_out),
        "left_out_at": begun.left_out.places,
        "origin": model_folder.name,
        "dev": task.score(dev_documents, found) if found else None,
        "dev_has_collapsed": task.has_collapsed(found),
        "history": history,
        "seconds": round(seconds, 1),
        "losses": losses,
    }
    if state.is_main_process:
        _save(trained, begun.inputs, report, model_folder, out)
        shutil.rmtree(work, ignore_errors=True)
    state.wait_for_everyone()
    saved: dict[str, Any] = read_json(out / REPORT)
    return saved


@dataclass(frozen=True, eq=False)
class _Begun:
    """A model with a new head, and what it shall learn from."""

    model: PreTrainedModel
    inputs: InputFormat
    task: AnyTask
    samples: Sequence[Sample]
    left_out: PassedOver

    def collated(self, samples: Sequence[Any]) -> dict[str, Tensor]:
        return collate(self.task, self.inputs, samples)

    def summed_loss(self, model: nn.Module, batch: Any) -> Tensor:
        return self.task.summed_loss(forward(model, batch), batch)

    def predicted(
        self, model: PreTrainedModel, documents: Sequence[Document], machine: Machine
    ) -> Iterator[Prediction]:
        return predict(model.eval(), self.inputs, self.task, documents, batch_tokens=machine.batch_tokens)


def _begin(
    model_folder: Path,
    documents: Sequence[Document],
    task: AnyTask,
    recipe: Recipe,
    machine: Machine,
    seed: int,
) -> _Begun:
    task = task.learned_from(documents)
    set_seed(seed)
    tokenizer = load_tokenizer(model_folder)
    model = load(
        model_folder,
        task.head,
        machine.kernel,
        head_seed=seed,
        for_training=True,
        dropout=recipe.dropout,
        dtype=torch.float32,
        **task.config_changes(),
    )
    begin_from_pooler(model, model_folder)
    inputs = InputFormat.of(model.config, tokenizer, recipe.max_tokens)
    left_out = PassedOver()
    samples = [sample for document in documents for sample in task.samples(document, inputs, left_out)]
    if not samples:
        raise LongbioError("there is nothing to learn from", where="data.train")
    return _Begun(model, inputs, task, samples, left_out)


def _train(
    begun: _Begun,
    dev_documents: Sequence[Document],
    recipe: Recipe,
    stability: Stability,
    machine: Machine,
    *,
    seed: int,
    work: Path,
    on_step: OnStep,
) -> tuple[PreTrainedModel, list[float], list[tuple[int, float]]]:
    """The trained model, its losses, and its scores on development documents when it may stop early."""

    def dev_score(model: PreTrainedModel) -> float:
        found = list(begun.predicted(model, dev_documents, machine))
        return float(begun.task.tuned(dev_documents, found).score(dev_documents, found)["main"])

    steps = recipe.steps(len(begun.samples))
    order = Samples(
        begun.samples, batch=recipe.batch, steps=steps, seed=seed, group_by_length=recipe.group_by_length
    )
    stopping = None
    if recipe.patience is not None and dev_documents:
        every = max(1, math.ceil(len(begun.samples) / recipe.batch / recipe.evaluations))
        stopping = EarlyStopping(dev_score, every, recipe.patience)
    trained, losses = train_stably(
        begun.model,
        order,
        begun.collated,
        begun.summed_loss,
        training_settings(recipe, machine, steps, seed),
        work,
        stability,
        logits_of=begun.task.logits,
        stopping=stopping,
        on_step=on_step,
    )
    return trained, losses, [] if stopping is None else stopping.history


def _save(
    model: PreTrainedModel, inputs: InputFormat, report: dict[str, Any], model_folder: Path, out: Path
) -> None:
    with staged_folder(out) as partial:
        save(model, partial, origin=model_folder)
        inputs.tokenizer.save_pretrained(partial)
        write_json(partial / REPORT, report)
        text = card.render(report, out.name, model.config, inputs.max_tokens)
        (partial / "README.md").write_text(text, encoding="utf-8")


def _kernel_of(model: PreTrainedModel, machine: Machine) -> str:
    """The kernel that was asked for, and what `auto` became; a short model has none."""
    if not is_long(model.config.model_type):
        return "none: a short model"
    if machine.kernel != "auto":
        return machine.kernel
    dtype = torch.bfloat16 if machine.precision == "bfloat16" else torch.float32
    chosen = auto_choices(model.device, dtype)
    return "auto: " + ", ".join(dict.fromkeys(chosen.values()))


def versions() -> dict[str, str]:
    """Of what a result depends on."""
    return {
        "longbio": longbio.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def task_of(model_folder: Path) -> AnyTask:
    """The task that `learn` recorded in a folder, with its classes and thresholds.

    Raises:
        LongbioError: the folder has no such record.
    """
    if not (model_folder / REPORT).is_file():
        raise LongbioError(
            f"the folder has no {REPORT}", where=model_folder, remedy="give a model that longbio fine-tuned"
        )
    recorded: AnyTask = TypeAdapter(AnyTask).validate_python(read_json(model_folder / REPORT)["task"])
    return recorded


def inputs_of(model_folder: Path, config: Any) -> InputFormat:
    """The input format of a fine-tuned model: rows as long as those that it learned from.

    Args:
        model_folder: longbio's, or another's.
        config: of the model.
    """
    record = model_folder / REPORT
    recipe = read_json(record)["recipe"] if record.is_file() else {}
    # Others' models have no record, and read all that they can.
    return InputFormat.of(config, load_tokenizer(model_folder), recipe.get("max_tokens"))


def training_settings(recipe: Recipe, machine: Machine, steps: int, seed: int) -> TrainingSettings:
    """What the one training loop is told of a recipe."""
    return TrainingSettings(steps, recipe, recipe.batch, machine, seed)
