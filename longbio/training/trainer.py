"""`train`: steps of any summed loss, resumed from the last checkpoint that is whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from longbio.artifacts.files import write_text_atomically

SummedLoss = Callable[[nn.Module, Mapping[str, Any]], Tensor]
OnStep = Callable[[int, float], None]
"""Called after each step with its number and its loss, nats per item."""

WHOLE = "whole"
"""Written into a checkpoint as its last file: Trainer saves in place and may be killed there."""


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to learn.

    Args:
        steps: optimizer steps.
        learning_rate: the peak.
        batch: samples a step.
        warmup_share: of the steps, during which the rate rises from 0.
        schedule: what the rate does after it, a name of transformers' schedulers.
        weight_decay: AdamW's.
        head_factor: how much faster the weights outside the encoder learn: a head that starts at
            random has further to go than an encoder that is pre-trained.
        seed: of dropout; the samples have their own.
        save_steps: steps between two checkpoints.
        precision: `float32`, or `bfloat16` for autocast.
    """

    steps: int
    learning_rate: float
    batch: int = 1
    warmup_share: float = 0.1
    schedule: str = "linear"
    weight_decay: float = 0.01
    head_factor: float = 1.0
    seed: int = 0
    save_steps: int = 100
    precision: Literal["float32", "bfloat16"] = "float32"


class Trainer(transformers.Trainer):
    """Divides a summed loss by the items of the whole accumulated batch, over all processes."""

    def __init__(self, *, summed_loss: SummedLoss, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.summed_loss = summed_loss
        # The stock models take **kwargs and ignore the count in them: it is ours to divide by.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True

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
        return loss * self.accelerator.num_processes

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        write_text_atomically(folder / WHOLE, f"{self.state.global_step}\n")


class _Steps(transformers.TrainerCallback):
    def __init__(self, on_step: OnStep) -> None:
        self.on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.on_step(state.global_step, float(logs["loss"]))


def train(
    model: PreTrainedModel,
    samples: Dataset[Any],
    collate: Callable[[Sequence[Any]], dict[str, Tensor]],
    summed_loss: SummedLoss,
    settings: TrainingSettings,
    folder: Path,
    on_step: OnStep = lambda step, loss: None,
) -> list[float]:
    """Train a model in place; what a killed run left in `folder` is taken up again.

    Args:
        model: weights with `requires_grad` learn.
        samples: as many as the run needs, in its order.
        collate: samples to a batch with `labels`, -100 where nothing is learned.
        summed_loss: the loss of a batch, summed over its items.
        settings: how long and how fast.
        folder: where checkpoints are kept. They are the caller's to delete.
        on_step: told of every step.

    Returns:
        The loss of every step, nats per item, those before an interruption included.
    """
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup_share * settings.steps),
        lr_scheduler_type=settings.schedule,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        bf16=settings.precision == "bfloat16",
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=1,
        # The dataset is in the order of the run: sample n of it is sample n of training.
        train_sampling_strategy="sequential",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    trainer = Trainer(
        summed_loss=summed_loss,
        model=model,
        args=arguments,
        train_dataset=samples,
        data_collator=collate,
        callbacks=[_Steps(on_step)],
        optimizers=(_optimizer(model, settings), None),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder))
    model.eval()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def _optimizer(model: PreTrainedModel, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW; biases and LayerNorms don't decay, and the head has a rate of its own."""
    encoder = {id(weight) for weight in model.base_model.parameters()}
    groups = []
    for in_encoder, rate in ((True, 1.0), (False, settings.head_factor)):
        for decays in (True, False):
            weights = [
                weight
                for weight in model.parameters()
                if weight.requires_grad
                and (id(weight) in encoder) == in_encoder
                and (weight.dim() > 1) == decays
            ]
            decay = settings.weight_decay if decays else 0.0
            groups.append({"params": weights, "lr": settings.learning_rate * rate, "weight_decay": decay})
    return torch.optim.AdamW([group for group in groups if group["params"]])


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; damaged ones are deleted.

    Returns:
        Its path, or None when there is nothing to go on from.
    """
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    for path in found:
        if not (path / WHOLE).is_file():
            shutil.rmtree(path)
    whole = [path for path in found if path.is_dir()]
    return str(max(whole, key=lambda path: int(path.name.split("-")[1]))) if whole else None
