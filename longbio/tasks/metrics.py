"""Entity F1 over whole documents, of exact mentions and types; and of words, as EBM PICO is scored."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from longbio.corpus.records import Relation, Span
from longbio.errors import LongbioError


@dataclass(frozen=True)
class Counts:
    """Mentions (or words) found, missed and made up; precision, recall and F1 follow from them."""

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

    def shares(self) -> dict[str, float]:
        """Precision, recall and F1, ready for JSON."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


def count_entities(
    gold: Iterable[Span | Relation], predicted: Iterable[Span | Relation]
) -> dict[str, Counts]:
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


def count_words(
    gold: Iterable[Span], predicted: Iterable[Span], units: Sequence[tuple[int, int]]
) -> dict[str, Counts]:
    """Compare the words of one document: each is right or wrong for each type by itself.

    A word is of a type where it shares a character with a mention of it; two mentions make it no more
    so. The F1 of EBM PICO in BLURB is `macro_f1` of these counts, over P, I and O.

    Args:
        gold: the true mentions.
        predicted: the mentions found.
        units: (start_char, end_char) of the words, `Document.units`.

    Returns:
        Counts of words by type, for every type that occurs on either side.

    Raises:
        LongbioError: there are mentions, and no words.
    """
    wanted, given = _words_by_type(gold, units), _words_by_type(predicted, units)
    return {label: _compare(wanted.get(label, set()), given.get(label, set())) for label in wanted | given}


def by_type(documents: Sequence[dict[str, Counts]]) -> dict[str, Counts]:
    """Counts summed over documents, by type, in alphabetical order."""
    labels = sorted({label for counts in documents for label in counts})
    return {label: sum((counts.get(label, Counts()) for counts in documents), Counts()) for label in labels}


def micro(counts: dict[str, Counts]) -> Counts:
    """Counts summed over types."""
    return sum(counts.values(), Counts())


def macro_f1(counts: dict[str, Counts]) -> float:
    """Mean F1 of the types; 0 when there is none."""
    return sum(each.f1 for each in counts.values()) / len(counts) if counts else 0.0


def _words_by_type(spans: Iterable[Span], units: Sequence[tuple[int, int]]) -> dict[str, set[int]]:
    starts, ends = [start for start, _ in units], [end for _, end in units]
    words: dict[str, set[int]] = {}
    for span in spans:
        if not units:
            raise LongbioError(
                "the words of the documents aren't known, so they can't be scored",
                remedy="give a corpus of words with tags (format iob)",
            )
        for start_char, end_char in span.fragments:
            touched = range(bisect_right(ends, start_char), bisect_left(starts, end_char))
            words.setdefault(span.label, set()).update(touched)
    return words


def _compare(wanted: set[int], given: set[int]) -> Counts:
    return Counts(len(wanted & given), len(given - wanted), len(wanted - given))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
