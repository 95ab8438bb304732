"""Entities found, by four rules of what counts as found: those of SemEval 2013, as nervaluate has them.

`strict`: the same fragments and type. `exact`: the same fragments, any type. `partial`: an overlap, any
type, half when the fragments differ. `type`: an overlap and the same type.

A true mention answers for one predicted mention at most, and the other way round. Mentions that are the
same are paired first. The other predictions then follow in text order (fragments, then type) and each
takes, of the true mentions that it overlaps and that are free, the first; where an overlap is right
(`type`), the one of its own type with the nearest borders. On documents without overlaps within a side
this equals nervaluate 1.2.1 given mentions in text order, but for its demand that 1% of the true mention
is covered: here one shared character is an overlap. Elsewhere nervaluate depends on the order of its
input, and a prediction that overlaps takes a true mention away from a later one that is the same; not
here, where `strict` finds just what `metrics.count_entities` finds, in any order.

Discontinuous mentions overlap where two of their fragments share a character: a gap covers nothing. They
are the same with the same fragments only, and their borders are where they begin and end as a whole.

The scores of one type compare its mentions alone: taken for another type, a mention is missed in one
and spurious in the other. So types don't add up to the whole, where such a pair is one `incorrect`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from longbio.corpus.records import Span

SCHEMES = ("strict", "exact", "partial", "type")


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of the mentions of one or more documents under one scheme.

    Args:
        correct: predicted rightly.
        incorrect: overlap a true mention, and wrong.
        partial: overlap a true mention with other borders, half right (`partial` alone).
        missed: true mentions that no prediction took.
        spurious: predictions that took no true mention.
    """

    correct: int = 0
    incorrect: int = 0
    partial: int = 0
    missed: int = 0
    spurious: int = 0

    def __add__(self, other: Matches) -> Matches:
        return Matches(
            self.correct + other.correct,
            self.incorrect + other.incorrect,
            self.partial + other.partial,
            self.missed + other.missed,
            self.spurious + other.spurious,
        )

    @property
    def predicted(self) -> int:
        """How many mentions were predicted."""
        return self.correct + self.incorrect + self.partial + self.spurious

    @property
    def gold(self) -> int:
        """How many mentions there are in truth."""
        return self.correct + self.incorrect + self.partial + self.missed

    @property
    def precision(self) -> float:
        """Of the mentions predicted, the share that is right; 0 when none is predicted."""
        return _share(self.correct + self.partial / 2, self.predicted)

    @property
    def recall(self) -> float:
        """Of the true mentions, the share that is found; 0 when there is none."""
        return _share(self.correct + self.partial / 2, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.correct + self.partial, self.predicted + self.gold)

    def as_dict(self) -> dict[str, float]:
        """Precision, recall, F1 and the counts, ready for JSON."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "correct": self.correct,
            "incorrect": self.incorrect,
            "partial": self.partial,
            "missed": self.missed,
            "spurious": self.spurious,
        }


@dataclass(frozen=True, slots=True)
class Tally:
    """Matches of one or more documents under one scheme; documents are added.

    Args:
        micro: of all mentions together.
        types: of the mentions of each type alone, for the types that occur on either side.
    """

    micro: Matches = Matches()
    types: Mapping[str, Matches] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        return add([self, other])

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the types that occur on either side; 0 when there is none."""
        return _share(sum(matches.f1 for matches in self.types.values()), len(self.types))

    def as_dict(self) -> dict[str, Any]:
        """`micro`, `macro_f1` and `types` in alphabetical order, ready for JSON."""
        return {
            "micro": self.micro.as_dict(),
            "macro_f1": self.macro_f1,
            "types": {label: self.types[label].as_dict() for label in sorted(self.types)},
        }


def add(tallies: Iterable[Tally]) -> Tally:
    """The tally of many documents."""
    micro = [0] * 5
    types: dict[str, list[int]] = {}
    for tally in tallies:
        _add_to(micro, tally.micro)
        for label, matches in tally.types.items():
            _add_to(types.setdefault(label, [0] * 5), matches)
    return Tally(Matches(*micro), {label: Matches(*sums) for label, sums in types.items()})


def match_entities(gold: Iterable[Span], predicted: Iterable[Span]) -> dict[str, Tally]:
    """Compare the mentions of one document.

    Args:
        gold: the true mentions, in any order.
        predicted: the mentions found, in any order.

    Returns:
        A tally for each of `SCHEMES`.
    """
    wanted, given = sorted(gold), sorted(predicted)
    overlaps = _overlaps(wanted, given)
    of_one_type = [[pair for pair in pairs if pair.same_type] for pairs in overlaps]
    return {
        scheme: Tally(
            _micro(_assign(overlaps, scheme), len(wanted)),
            _by_type(_assign(of_one_type, scheme), wanted, given),
        )
        for scheme in SCHEMES
    }


