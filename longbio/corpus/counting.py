"""What offsets count: characters, or, as some tools have it, bytes of UTF-8 or units of UTF-16.

Java, JavaScript and C# count UTF-16, in which most characters are one unit and an emoji is two; tools
that never decode a text count its bytes. Whoever counts so differs from characters only behind the
first character that isn't ASCII, and nothing in a file says it. So it is found out: the unit is that
under which most mentions are the words they say, of equals the first. Where each mention has its words
beside it, a document tells its own unit; else the file does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
        found = int(np.searchsorted(self._starts, offset))
        return found + self.uncounted if self._starts[found] == offset else -1

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


def best(candidates: Iterable[Ruler], agreeing: Callable[[Ruler], int], mentions: int) -> Ruler:
    """The ruler under which most mentions are the words they say; of equals the first.

    Args:
        candidates: one or more; none is asked for behind one that has them all.
        agreeing: how many mentions are so.
        mentions: how many there are.
    """
    chosen, most = None, -1
    for candidate in candidates:
        count = agreeing(candidate)
        if count > most:
            chosen, most = candidate, count
        if most >= mentions:
            break
    if chosen is None:
        raise ValueError("there is no ruler to choose from")
    return chosen


def votes(text: str, placed: Sequence[tuple[int, str]]) -> Counter[str]:
    """How many words stand where they say, by unit; none of a text in which the units don't differ.

    Args:
        text: that holds them.
        placed: the offset at which each begins, and the words.
    """
    if text.isascii():
        return Counter()

    def agreeing(ruler: Ruler) -> int:
        starts = ((ruler.char(offset), words) for offset, words in placed)
        return sum(start >= 0 and text.startswith(words, start) for start, words in starts)

    found = {ruler.unit: agreeing(ruler) for ruler in rulers(text)}
    return of_every_unit(found)


def of_every_unit(found: Mapping[str, int]) -> Counter[str]:
    """Votes of a text in which some units are characters: these have as many as characters."""
    return Counter({unit: found.get(unit, found[CHARACTERS]) for unit in WIDTHS})


def unit_of(each: Iterable[Counter[str]]) -> str:
    """The unit that most votes of all texts are for; of equals the first."""
    total = sum(each, Counter[str]())
    return max(WIDTHS, key=lambda unit: total[unit])


def said(unit: str) -> str:
    """What a user is told of documents whose offsets were found to count something else than characters."""
    return f"documents whose offsets count {unit}, and were read so"
