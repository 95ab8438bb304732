"""Entity F1 over whole documents: exact mentions, exact types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from longbio.corpus.records import Span


@dataclass(frozen=True)
class Counts:
    """Mentions found, missed and made up; precision, recall and F1 follow from them."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> float:
        """Of the mentions predicted, the share that is right; 0 when none is predicted."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Of the true mentions, the share that is found; 0 when there is none."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _share(
            2 * self.true_positives,
            2 * self.true_positives + self.false_positives + self.false_negatives,
        )


def count_entities(gold: Iterable[Span], predicted: Iterable[Span]) -> dict[str, Counts]:
    """Compare the mentions of one document: same fragments and same type, or wrong.

    Returns:
        Counts by type, for every type that occurs on either side.
    """
    wanted, given = Counter(gold), Counter(predicted)
    counts: dict[str, Counts] = {}
    for span in wanted | given:
        both = min(wanted[span], given[span])
        new = Counts(both, given[span] - both, wanted[span] - both)
        counts[span.label] = counts.get(span.label, Counts()) + new
    return counts


def by_type(documents: Sequence[dict[str, Counts]]) -> dict[str, Counts]:
    """Counts summed over documents, by type, in alphabetical order."""
    labels = sorted({label for counts in documents for label in counts})
    return {label: sum((counts.get(label, Counts()) for counts in documents), Counts()) for label in labels}


def micro(counts: dict[str, Counts]) -> Counts:
    """Counts summed over types."""
    return sum(counts.values(), Counts())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
