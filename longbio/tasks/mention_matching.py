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
from itertools import accumulate
from typing import Any, NamedTuple

from longbio.corpus.records import Span
from longbio.tasks.metrics import shares

SCHEMES = ("strict", "exact", "partial", "type")


class Matches(NamedTuple):
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

    @property
    def predicted(self) -> int:
        """How many mentions were predicted."""
        return sum(self) - self.missed

    @property
    def gold(self) -> int:
        """How many mentions there are in truth."""
        return sum(self) - self.spurious

    def as_dict(self) -> dict[str, float]:
        """Precision, recall, F1 and the counts, ready for JSON."""
        return shares(self.correct + self.partial / 2, self.predicted, self.gold) | self._asdict()


class Tally(NamedTuple):
    """Matches of one or more documents under one scheme: of all mentions together, and of the mentions of
    each type alone, for the types that occur on either side."""

    micro: Matches
    types: Mapping[str, Matches]

    def as_dict(self) -> dict[str, Any]:
        """`micro`, `macro_f1` (0 without a type) and `types` in alphabetical order, ready for JSON."""
        types = {label: self.types[label].as_dict() for label in sorted(self.types)}
        macro_f1 = sum(scores["f1"] for scores in types.values()) / max(1, len(types))
        return {"micro": self.micro.as_dict(), "macro_f1": macro_f1, "types": types}


def add(tallies: Sequence[Tally]) -> Tally:
    """The tally of many documents."""
    by_type: dict[str, list[Matches]] = {}
    for tally in tallies:
        for label, matches in tally.types.items():
            by_type.setdefault(label, []).append(matches)
    micro = _sum([tally.micro for tally in tallies] or [Matches()])
    return Tally(micro, {label: _sum(matches) for label, matches in by_type.items()})


def _sum(matches: Sequence[Matches]) -> Matches:
    return Matches(*map(sum, zip(*matches, strict=True)))


def match_entities(gold: Iterable[Span], predicted: Iterable[Span]) -> dict[str, Tally]:
    """Compare the mentions of one document, in any order: a tally for each of `SCHEMES`."""
    gold, predicted = sorted(gold), sorted(predicted)
    overlaps = _overlaps(gold, predicted)
    of_one_type = [[pair for pair in pairs if pair.same_type] for pairs in overlaps]
    return {
        scheme: Tally(
            _count(_assign(overlaps, scheme), len(gold)),
            _by_type(_assign(of_one_type, scheme), gold, predicted),
        )
        for scheme in SCHEMES
    }


def entity_scores(
    gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]
) -> dict[str, dict[str, Any]]:
    """Score the mentions found in the documents of a corpus by every scheme.

    Returns:
        For each of `SCHEMES`: `micro`, `macro_f1` and `types`, ready for JSON.

    Raises:
        ValueError: the documents differ in number.
    """
    documents = [match_entities(g, p) for g, p in zip(gold, predicted, strict=True)]
    return {scheme: add([tallies[scheme] for tallies in documents]).as_dict() for scheme in SCHEMES}


class _Pair(NamedTuple):
    """A true mention that a prediction overlaps."""

    gold: int
    same_fragments: bool
    same_type: bool
    distance: int


def _overlaps(gold: Sequence[Span], predicted: Sequence[Span]) -> list[list[_Pair]]:
    """For each prediction the true mentions that it overlaps, both in text order."""
    starts = [span.start_char for span in gold]
    furthest = list(accumulate((span.end_char for span in gold), max))
    overlaps = []
    for span in predicted:
        near = range(bisect_right(furthest, span.start_char), bisect_left(starts, span.end_char))
        overlaps.append([_pair(number, gold[number], span) for number in near if _touch(gold[number], span)])
    return overlaps


def _pair(number: int, gold: Span, predicted: Span) -> _Pair:
    distance = abs(gold.start_char - predicted.start_char) + abs(gold.end_char - predicted.end_char)
    return _Pair(number, gold.fragments == predicted.fragments, gold.label == predicted.label, distance)


def _touch(gold: Span, predicted: Span) -> bool:
    return any(a < d and c < b for a, b in gold.fragments for c, d in predicted.fragments)


def _assign(overlaps: Sequence[Sequence[_Pair]], scheme: str) -> list[str]:
    """What became of each prediction."""
    verdicts = ["spurious"] * len(overlaps)
    taken: set[int] = set()
    for alike in (True, False):
        for prediction, pairs in enumerate(overlaps):
            if verdicts[prediction] != "spurious":
                continue
            free = [pair for pair in pairs if pair.gold not in taken and (not alike or _same(pair, scheme))]
            if free:
                pair = min(free, key=lambda pair: _rank(pair, scheme))
                verdicts[prediction] = _verdict(pair, scheme)
                taken.add(pair.gold)
    return verdicts


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


def _count(verdicts: Sequence[str], gold: int) -> Matches:
    counts = Counter(verdicts)
    return Matches(**counts, missed=gold - len(verdicts) + counts["spurious"])


def _by_type(verdicts: Sequence[str], gold: Sequence[Span], predicted: Sequence[Span]) -> dict[str, Matches]:
    """Matches of each type, where no pair is of two."""
    of_type: dict[str, list[str]] = {span.label: [] for span in gold}
    for span, verdict in zip(predicted, verdicts, strict=True):
        of_type.setdefault(span.label, []).append(verdict)
    wanted = Counter(span.label for span in gold)
    return {label: _count(theirs, wanted[label]) for label, theirs in of_type.items()}
