"""Weights that a checkpoint lacks: drawn by the model's own rule, or begun as its source's would be."""

from __future__ import annotations

from collections.abc import Iterable
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
