"""Training settings from a flat list of names, as tests like to change them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from longbio.training.settings import Learning, Machine, TrainingSettings


def settings_of(**flat: Any) -> TrainingSettings:
    """`TrainingSettings`; `learning_rate`, `precision` and the like find their place by themselves."""
    learning, machine = (
        kind(**{field.name: flat.pop(field.name) for field in fields(kind) if field.name in flat})
        for kind in (Learning, Machine)
    )
    return TrainingSettings(learning=learning, machine=machine, **flat)