def entity_scores(
    gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]
) -> dict[str, dict[str, Any]]:
    """Score the mentions of a corpus by every scheme.

    Args:
        gold: the true mentions of each document.
        predicted: the mentions found in each, in the same order.

    Returns:
        For each of `SCHEMES`: `micro`, `macro_f1` and `types`, ready for JSON.

    Raises:
        ValueError: the documents differ in number.
    """
    documents = [match_entities(g, p) for g, p in zip(gold, predicted, strict=True)]
    return {scheme: add(tallies[scheme] for tallies in documents).as_dict() for scheme in SCHEMES}


class _Pair(NamedTuple):
    """A true mention that a prediction overlaps."""

    gold: int
    same_fragments: bool
    same_type: bool
    distance: int


_Outcome = tuple[str, int]
"""What became of a prediction, and the true mention that it took (-1: none)."""


def _overlaps(gold: Sequence[Span], predicted: Sequence[Span]) -> list[list[_Pair]]:
    """For each prediction the true mentions that it overlaps, both in text order."""
    starts = [span.start_char for span in gold]
    furthest = list(accumulate((span.end_char for span in gold), max))
    found = []
    for given in predicted:
        first = bisect_right(furthest, given.start_char)
        beyond = bisect_left(starts, given.end_char)
        found.append([_pair(i, gold[i], given) for i in range(first, beyond) if _touch(gold[i], given)])
    return found


def _pair(index: int, gold: Span, given: Span) -> _Pair:
    distance = abs(gold.start_char - given.start_char) + abs(gold.end_char - given.end_char)
    return _Pair(index, gold.fragments == given.fragments, gold.label == given.label, distance)


def _touch(one: Span, other: Span) -> bool:
    return any(a < d and c < b for a, b in one.fragments for c, d in other.fragments)


def _assign(overlaps: Sequence[Sequence[_Pair]], scheme: str) -> list[_Outcome]:
    outcomes: list[_Outcome] = [("spurious", -1)] * len(overlaps)
    taken: set[int] = set()
    for alike in (True, False):
        for prediction, pairs in enumerate(overlaps):
            if outcomes[prediction][1] >= 0:
                continue
            free = [pair for pair in pairs if pair.gold not in taken and (not alike or _same(pair, scheme))]
            if free:
                pair = min(free, key=lambda pair: _rank(pair, scheme))
                outcomes[prediction] = (_verdict(pair, scheme), pair.gold)
                taken.add(pair.gold)
    return outcomes


def _same(pair: _Pair, scheme: str) -> bool:
    """True when nothing could fit better."""
    return pair.same_fragments and (pair.same_type or scheme in ("exact", "partial"))


def _rank(pair: _Pair, scheme: str) -> tuple[bool, int]:
    """Of several mentions the lowest is taken, the first where they are equal."""
    return (False, pair.distance) if scheme == "type" and pair.same_type else (True, 0)


def _verdict(pair: _Pair, scheme: str) -> str:
    if pair.same_type if scheme == "type" else _same(pair, scheme):
        return "correct"
    return "partial" if scheme == "partial" else "incorrect"


def _micro(outcomes: Sequence[_Outcome], gold: int) -> Matches:
    verdicts = [verdict for verdict, _ in outcomes]
    taken = len(verdicts) - verdicts.count("spurious")
    return Matches(
        verdicts.count("correct"),
        verdicts.count("incorrect"),
        verdicts.count("partial"),
        gold - taken,
        len(verdicts) - taken,
    )


def _by_type(
    outcomes: Sequence[_Outcome], gold: Sequence[Span], predicted: Sequence[Span]
) -> dict[str, Matches]:
    """Matches of each type, where no pair is of two."""
    of_type: dict[str, list[_Outcome]] = {span.label: [] for span in gold}
    for span, outcome in zip(predicted, outcomes, strict=True):
        of_type.setdefault(span.label, []).append(outcome)
    wanted = Counter(span.label for span in gold)
    return {label: _micro(theirs, wanted[label]) for label, theirs in of_type.items()}


def _add_to(sums: list[int], matches: Matches) -> None:
    sums[0] += matches.correct
    sums[1] += matches.incorrect
    sums[2] += matches.partial
    sums[3] += matches.missed
    sums[4] += matches.spurious


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
