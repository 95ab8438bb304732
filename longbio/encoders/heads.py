"""Weights that a checkpoint lacks: drawn by the model's own rule, or begun as its source's would be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from longbio.artifacts.checkpoints import read_weights
from longbio.corpus.tag_schemes import scheme_of


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


class Regrouped(nn.Module):
    """A classifier whose classes are made of another's: each as likely as its members together.

    Args:
        classifier: (..., hidden size) -> (..., classes).
        groups: of each new class the numbers of the old ones; one of none never wins.
    """

    def __init__(self, classifier: nn.Module, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.classifier, self.groups = classifier, groups

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., groups) logits."""
        logits = self.classifier(hidden)
        never = logits.new_full(logits.shape[:-1], NEVER)
        return torch.stack(
            [logits[..., list(group)].logsumexp(-1) if group else never for group in self.groups], dim=-1
        )


def order_classes(model: Any, names: Mapping[int, str]) -> None:
    """Make of a tagger's classes, of any scheme and in any order, those of these names, in place.

    `names` are O, and B- and I- of each type, by number. Raises ValueError where its own tags are of no known
    scheme.
    """
    tags: dict[int, str] = model.config.id2label
    if tags == names:
        return
    scheme = scheme_of(tags.values())
    if scheme is None:
        raise ValueError("the tags of the model are of no scheme that is known")
    members = [set(scheme.classes_of(names[number])) for number in sorted(names)]
    groups = [[number for number, name in tags.items() if name in group] for group in members]
    model.classifier = Regrouped(model.classifier, groups)
    model.num_labels = len(names)
    model.config.id2label, model.config.label2id = dict(names), {name: n for n, name in names.items()}


@torch.no_grad()
def begin_from_pooler(model: Any, folder: Path) -> bool:
    """Give a Longformer's new head for documents the pooler of its checkpoint.

    A BERT's head reads its pooler, which is pre-trained; a Longformer's has a dense layer of its own in
    the same place, which would begin at random although the checkpoint in `folder` holds the source's pooler.

    Returns:
        Whether there was such a layer, not yet trained, and a pooler for it.
    """
    dense = getattr(getattr(model, "classifier", None), "dense", None)
    if model.config.model_type != "longformer" or dense is None:
        return False
    weights = read_weights(folder)
    if any(name.startswith("classifier.") for name in weights):
        return False
    pooler = {name.split("pooler.dense.")[1]: weights[name] for name in weights if "pooler.dense." in name}
    if pooler.keys() != {"weight", "bias"}:
        return False
    dense.load_state_dict(pooler)
    return True
