"""Saving what training changed, with what it had no part in."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, PreTrainedModel

from longbio.encoders.loading import attention_dropout_name, load


def save(model: PreTrainedModel, folder: Path, *, origin: Path) -> None:
    """Save a task model natively, with the attention dropout its origin's config names."""
    name = attention_dropout_name(model.config.model_type)
    setattr(model.config, name, getattr(AutoConfig.from_pretrained(origin), name))
    model.save_pretrained(folder)


def save_whole(model: PreTrainedModel, folder: Path, *, origin: Path) -> None:
    """Save a masked-LM model as the union of encoder, pooler and head.

    Masked-LM classes have no pooler: saving through them alone would lose the origin's.
    """
    prefix = model.base_model_prefix
    state = model.state_dict()
    encoder = load(origin).state_dict()
    rest = {f"{prefix}.{name}": weight for name, weight in encoder.items()}
    name = attention_dropout_name(model.config.model_type)
    setattr(model.config, name, getattr(AutoConfig.from_pretrained(origin), name))
    model.save_pretrained(folder, state_dict=rest | state)
