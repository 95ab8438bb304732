"""`train`: steps of any summed loss, resumed from the last checkpoint that is whole."""

from __future__ import annotations

import copy
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import torch
import transformers
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from longbio.artifacts.atomic_files import name_full_disk, read_json, sha256_of, write_json
from longbio.encoders.compiled import compile_layers
from longbio.errors import LongbioError
from longbio.training.averaging import Average
from longbio.training.optimizers import Group, make_optimizer, parameter_groups
from longbio.training.processes import processes, refuse_sharded, several_without_gpu, weights_are_sharded
from longbio.training.requirements import refuse_precision
from longbio.training.settings import TrainingSettings
from longbio.training.stopping import EarlyStopping

SummedLoss = Callable[[nn.Module, Mapping[str, Any]], Tensor]
OnStep = Callable[[int, float], None]
"""Called after each step with its number and its loss, nats per item."""

SCHEDULERS: dict[str, str] = {
    "constant": "constant_with_warmup",
    "linear": "linear",
    "cosine": "cosine",
    "polynomial": "polynomial",
    "1-sqrt": "warmup_stable_decay",
}
"""What transformers calls them."""

CHECKPOINTING = next(
    name
    for name in ("activation_checkpointing", "gradient_checkpointing")
    if name in transformers.TrainingArguments.__dataclass_fields__
)
"""What transformers calls it, in this version."""

WHOLE = "whole.json"
"""Written into a checkpoint as its last file, with the hashes of the others: Trainer saves in place
and may be killed there."""

BESIDE = "beside.pt"
"""In a checkpoint: the running average of the weights, and what early stopping knows."""


SAVE_SECONDS = 120.0
"""A checkpoint is written after so many seconds of learning at the latest."""

DIVERGED = "start again in another folder with a lower learning rate; the checkpoints before are kept"


class Trainer(transformers.Trainer):
    """Divides a summed loss by the items of the whole accumulated batch, over all processes."""

    def __init__(
        self,
        *,
        summed_loss: SummedLoss,
        settings: TrainingSettings,
        groups: Sequence[Group] | None = None,
        beside: Mapping[str, Average | EarlyStopping] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.summed_loss, self.settings = summed_loss, settings
        self.groups, self.beside = groups, beside or {}
        if self.is_fsdp_enabled:
            _name_the_bias_once(self.model)
        # The stock models take **kwargs and ignore the count in them: it is ours to divide by.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Ours; made when Trainer asks for it, because FSDP wants to be asked first."""
        if self.optimizer is None:
            assert isinstance(self.model, PreTrainedModel)
            groups = self.groups or parameter_groups(self.model, self.settings)
            self.optimizer = make_optimizer(self.settings, groups)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Loss in nats per item, an item being a label that isn't -100."""
        assert not return_outputs, "evaluation goes through longbio's own functions"
        if num_items_in_batch is None:
            num_items_in_batch = (inputs["labels"] != -100).sum()
        loss = self.summed_loss(model, inputs) / torch.as_tensor(num_items_in_batch).clamp(min=1)
        if not loss.isfinite():
            self._has_diverged(f"the loss is {loss.item()} in step {self.state.global_step + 1}")
        return loss * self.accelerator.num_processes

    def _has_diverged(self, what: str) -> NoReturn:
        raise LongbioError(what, where=str(self.args.output_dir), remedy=DIVERGED)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if not all(weight.isfinite().all() for weight in model.parameters()):
            self._has_diverged(f"weights are no numbers after step {self.state.global_step}")
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if self.beside:
                torch.save({name: kept.state() for name, kept in self.beside.items()}, folder / BESIDE)
            files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != WHOLE)
            write_json(folder / WHOLE, {str(path.relative_to(folder)): sha256_of(path) for path in files})


