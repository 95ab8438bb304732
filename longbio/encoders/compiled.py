"""What stands between a layer's matrix products, fused by torch's compiler."""

from __future__ import annotations

from typing import Any, cast

from transformers import PreTrainedModel

from longbio.errors import LongbioError


def compile_layers(model: PreTrainedModel) -> None:
    """Compile the feed-forward part of every layer and what follows its attention, in place.

    Casts, biases, activations, residuals and norms become one kernel in place of up to ten. Names and weights
    stay as they are; a copy of the model is not compiled. Lengths may change from batch to batch; one row and
    several, learning and reading, another precision are compiled each, and from the ninth on torch warns and
    runs uncompiled. Raises LongbioError where layers aren't built as BERT's.
    """
    layers = [
        cast("Any", layer)
        for layer in model.modules()
        if all(hasattr(layer, part) for part in ("attention", "intermediate", "output"))
    ]
    if not layers:
        raise LongbioError(
            f"the layers of a {model.config.model_type} aren't built as BERT's, and can't be compiled",
            where="compile",
            remedy="leave it off",
        )
    for layer in layers:
        for part in (layer.attention.output, layer.intermediate, layer.output):
            part.compile(dynamic=True)
