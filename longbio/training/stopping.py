"""Early stopping: the weights that score best on development data are kept."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor
from transformers import PreTrainedModel

from longbio.errors import LongbioError
from longbio.training.averaging import put_weights, weights_of


@dataclass
class EarlyStopping:
    """Scores a model while it learns; `train` ends with the weights that scored best.

    The best weights are in main memory and in every checkpoint. Of equal scores the first counts.

    Args:
        evaluate: the score of a model in evaluation mode, the higher the better. It may draw random
            numbers: training goes on as if it hadn't. Where several processes train, each calls it, and
            the main one's score counts.
        every_steps: between two evaluations; the last step is always evaluated.
        patience: evaluations without a better score after which training ends; None to go on to
            the last step.

    Attributes:
        history: (step, score) of every evaluation, those before an interruption included.

    Raises:
        ValueError: `every_steps` or `patience` is below 1.
    """

    evaluate: Callable[[PreTrainedModel], float]
    every_steps: int
    patience: int | None = None
    history: list[tuple[int, float]] = field(default_factory=list, init=False)
    best: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.every_steps < 1 or (self.patience is not None and self.patience < 1):
            raise ValueError("every_steps and patience are above 0")

    @property
    def best_step(self) -> int:
        """The step whose weights scored best."""
        return max(self.history, key=lambda entry: entry[1])[0]

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        steps = [step for step, _ in self.history]
        return self.patience is not None and len(steps) - 1 - steps.index(self.best_step) >= self.patience

    def is_due(self, step: int, steps: int) -> bool:
        """Whether step number `step` of `steps` is followed by an evaluation."""
        return step % self.every_steps == 0 or step == steps

    def look(self, model: PreTrainedModel, step: int) -> None:
        """Score the model, and keep its weights when they are the best so far.

        Raises:
            LongbioError: the score is no number.
        """
        with _evaluating(model), torch.no_grad():
            # One process decides for all: they stop together.
            scores = [float(self.evaluate(model))]
            broadcast_object_list(scores)
        if not math.isfinite(scores[0]):
            raise LongbioError(
                f"the development score is {scores[0]} after step {step}",
                remedy="lower the learning rate, or look at the development documents",
            )
        self.history.append((step, scores[0]))
        if self.best_step == step:
            weights = weights_of(model)
            self.best = {name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()}

    def put_into(self, model: PreTrainedModel) -> None:
        """Give the model the weights that scored best."""
        put_weights(self.best, model)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"history": self.history, "best": self.best}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from what a checkpoint kept; None to begin."""
        self.history, self.best = (state["history"], state["best"]) if state else ([], {})


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode in the body; then every module's own, and the random numbers of before."""
    modes = [(module, module.training) for module in model.modules()]
    of_python, of_numpy = random.getstate(), np.random.get_state()
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        model.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            random.setstate(of_python)
            np.random.set_state(of_numpy)
