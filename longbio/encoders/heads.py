"""Weights that a checkpoint lacks: drawn by the model's own rule, or begun as its source's would be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from longbio.artifacts.checkpoints import read_weights


@torch.no_grad()
def initialise(model: Any, modules: Iterable[nn.Module]) -> None:
    """Draw modules' own weights, not those of modules within them, by the model's rule and from torch's
    generator."""
    for module in modules:
        for weight in module.parameters(recurse=False):
            # Transformers marks what it has loaded, and its rule leaves that alone.
            weight._is_hf_initialized = False  # type: ignore[attr-defined]  # a mark of its own
        model._init_weights(module)


NEVER = -1e4
"""The logit of a class that a head doesn't have; half precision holds it."""


@torch.no_grad()
def order_classes(model: Any, names: Mapping[int, str]) -> None:
    """Give a token classifier's outputs the order of these names, which its `id2label` need not have.

    Args:
        model: with a linear `classifier`; changed in place, and its config with it. A class that it lacks
            gets an output that never wins.
        names: all of its classes, by their new numbers.
    """
    if model.config.id2label == names:
        return
    numbers = {name: number for number, name in model.config.id2label.items()}
    old = model.classifier
    new = nn.Linear(old.in_features, len(names), device=old.weight.device, dtype=old.weight.dtype)
    new.weight.zero_()
    new.bias.fill_(NEVER)
    for number, name in names.items():
        if name in numbers:
            new.weight[number] = old.weight[numbers[name]]
            new.bias[number] = 0.0 if old.bias is None else old.bias[numbers[name]]
    model.classifier = new
    model.num_labels = len(names)
    model.config.id2label, model.config.label2id = dict(names), {name: n for n, name in names.items()}


@torch.no_grad()
def begin_from_pooler(model: Any, folder: Path) -> bool:
    """Give a Longformer's new head for documents the pooler of its checkpoint.

    A BERT's head reads its pooler, which is pre-trained; a Longformer's has a dense layer of its own in
    the same place, which would begin at random although the checkpoint holds the source's pooler.

    Args:
        model: a sequence classifier, loaded from `folder`; changed in place.
        folder: of the checkpoint, its head not trained yet.

    Returns:
        Whether there was such a layer and a pooler for it.
    """
    dense = getattr(getattr(model, "classifier", None), "dense", None)
    if model.config.model_type != "longformer" or dense is None:
        return False
    weights = read_weights(folder)
    if any(name.startswith("classifier.") for name in weights):
        return False
    found = {name.split("pooler.dense.")[1]: weights[name] for name in weights if "pooler.dense." in name}
    if found.keys() != {"weight", "bias"}:
        return False
    dense.load_state_dict(found)
    return True
