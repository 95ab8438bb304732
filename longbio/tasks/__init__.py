"""One file a task: how its records are encoded, decoded and scored."""

from __future__ import annotations

from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.relations import Relations
from longbio.tasks.similarity import Similarity

AnyTask = Entities | Answers | Classes | Relations | Similarity
"""What `kind` chooses in a configuration."""

TASKS: dict[str, type[AnyTask]] = {
    "ner": Entities,
    "qa": Answers,
    "classification": Classes,
    "relations": Relations,
    "similarity": Similarity,
}
