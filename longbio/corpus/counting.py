"""What offsets count: characters, or, as some tools have it, bytes of UTF-8 or units of UTF-16.

Java, JavaScript and C# count UTF-16, in which most characters are one unit and an emoji is two; tools
that never decode a text count its bytes. Such counts differ from characters only after the first character
that isn't ASCII, and no file says so. So it is found out: the unit is the one under which most mentions match
their words; of equals the file's, then the first. Where each mention must have its words beside it (BRAT,
PubTator), a document decides by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CHARACTERS = "characters"

WIDTHS: dict[str, tuple[int, ...]] = {
    CHARACTERS: (),
    "bytes of UTF-8": (0x80, 0x800, 0x10000),
    "units of UTF-16": (0x10000,),
}
"""By unit, the code points from which on a character is one unit longer."""


class Ruler:
    """Where the offsets of a unit fall in a text.

    Args:
        text: that they were counted in.
        unit: one of `WIDTHS`.
        uncounted: how many characters at the text's beginning weren't counted.
    """

    def __init__(self, text: str, unit: str = CHARACTERS, uncounted: int = 0) -> None:
        self.unit, self.uncounted = unit, uncounted
        self._starts = None if unit == CHARACTERS else _starts(text[uncounted:], WIDTHS[unit])

    def char(self, offset: int) -> int:
        """The character that begins at an offset, or the text's length at its end.

        -1 of what lies before the text, or inside a character or behind the text in other units.
        """
        if offset < 0:
            return -1
        if self._starts is None:
            return offset + self.uncounted
        if offset > self._starts[-1]:
            return -1
        char = int(np.searchsorted(self._starts, offset))
        return char + self.uncounted if self._starts[char] == offset else -1

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters from an offset to another."""
        return self.char(start), self.char(end)


def length(text: str, unit: str) -> int:
    """How many units a text has."""
    return len(text) if unit == CHARACTERS or text.isascii() else int(_starts(text, WIDTHS[unit])[-1])


def _starts(text: str, longer_from: tuple[int, ...]) -> NDArray[np.int64]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    widths = np.ones(len(codes), dtype=np.int64)
    for first in longer_from:
        widths += codes >= first
    return np.concatenate(([0], widths.cumsum()))


def units_of(text: str) -> tuple[str, ...]:
    """The units that differ in a text, characters first: where all is ASCII, they are all one."""
    longest = ord(max(text, default="\0"))
    return tuple(unit for unit, longer in WIDTHS.items() if not longer or longest >= longer[0])


def rulers(text: str, uncounted: Sequence[int] = (0,)) -> Iterator[Ruler]:
    """One for each of the units that differ in a text, and each `uncounted`; made when it is asked for."""
    return (Ruler(text, unit, first) for unit in units_of(text) for first in uncounted)


Placed = Sequence[tuple[int, str | None]]
"""The offset at which each mention begins, and its words; None where they aren't written beside it."""


class FileUnit:
    """What the offsets of a file count; `documents` gives text and mentions of each of its documents, and is
    asked once, only where a document can't tell for itself."""

    def __init__(self, documents: Callable[[], Iterable[tuple[str, Placed]]]) -> None:
        self._documents = documents

    def ruler(self, text: str, placed: Placed) -> Ruler:
        """That of a document: under which most of its mentions are their words, of equals the file's."""
        candidates = list(rulers(text)) if placed else [Ruler(text)]
        if len(candidates) == 1:
            return candidates[0]
        agreeing = [_agreeing(ruler, text, placed) for ruler in candidates]
        # Words that all stand where characters say, and nowhere else under another unit, need no others.
        if len(agreeing[0]) == len(placed) and all(words <= agreeing[0] for words in agreeing):
            return candidates[0]
        pairs = zip(agreeing, candidates, strict=True)
        return max(pairs, key=lambda pair: (len(pair[0]), pair[1].unit == self._unit))[1]

    @cached_property
    def _unit(self) -> str:
        return unit_of(_count_votes(text, placed) for text, placed in self._documents())


def _agreeing(ruler: Ruler, text: str, placed: Placed) -> set[tuple[int, int]]:
    """The mentions, by number, whose words stand where they say, and the characters that they begin at."""
    starts = ((number, ruler.char(offset), words) for number, (offset, words) in enumerate(placed))
    return {
        (number, start)
        for number, start, words in starts
        if words is not None and start >= 0 and text.startswith(words, start)
    }


def _count_votes(text: str, placed: Placed) -> Counter[str]:
    """How many words stand where they say, by unit; none of a text in which the units don't differ."""
    if text.isascii():
        return Counter()
    return of_every_unit({ruler.unit: len(_agreeing(ruler, text, placed)) for ruler in rulers(text)})


def of_every_unit(votes: Mapping[str, int]) -> Counter[str]:
    """Votes of a text in which some units are characters: these have as many as characters."""
    return Counter({unit: votes.get(unit, votes[CHARACTERS]) for unit in WIDTHS})


def unit_of(votes: Iterable[Counter[str]]) -> str:
    """The unit that most votes of all texts are for; of equals the first."""
    total = sum(votes, Counter[str]())
    return max(WIDTHS, key=lambda unit: total[unit])
