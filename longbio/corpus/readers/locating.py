"""What readers share whose mentions have ids, and of which it is found out how they count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span

Mention = TypeVar("Mention")
Counting = TypeVar("Counting")


def located(
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
    return counting, [said for (said, where), fault in checked if reading.alignment.holds(fault, where)]


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
