"""`learn`: one checkpoint, one recipe, one seed; a native model with its task's head comes out."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from transformers import PreTrainedModel, set_seed

from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.folders import staged_folder
from longbio.attention.kernels import auto_choices
from longbio.corpus.records import Document
from longbio.encoders.loading import FAMILIES, load, load_tokenizer
from longbio.encoders.rows import InputFormat
from longbio.encoders.saving import save
from longbio.errors import LongbioError
from longbio.finetuning import card
from longbio.finetuning.samples import Samples
from longbio.finetuning.settings import Machine, Recipe
from longbio.finetuning.stability import Stability, train_stably
from longbio.prediction.run import predict
from longbio.tasks import AnyTask
from longbio.tasks.task import collate, forward
from longbio.training.processes import processes
from longbio.training.stopping import EarlyStopping
from longbio.training.trainer import OnStep, TrainingSettings

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
    on_start: Callable[[int], None] = lambda steps: None,
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
        on_start: told how many steps there will be, unless all is done.
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
    machine = machine or Machine()
    task = task.learned_from(train_documents)
    set_seed(seed)
    tokenizer = load_tokenizer(model_folder)
    model = load(
        model_folder,
        task.head,
        machine.kernel,
        dropout=recipe.dropout,
        dtype=torch.float32,
        **task.config_changes(),
    )
    inputs = InputFormat.of(model.config, tokenizer)

    left_out: Counter[str] = Counter()
    samples = [sample for d in train_documents for sample in task.samples(d, inputs, left_out)]
    if not samples:
        raise LongbioError("there is nothing to learn from", where="data.train")
    steps = recipe.steps(len(samples))

    def collated(chosen: Sequence[Any]) -> dict[str, Tensor]:
        return collate(task, inputs, chosen)

    def summed_loss(model: nn.Module, batch: Any) -> Tensor:
        return task.summed_loss(forward(model, batch), batch)

    def dev_score(model: PreTrainedModel) -> float:
        found = list(predict(model, inputs, task, dev_documents, batch_tokens=machine.batch_tokens))
        return float(task.tuned(dev_documents, found).score(dev_documents, found)["main"])

    stopping = None
    if recipe.patience is not None and dev_documents:
        every = max(1, math.ceil(len(samples) / recipe.batch / recipe.evaluations))
        stopping = EarlyStopping(dev_score, every, recipe.patience)
    on_start(steps)
    start = time.monotonic()
    trained, losses = train_stably(
        model,
        Samples(samples, batch=recipe.batch, steps=steps, seed=seed, group_by_length=recipe.group_by_length),
        collated,
        summed_loss,
        training_settings(recipe, machine, steps, seed),
        work,
        stability or Stability(),
        logits_of=task.logits,
        stopping=stopping,
        on_step=on_step,
    )
    seconds = time.monotonic() - start
    trained.eval()
    predictions = list(predict(trained, inputs, task, dev_documents, batch_tokens=machine.batch_tokens))
    dev: dict[str, Any] | None = None
    if dev_documents:
        task = task.tuned(dev_documents, predictions)
        dev = task.score(dev_documents, predictions)
    report = {
        "task": asdict(task),
        "recipe": asdict(recipe),
        "stability": asdict(stability or Stability()),
        "kernel": _kernel_of(trained, machine),
        "seed": seed,
        "steps": steps,
        "samples": len(samples),
        "left_out": dict(left_out),
        "origin": model_folder.name,
        "dev": dev,
        "dev_has_collapsed": task.has_collapsed(predictions),
        "history": [] if stopping is None else stopping.history,
        "seconds": round(seconds, 1),
        "losses": losses,
    }
    if state.is_main_process:
        with staged_folder(out) as partial:
            save(trained, partial, origin=model_folder)
            tokenizer.save_pretrained(partial)
            write_json(partial / REPORT, report)
            (partial / "README.md").write_text(card.render(report, out.name, trained.config.model_type))
        shutil.rmtree(work, ignore_errors=True)
    state.wait_for_everyone()
    saved: dict[str, Any] = read_json(out / REPORT)
    return saved


def _kernel_of(model: PreTrainedModel, machine: Machine) -> str:
    """The kernel that was asked for, and what `auto` became; a short model has none."""
    if model.config.model_type not in FAMILIES:
        return "none: a short model"
    if machine.kernel != "auto":
        return machine.kernel
    dtype = torch.bfloat16 if machine.precision == "bfloat16" else torch.float32
    chosen = auto_choices(model.device, dtype)
    return "auto: " + ", ".join(dict.fromkeys(chosen.values()))


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


def training_settings(recipe: Recipe, machine: Machine, steps: int, seed: int) -> TrainingSettings:
    """What the one training loop is told of a recipe."""
    return TrainingSettings(
        steps=steps,
        learning_rate=recipe.learning_rate,
        batch=recipe.batch,
        device_batch=machine.device_batch,
        warmup_share=recipe.warmup_share,
        schedule=recipe.schedule,
        optimizer=recipe.optimizer,
        weight_decay=recipe.weight_decay,
        clip=recipe.clip,
        head_factor=recipe.head_factor,
        seed=seed,
        save_steps=machine.save_steps,
        precision=machine.precision,
        gradient_checkpointing=machine.gradient_checkpointing,
    )