class _SavedByTime(transformers.TrainerCallback):
    """Saves now and then where steps are few and slow, besides every so many steps."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.save_strategy == "no" or state.global_step >= state.max_steps:
            return
        is_due = [time.monotonic() - self.last >= SAVE_SECONDS]
        if processes().num_processes > 1:
            broadcast_object_list(is_due)  # they save together, by one clock
        control.should_save |= is_due[0]

    # Seconds that saving takes don't count: a slow disk leaves time to learn.
    on_save = on_train_begin


class _AfterSteps(transformers.TrainerCallback):
    """Tells of steps, averages weights, and scores what would be returned now: the average once there is
    one."""

    def __init__(self, average: Average | None, stopping: EarlyStopping | None, on_step: OnStep) -> None:
        self.average, self.stopping, self.on_step = average, stopping, on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.on_step(state.global_step, float(logs["loss"]))

    def on_step_end(
        self, args: Any, state: Any, control: Any, model: PreTrainedModel | None = None, **_: Any
    ) -> None:
        assert model is not None
        if self.average is not None:
            self.average.add(model, state.global_step)
        if self.stopping is None or not self.stopping.is_due(state.global_step, state.max_steps):
            return
        with nullcontext() if self.average is None else self.average.in_place(model):
            self.stopping.look(model, state.global_step)
        if self.stopping.is_over:
            control.should_training_stop = True
            # Trainer would go on from this one. From the one before it ends here again.
            control.should_save = False


def train(
    model: PreTrainedModel,
    samples: Dataset[Any],
    collate: Callable[[Sequence[Any]], dict[str, Tensor]],
    summed_loss: SummedLoss,
    settings: TrainingSettings,
    folder: Path,
    on_step: OnStep = lambda step, loss: None,
    callbacks: Sequence[transformers.TrainerCallback] = (),
    *,
    groups: Sequence[Group] | None = None,
    average_last: float = 0.0,
    stopping: EarlyStopping | None = None,
) -> tuple[PreTrainedModel, list[float]]:
    """Train a model; what a killed run left in `folder` is taken up again.

    Args:
        model: weights with `requires_grad` learn, in place.
        samples: as many as the run needs, in its order.
        collate: samples to a batch with `labels`, -100 where nothing is learned.
        summed_loss: the loss of a batch, summed over its items.
        settings: how long and how fast.
        folder: where checkpoints are kept. They are the caller's to delete.
        on_step: told of every step.
        callbacks: told of everything.
        groups: weights with rates of their own; `optimizers.parameter_groups` when None.
        average_last: share of the steps whose weights are averaged; 0 for the last weights.
        stopping: scores the model now and then, the averaged weights once there are some.

    Returns:
        The trained model, with the weights that scored best when `stopping` is given, and the loss of every
        step, nats per item, those before an interruption included. The model is the one given; where FSDP or
        DeepSpeed divide its weights, a copy that is whole in the main process.

    Raises:
        LongbioError: the batch can't be divided, the model diverges, the disk is full, the optimizer isn't
            there, divided weights shall be averaged or scored, or the checkpoint knows no average or scores.
    """
    average = Average.of_last(average_last, settings.steps) if average_last else None
    trainer = Trainer(
        summed_loss=summed_loss,
        settings=settings,
        groups=groups,
        beside=_beside(average, stopping),
        model=model,
        args=_arguments(settings, folder),
        train_dataset=samples,
        data_collator=collate,
        # Early stopping comes second: it has the last word on what is saved.
        callbacks=[_SavedByTime(), _AfterSteps(average, stopping, on_step), *callbacks],
    )
    trained = copy.deepcopy(model) if weights_are_sharded() else model
    if settings.machine.compile:
        compile_layers(model)
    _run(trainer, folder)
    if trained is not model:
        _gather_weights(trainer, trained)
    for kept in trainer.beside.values():
        kept.put_into(trained)
    return trained.eval(), [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def _beside(average: Average | None, stopping: EarlyStopping | None) -> dict[str, Average | EarlyStopping]:
    """What checkpoints keep beside the model, by name."""
    beside: dict[str, Average | EarlyStopping] = {}
    if average is not None:
        beside["average"] = average
    if stopping is not None:
        beside["stopping"] = stopping
    if beside:
        refuse_sharded("averaging and early stopping need")
    return beside


def _run(trainer: Trainer, folder: Path) -> None:
    trainer.remove_callback(transformers.PrinterCallback)
    deepspeed = trainer.accelerator.state.deepspeed_plugin
    if deepspeed is not None and deepspeed.zero_stage == 3:
        # It makes loading a checkpoint something that all processes must do together.
        raise LongbioError(
            "DeepSpeed's ZeRO stage 3 isn't supported",
            where="zero_stage",
            remedy="choose stage 2, or configs/accelerate/fsdp2.yaml, which divides the weights too",
        )
    checkpoint = last_whole_checkpoint(folder)
    _restore(trainer.beside, checkpoint)
    with name_full_disk(folder):
        trainer.train(resume_from_checkpoint=checkpoint)


def _arguments(settings: TrainingSettings, folder: Path) -> transformers.TrainingArguments:
    """What transformers' Trainer is told."""
    refuse_precision(settings.machine.precision)
    device_batch, passes = settings.passes(processes().num_processes)
    warmup_steps = round(settings.learning.warmup_share * settings.steps)
    schedules: dict[str, dict[str, Any]] = {
        "polynomial": {"power": settings.learning.power},
        "1-sqrt": {"num_decay_steps": settings.steps - warmup_steps, "decay_type": "1-sqrt"},
    }
    checkpointing: dict[str, Any] = {CHECKPOINTING: True} if settings.machine.gradient_checkpointing else {}
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        # It makes the processes' state anew, and would forget that they talk through gloo.
        use_cpu=several_without_gpu(),
        max_steps=settings.steps,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=passes,
        learning_rate=settings.learning.learning_rate,
        warmup_steps=warmup_steps,
        lr_scheduler_type=SCHEDULERS[settings.learning.schedule],
        lr_scheduler_kwargs=schedules.get(settings.learning.schedule, {}),
        weight_decay=settings.learning.weight_decay,
        seed=settings.seed,
        bf16=settings.machine.precision == "bfloat16",
        save_strategy="no" if settings.machine.save_steps is None else "steps",
        save_steps=settings.machine.save_steps or 0,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        max_grad_norm=settings.learning.clip,
        **checkpointing,
        dataloader_num_workers=settings.machine.workers,
        # The dataset is in the order of the run: sample n of it is sample n of training.
        train_sampling_strategy="sequential",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # Several GPUs in one process would be torch's DataParallel, which our batches don't divide for.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def _gather_weights(trainer: Trainer, model: PreTrainedModel) -> None:
    """Give the main process's model the weights that the processes have divided."""
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.accelerator.is_main_process:
        model.load_state_dict(weights, strict=False)


