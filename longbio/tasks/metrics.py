"""Entity F1 over whole documents, of exact mentions and types; and of words, as EBM PICO is scored."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longbio.corpus.records import Relation, Span
from longbio.errors import LongbioError


class Counts(NamedTuple):
    """Mentions (or words) found, made up and missed; precision, recall and F1 follow from them."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Counts) -> Counts:  # type: ignore[override]  # no longer tuple
        return Counts(*map(int.__add__, self, other))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return self.shares()["f1"]

    def shares(self) -> dict[str, float]:
        """Precision, recall and F1, ready for JSON."""
        right = self.true_positives
        return shares(right, right + self.false_positives, right + self.false_negatives)


def shares(right: float, predicted: int, gold: int) -> dict[str, float]:
    """Precision, recall and F1 of what is right, predicted and there, ready for JSON; a share of nothing is
    0."""
    parts = {"precision": (right, predicted), "recall": (right, gold), "f1": (2 * right, predicted + gold)}
    return {name: part / whole if whole else 0.0 for name, (part, whole) in parts.items()}


def count_entities(
    gold: Iterable[Span | Relation], predicted: Iterable[Span | Relation]
) -> dict[str, Counts]:
    """Compare the mentions of one document: same fragments and same type, or wrong. Counts by type, for every
    type that occurs on either side."""
    gold_counts, predicted_counts = Counter(gold), Counter(predicted)
    counts: dict[str, Counts] = {}
    for span in gold_counts | predicted_counts:
        both = min(gold_counts[span], predicted_counts[span])
        new = Counts(both, predicted_counts[span] - both, gold_counts[span] - both)
        counts[span.label] = counts.get(span.label, Counts()) + new
    return counts


def count_words(
    gold: Iterable[Span], predicted: Iterable[Span], units: Sequence[tuple[int, int]]
) -> dict[str, Counts]:
    """Compare the words of one document: each is right or wrong for each type by itself.

    A word is of a type where it shares a character with a mention of it; two mentions make it no more so. The
    F1 of EBM PICO in BLURB is `macro_f1` of these counts, over P, I and O.

    Args:
        gold: the true mentions.
        predicted: the mentions found.
        units: (start_char, end_char) of the words, `Document.units`.

    Returns:
        Counts of words by type, for every type that occurs on either side.

    Raises:
        LongbioError: there are mentions, and no words.
    """
    true_words, predicted_words = _words_by_type(gold, units), _words_by_type(predicted, units)
    counts = {}
    for label in true_words | predicted_words:
        true, guessed = true_words.get(label, set()), predicted_words.get(label, set())
        counts[label] = Counts(len(true & guessed), len(guessed - true), len(true - guessed))
    return counts


def by_type(documents: Sequence[dict[str, Counts]]) -> dict[str, Counts]:
    """Counts summed over documents, by type, in alphabetical order."""
    labels = sorted({label for counts in documents for label in counts})
    return {label: sum((counts.get(label, Counts()) for counts in documents), Counts()) for label in labels}


def micro(counts: dict[str, Counts]) -> Counts:
    """Counts summed over types."""
    return sum(counts.values(), Counts())


def macro_f1(counts: dict[str, Counts]) -> float:
    """Mean F1 of the types; 0 when there is none."""
    return sum(matches.f1 for matches in counts.values()) / len(counts) if counts else 0.0


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
