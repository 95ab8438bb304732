"""One file a task: how its records are encoded, decoded and scored."""

from __future__ import annotations

from longbio.tasks.ner import Entities

AnyTask = Entities

TASKS: dict[str, type[AnyTask]] = {"ner": Entities}
"""By the `kind` in a configuration."""
