"""The words of stretches of a text, between white space: found without reading the stretch.

Mentions have their words beside them, white space as it comes. Those of another text may span a whole
note each, and say a word: what is too long to be it isn't compared.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import cached_property
from itertools import accumulate

WORD = re.compile(r"\S+")


class Solid:
    """A text, whose words are looked for once, when they are first asked for.

    Args:
        text: the whole text.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _words(self) -> tuple[list[int], list[int], list[int]]:
        """Where each begins and ends, and how long those before it are."""
        places = [found.span() for found in WORD.finditer(self.text)]
        lengths = accumulate((end - start for start, end in places), initial=0)
        return [start for start, _ in places], [end for _, end in places], list(lengths)

    def _those(self, start: int, end: int) -> tuple[int, int]:
        starts, ends, _ = self._words
        return (bisect_right(ends, start), bisect_left(starts, end)) if start < end else (0, 0)

    def length(self, start: int, end: int) -> int:
        """Characters of a stretch that are no white space."""
        (starts, ends, before), (first, last) = self._words, self._those(start, end)
        if first >= last:
            return 0
        cut_off = max(0, start - starts[first]) + max(0, ends[last - 1] - end)
        return before[last] - before[first] - cut_off

    def words(self, start: int, end: int) -> list[str]:
        """As `text[start:end].split()`, in time of its words alone."""
        (starts, ends, _), (first, last) = self._words, self._those(start, end)
        return [self.text[max(starts[n], start) : min(ends[n], end)] for n in range(first, last)]

    def says(self, fragments: Iterable[tuple[int, int]], words: str) -> bool:
        """Whether fragments are these words, white space apart; in time of the words."""
        fragments, given = [*fragments], words.split()
        if sum(self.length(*each) for each in fragments) != sum(map(len, given)):
            return False
        return [word for each in fragments for word in self.words(*each)] == given
