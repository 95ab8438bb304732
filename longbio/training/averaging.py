"""The mean of the weights of the last steps: stochastic weight averaging (Izmailov et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def weights_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that training changes, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


class Average:
    """A running mean of the weights that learn, from a first step on: one more copy of them on their
    device."""

    def __init__(self, first_step: int) -> None:
        self.first_step = first_step
        self.count = 0
        self.mean: dict[str, Tensor] = {}

    @classmethod
    def of_last(cls, share: float, steps: int) -> Average:
        """The mean over this share of all steps, of the last one at least."""
        return cls(steps - max(1, round(share * steps)) + 1)

    @torch.no_grad()
    def add(self, model: nn.Module, step: int) -> None:
        """Take the weights after a step in, if it is one that counts."""
        if step < self.first_step:
            return
        self.count += 1
        for name, weight in weights_of(model).items():
            if self.count == 1:
                self.mean[name] = weight.detach().clone()
            else:
                mean = self.mean[name].to(weight.device)
                self.mean[name] = mean.lerp_(weight, 1 / self.count)

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """The model has the mean as its weights, if there is one yet; its own again afterwards."""
        before = {name: weight.detach().clone() for name, weight in weights_of(model).items() if self.count}
        self.put_into(model)
        try:
            yield
        finally:
            put_weights(before, model)

    def put_into(self, model: nn.Module) -> None:
        """Give the model the mean for good, if there is one."""
        put_weights(self.mean, model)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"count": self.count, "mean": self.mean}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from what a checkpoint kept; None to begin."""
        self.count, self.mean = (state["count"], state["mean"]) if state else (0, {})


@torch.no_grad()
def put_weights(weights: dict[str, Tensor], model: nn.Module) -> None:
    """Copy weights into a model by their names."""
    parameters = dict(model.named_parameters())
    for name, weight in weights.items():
        parameters[name].copy_(weight)