def _restore(beside: Mapping[str, Average | EarlyStopping], checkpoint: str | None) -> None:
    """Give the average and early stopping back what the checkpoint kept of them."""
    file = Path(checkpoint or "") / BESIDE
    states = torch.load(file, map_location="cpu") if checkpoint and file.is_file() else {}
    for name, kept in beside.items():
        if checkpoint and name not in states:
            raise LongbioError(
                f"the run was begun without {name}", where=file.parent, remedy="start again in another folder"
            )
        kept.restore(states.get(name))


def _name_the_bias_once(model: Any) -> None:
    """Masked-LM heads name their decoder's bias a second time, beside the decoder; FSDP takes the
    decoder apart from what is around it, and refuses a weight that stands in both."""
    decoder = model.get_output_embeddings()
    bias = getattr(decoder, "bias", None)
    for prefix, module in model.named_modules():
        if bias is not None and module is not decoder and module._parameters.get("bias") is bias:
            del module._parameters["bias"]
            second = f"{prefix}.bias"
            tied = model.all_tied_weights_keys.items()
            model.all_tied_weights_keys = {name: source for name, source in tied if source != second}


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint whose files are all as they were written; damaged ones are deleted.

    Returns:
        Its path, or None when there is nothing to go on from.
    """
    state = processes()
    with state.main_process_first():
        named = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
        for path in sorted(named, key=_step_of, reverse=True):
            if not state.is_main_process or _is_whole(path):
                return str(path)
            shutil.rmtree(path)
    return None


def steps_done(folder: Path) -> int:
    """The step after which a run that left checkpoints in a folder is taken up; 0 where it begins."""
    checkpoint = last_whole_checkpoint(folder)
    return 0 if checkpoint is None else _step_of(Path(checkpoint))


def title_of_run(title: str, folder: Path, steps: int) -> str:
    """The title of a run that was begun before, with the step where it goes on."""
    was_begun, done = folder.is_dir(), steps_done(folder)  # asked of all processes that train together
    if not was_begun:
        return title
    if not done:
        return f"{title}, from the start: it was stopped before anything was saved"
    return f"{title}, goes on after step {done:,} of {steps:,}"


def _step_of(path: Path) -> int:
    return int(path.name.split("-")[1])


def _is_whole(folder: Path) -> bool:
    """Whether every file is there with the hash it was written with."""
    if not (folder / WHOLE).is_file():
        return False
    try:
        hashes = read_json(folder / WHOLE)
        return all(sha256_of(folder / name) == digest for name, digest in hashes.items())
    except (LongbioError, OSError):
        return False
