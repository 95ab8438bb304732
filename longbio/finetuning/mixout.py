"""Mixout (Lee et al. 2020): while a model learns, some of its weights are their pre-trained values.

Of a weight w with pre-trained value u, training sees u + dropout(w - u): with probability p it is
u, else it is moved away from u by (w - u) / (1 - p), so that its expectation is w. Evaluation sees w.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.functional import dropout


class MixedLinear(nn.Linear):
    """A linear layer under mixout. Its state dict is that of any linear layer.

    The draws come from torch's generator, anew in each forward pass; gradient checkpointing
    repeats them.
    """

    probability: float
    pretrained: Tensor

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # a parameter, read as a property
        """The weight that this forward pass sees; the parameter itself in evaluation mode.

        A property, because a Longformer's few global tokens read the weight and not the layer.
        """
        learned = self._parameters["weight"]
        assert learned is not None
        if not self.training:
            return learned
        return self.pretrained + dropout(learned - self.pretrained, self.probability)


def install(modules: Iterable[nn.Module], probability: float) -> None:
    """Put the linear layers within these modules under mixout, their weights now being the
    pre-trained ones. Biases and layers that don't learn are left as they are."""
    for module in modules:
        for linear in module.modules():
            if type(linear) is nn.Linear and linear.weight.requires_grad:
                pretrained = linear.weight.detach().clone()
                linear.__class__ = MixedLinear
                linear.probability = probability  # type: ignore[assignment]  # its class has just changed
                linear.register_buffer("pretrained", pretrained, persistent=False)


def remove(model: nn.Module) -> None:
    """Make plain linear layers of those under mixout; they keep what they have learned."""
    for module in model.modules():
        if isinstance(module, MixedLinear):
            del module.pretrained, module.probability
            module.__class__ = nn.Linear  # type: ignore[assignment]  # back to the class it had
