"""Which weights learn how fast, and the optimizer they are given to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from longbio.errors import LongbioError
from longbio.training.requirements import refuse_optimizer
from longbio.training.settings import TrainingSettings

Group = dict[str, Any]
"""What torch's optimizers call a parameter group. One with `bias_correction` False asks for Adam without."""


def parameter_groups(
    model: PreTrainedModel, settings: TrainingSettings, factors: Mapping[int, float] | None = None
) -> list[Group]:
    """The weights that learn, by rate and decay; biases and LayerNorms don't decay.

    Args:
        model: weights without `requires_grad` are in no group.
        settings: the rate, the decay, and how much faster the head learns: what is outside the encoder,
            and the pooler. Other families have that layer in their heads, a Longformer made from a
            BERT among them (`encoders.heads.begin_from_pooler`).
        factors: of the rate, by the `id` of a weight; 1 for a weight that isn't there.
    """
    pooler = getattr(model.base_model, "pooler", None)
    encoder = {id(weight) for weight in model.base_model.parameters()}
    encoder -= {id(weight) for weight in pooler.parameters()} if pooler is not None else set()
    groups: dict[tuple[bool, float, bool], Group] = {}
    for weight in model.parameters():
        if not weight.requires_grad:
            continue
        in_encoder, decays = id(weight) in encoder, weight.dim() > 1
        factor = (factors or {}).get(id(weight), 1.0) * (1.0 if in_encoder else settings.learning.head_factor)
        new = {
            "params": [],
            "lr": settings.learning.learning_rate * factor,
            "weight_decay": settings.learning.weight_decay if decays else 0.0,
        }
        groups.setdefault((in_encoder, factor, decays), new)["params"].append(weight)
    return list(groups.values())


def make_optimizer(settings: TrainingSettings, groups: Sequence[Group]) -> torch.optim.Optimizer:
    """The optimizer that the settings name, over these groups.

    Raises:
        LongbioError: it isn't installed, or can't do without bias correction.
    """
    corrected = all(group.get("bias_correction", True) for group in groups)
    if settings.learning.optimizer == "adamw":
        return torch.optim.AdamW(groups, fused=True) if corrected else UncorrectedAdamW(groups)
    if not corrected:
        raise LongbioError(
            "stable-adamw always corrects its bias",
            where="bias_correction",
            remedy="leave it on, or choose optimizer adamw",
        )
    refuse_optimizer(settings.learning.optimizer)
    from optimi import StableAdamW

    rate = settings.learning.learning_rate
    return StableAdamW(list(groups), lr=rate, decouple_lr=False)


class UncorrectedAdamW(torch.optim.Optimizer):
    """Adam with decoupled decay and without bias correction, which BERT was released with.

    Its averages start at zero and are taken as they are, so that a first step is 0.1 / sqrt(0.001) = 3.16
    times the learning rate. On small sets that costs stability (Mosbach et al. 2021, Zhang et al. 2021): here
    to reproduce what was done. The epsilon is BERT's own.
    """

    def __init__(
        self, groups: Sequence[Group], betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-6
    ) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": 0.0, "betas": betas, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # returns no loss
        """Move every weight that has a gradient."""
        assert closure is None, "the training loop computes its gradients itself"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)

    def _move(self, weight: nn.Parameter, group: Group) -> None:
        state = self.state[weight]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        assert weight.grad is not None
        of_mean, of_square = group["betas"]
        state["mean"].lerp_(weight.grad, 1 - of_mean)
        state["square"].mul_(of_square).addcmul_(weight.grad, weight.grad, value=1 - of_square)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.addcdiv_(state["mean"], state["square"].sqrt().add_(group["epsilon"]), value=-group["lr"])
