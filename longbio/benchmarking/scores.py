"""One number over many tasks, as a suite defines it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal


@dataclass(frozen=True)
class Score:
    """A mean over groups of tasks, each the mean of its own.

    Args:
        name: for people.
        groups: tasks by group.
    """

    name: str
    groups: Mapping[str, tuple[str, ...]]


SCORES: dict[Literal["blurb"], Score] = {
    # Gu et al. 2021, table 2: six kinds of task count the same, however many sets they have.
    "blurb": Score(
        "BLURB score",
        {
            "entities": ("bc5-chem", "bc5-disease", "ncbi-disease", "bc2gm", "jnlpba"),
            "PICO": ("ebm-pico",),
            "relations": ("chemprot", "ddi", "gad"),
            "similarity": ("biosses",),
            "documents": ("hoc",),
            "questions": ("pubmedqa", "bioasq"),
        },
    )
}


def score_over_tasks(means: Mapping[str, float], score: Literal["blurb"]) -> float | None:
    """The score of an arm.

    Args:
        means: of its tasks, by their names.
        score: which.

    Returns:
        None when a task is missing: a score of fewer tasks is another score.
    """
    groups = SCORES[score].groups.values()
    if any(name not in means for group in groups for name in group):
        return None
    return fmean(fmean(means[name] for name in group) for group in groups)
