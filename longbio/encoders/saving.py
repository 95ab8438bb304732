"""Saving what training changed, together with what it didn't touch."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, PreTrainedModel

from longbio.artifacts.checkpoints import read_weights
from longbio.encoders.families import dropout_names
from longbio.encoders.loading import load


def save(model: PreTrainedModel, folder: Path, *, origin: Path) -> None:
    """Save a task model natively, with the dropout its origin's config names."""
    _restore_dropout(model, origin)
    model.save_pretrained(folder)


def save_whole(model: PreTrainedModel, folder: Path, *, origin: Path) -> None:
    """Save a masked-LM model as the union of encoder, pooler and head.

    Most masked-LM classes have no pooler: saving through them alone would lose the origin's. Where the
    origin has none, none is saved: it would be random.
    """
    _restore_dropout(model, origin)
    encoder = load(origin, dtype=model.dtype).state_dict()
    has_pooler = any("pooler." in name for name in read_weights(origin))
    rest = {
        f"{model.base_model_prefix}.{name}": weight
        for name, weight in encoder.items()
        if has_pooler or not name.startswith("pooler.")
    }
    model.save_pretrained(folder, state_dict=rest | model.state_dict())


def _restore_dropout(model: PreTrainedModel, origin: Path) -> None:
    config = AutoConfig.from_pretrained(origin)
    for name in dropout_names(model.config.model_type):
        setattr(model.config, name, getattr(config, name))
