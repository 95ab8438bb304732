"""`learn`: one checkpoint, one recipe, one seed; a native model with its task's head comes out."""

from __future__ import annotations

import math
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from pydantic import TypeAdapter
from transformers import PreTrainedModel, set_seed

import longbio
from longbio.artifacts.atomic_files import read_json, write_json
from longbio.artifacts.staged_folders import staged_folder
from longbio.attention.kernels import auto_choices
from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document
from longbio.encoders.families import is_long
from longbio.encoders.heads import begin_from_pooler
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import load, load_tokenizer
from longbio.encoders.saving import save
from longbio.errors import LongbioError
from longbio.finetuning import card
from longbio.finetuning.sample_order import SampleOrder
from longbio.finetuning.settings import Machine, Recipe
from longbio.finetuning.stability import Stability, train_stably
from longbio.prediction.predictor import predict
from longbio.tasks import AnyTask
from longbio.tasks.task import Prediction, Sample, collate, forward, refuse_without_examples
from longbio.training.processes import processes
from longbio.training.settings import TrainingSettings
from longbio.training.stopping import EarlyStopping
from longbio.training.trainer import OnStep, title_of_run

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
        What is saved as `finetuning.json` in `out`: task, recipe, losses, scores on development documents.

    Raises:
        LongbioError: there is nothing to learn from, or the model has diverged.
    """
    work, state = out.with_name(out.name + ".training"), processes()
    if not (out / REPORT).is_file():
        refuse_without_examples(task, train_documents, "data.train")
        refuse_without_examples(task, dev_documents, "data.dev")
        machine, stability = machine or Machine(), stability or Stability()
        learner = _begin(model_folder, train_documents, dev_documents, task, recipe, machine, seed)
        on_start(learner.steps, title_of_run("", work, learner.steps))
        trained, report = learner.train(stability, work, on_step)
        if state.is_main_process:
            _save(trained, learner.inputs, report, model_folder, out)
    if state.is_main_process:
        shutil.rmtree(work, ignore_errors=True)
    state.wait_for_everyone()
    return read_json(out / REPORT)


@dataclass(frozen=True, eq=False)
class _Learner:
    """A model with a new head, what it learns from, and how."""

    origin: str
    model: PreTrainedModel
    inputs: InputFormat
    task: AnyTask
    samples: Sequence[Sample]
    left_out: PassedOver
    dev_documents: Sequence[Document]
    recipe: Recipe
    machine: Machine
    seed: int

    @property
    def steps(self) -> int:
        return self.recipe.steps(len(self.samples))

    def train(
        self, stability: Stability, work: Path, on_step: OnStep
    ) -> tuple[PreTrainedModel, dict[str, Any]]:
        """The trained model, and what is to be known of its learning."""
        start, recipe, stopping = time.monotonic(), self.recipe, None
        if recipe.patience is not None and self.dev_documents:
            every = max(1, math.ceil(len(self.samples) / recipe.batch / recipe.evaluations))
            stopping = EarlyStopping(self._dev_score, every, recipe.patience)
        trained, losses = train_stably(
            self.model,
            SampleOrder(
                self.samples,
                batch=recipe.batch,
                steps=self.steps,
                seed=self.seed,
                group_by_length=recipe.group_by_length,
            ),
            partial(collate, self.task, self.inputs),
            lambda model, batch: self.task.summed_loss(forward(model, batch), batch),
            TrainingSettings(self.steps, recipe, recipe.batch, self.machine, self.seed),
            work,
            stability,
            logits_of=self.task.logits,
            stopping=stopping,
            on_step=on_step,
        )
        seconds = round(time.monotonic() - start, 1)
        task, predictions = self._tune(trained)
        return trained, {
            "task": asdict(task),
            "recipe": asdict(recipe),
            "stability": asdict(stability),
            "kernel": _kernel_of(trained, self.machine),
            "versions": versions(),
            "seed": self.seed,
            "steps": len(losses),
            "samples": len(self.samples),
            "left_out": dict(self.left_out),
            "left_out_at": self.left_out.places,
            "origin": self.origin,
            "dev": task.score(self.dev_documents, predictions) if predictions else None,
            "dev_has_collapsed": task.has_collapsed(predictions),
            "history": [] if stopping is None else stopping.history,
            "seconds": seconds,
            "losses": losses,
        }

    def _tune(self, model: PreTrainedModel) -> tuple[AnyTask, list[Prediction]]:
        """The task with thresholds tuned on the development documents, and what the model says of these."""
        batch_tokens = self.machine.batch_tokens
        predictions = list(
            predict(model.eval(), self.inputs, self.task, self.dev_documents, batch_tokens=batch_tokens)
        )
        return self.task.tune(self.dev_documents, predictions) if predictions else self.task, predictions

    def _dev_score(self, model: PreTrainedModel) -> float:
        task, predictions = self._tune(model)
        return float(task.score(self.dev_documents, predictions)["main"])


def _begin(
    model_folder: Path,
    train_documents: Sequence[Document],
    dev_documents: Sequence[Document],
    task: AnyTask,
    recipe: Recipe,
    machine: Machine,
    seed: int,
) -> _Learner:
    task = task.learned_from(train_documents)
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
    samples = [sample for document in train_documents for sample in task.samples(document, inputs, left_out)]
    if not samples:
        raise LongbioError("there is nothing to learn from", where="data.train")
    return _Learner(
        model_folder.name, model, inputs, task, samples, left_out, dev_documents, recipe, machine, seed
    )


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
    return TypeAdapter(AnyTask).validate_python(read_json(model_folder / REPORT)["task"])


def inputs_of(model_folder: Path, config: Any) -> InputFormat:
    """The input format of a fine-tuned model, longbio's or another's: rows as long as those that it learned
    from."""
    record = model_folder / REPORT
    recipe = read_json(record)["recipe"] if record.is_file() else {}
    # Others' models have no record, and read all that they can.
    return InputFormat.of(config, load_tokenizer(model_folder), recipe.get("max_tokens"))
