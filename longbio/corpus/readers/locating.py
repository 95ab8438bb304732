"""Where mentions stand: how a file counts, the words of a stretch, what is said of mentions by their ids."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span

WORD = re.compile(r"\S+")

Mention = TypeVar("Mention")
Counting = TypeVar("Counting")


def locate_mentions(
    mentions: Sequence[tuple[Mention, str]],
    countings: Iterable[Counting],
    fault_of: Callable[[Mention, Counting], str | None],
    reading: Reading,
) -> tuple[Counting, list[Mention]]:
    """How a file counts, and the mentions that are where they say; the others are left out, and counted.

    Args:
        mentions: as they are written, each with its place.
        countings: one or more; taken is that under which fewest mentions have a fault, of equals the first.
        fault_of: what is wrong with a mention under a counting; None where nothing is.
        reading: counts the mentions.
    """
    candidates: list[tuple[int, Counting, list[str | None]]] = []
    for counting in countings:
        faults = [fault_of(mention, counting) for mention, _ in mentions]
        candidates.append((len(faults) - faults.count(None), counting, faults))
        if not candidates[-1][0]:
            break
    _, counting, faults = min(candidates, key=lambda candidate: candidate[0])
    checked = zip(mentions, faults, strict=True)
    return counting, [mention for (mention, where), fault in checked if reading.alignment.holds(fault, where)]


@dataclass
class MentionsById:
    """What is known of a document whose relations and attributes name mentions by an id."""

    spans: defaultdict[Hashable, set[Span]] = field(default_factory=lambda: defaultdict(set))
    relations: set[Relation] = field(default_factory=set)
    attributes: set[Attribute] = field(default_factory=set)

    def relate(self, label: str, head: Hashable, tail: Hashable, where: str, reading: Reading) -> None:
        """Add a relation of two ids; what isn't of one mention each is passed over."""
        heads, tails = self.spans.get(head, set()), self.spans.get(tail, set())
        if len(heads) == len(tails) == 1:
            self.relations.add(Relation(label, *heads, *tails))
        else:
            reading.passed_over.note("relations of what was not read", where)

    def document(self, name: str, text: str) -> Document:
        """All of it, sorted."""
        return Document(
            name,
            text,
            tuple(sorted({span for spans in self.spans.values() for span in spans})),
            relations=tuple(sorted(self.relations)),
            attributes=tuple(sorted(self.attributes)),
        )


class Solid:
    """A text that finds the words of any stretch without reading the stretch.

    Mentions of a wrong text may span a whole note each, and have one word beside them: a stretch that is too
    long for its words isn't compared.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _words(self) -> tuple[list[int], list[int], list[int]]:
        """Where each begins and ends, and how long those before it are."""
        places = [word.span() for word in WORD.finditer(self.text)]
        lengths = accumulate((end - start for start, end in places), initial=0)
        return [start for start, _ in places], [end for _, end in places], list(lengths)

    def _words_between(self, start: int, end: int) -> tuple[int, int]:
        starts, ends, _ = self._words
        return (bisect_right(ends, start), bisect_left(starts, end)) if start < end else (0, 0)

    def length(self, start: int, end: int) -> int:
        """Characters of a stretch that are no white space."""
        (starts, ends, before), (first, last) = self._words, self._words_between(start, end)
        if first >= last:
            return 0
        cut_off = max(0, start - starts[first]) + max(0, ends[last - 1] - end)
        return before[last] - before[first] - cut_off

    def words(self, start: int, end: int) -> list[str]:
        """As `text[start:end].split()`, in time proportional to its words."""
        (starts, ends, _), (first, last) = self._words, self._words_between(start, end)
        return [self.text[max(starts[n], start) : min(ends[n], end)] for n in range(first, last)]

    def says(self, fragments: Iterable[tuple[int, int]], words: str) -> bool:
        """Whether fragments are these words, white space apart; in time of the words."""
        stretches, wanted = [*fragments], words.split()
        if sum(self.length(*stretch) for stretch in stretches) != sum(map(len, wanted)):
            return False
        return [word for stretch in stretches for word in self.words(*stretch)] == wanted
