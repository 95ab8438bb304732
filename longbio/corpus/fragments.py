"""The fragments of text that make one mention: in their order, joined over white space, cut at line ends.

BRAT writes a mention that goes over a line end as several fragments, one a line, for its annotations
are lines themselves. So do others. Fragments with nothing but white space between them are therefore
one piece of text, and stay several only where words lie between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

Fragment = tuple[int, int]
"""(start_char, end_char), end exclusive."""

BLANKS = re.compile(r"\s+")

CUTS = frozenset("\n\r\t\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
"""Where BRAT can't have a mention go on. Its server reads an `.ann` by the lines of Python's codecs, which
end at each of these but the tab; at tabs and line feeds it cuts the mentions that are marked in it."""


def join_fragments(fragments: Iterable[Fragment], text: str) -> tuple[Fragment, ...]:
    """Fragments in the order of the text, none empty; those that overlap, or have nothing but white space
    between them, as one.

    Published corpora hold a few that overlap (CRAFT has two among 99,623), by tools that moved an end.
    """
    whole: list[Fragment] = []
    for start_char, end_char in sorted(fragments):
        if start_char == end_char:
            continue
        if whole and not text[whole[-1][1] : start_char].strip():
            whole[-1] = (whole[-1][0], max(whole[-1][1], end_char))
        else:
            whole.append((start_char, end_char))
    return tuple(whole)


def cut_at_lines(fragments: Iterable[Fragment], text: str) -> tuple[Fragment, ...]:
    """Fragments without any of the `CUTS`, nor the white space around them; none where that is all.

    What `join_fragments` makes of them are the fragments that were given, but for cuts at their ends.
    """
    return tuple(piece for start, end in fragments for piece in _pieces(start, end, text))


def _pieces(start_char: int, end_char: int, text: str) -> Iterator[Fragment]:
    for blank in BLANKS.finditer(text, start_char, end_char):
        if not CUTS.isdisjoint(blank[0]):
            if start_char < blank.start():
                yield start_char, blank.start()
            start_char = blank.end()
    if start_char < end_char:
        yield start_char, end_char
