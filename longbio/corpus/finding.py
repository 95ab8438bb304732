"""Where words stand in a text, whatever their case and the white space between them; in linear time."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

WORD = re.compile(r"\S+")


def occurrences(words: str, text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Where some words stand, from left to right, none overlapping.

    A pattern of the words would try them at each place of the text; this looks for all of them at once.

    Args:
        words: what is looked for; nothing is found of white space alone. The first and the last may be a
            part of a word of the text.
        text: where.
        start: first character that counts.
        end: the character behind the last one; the text's end when None.

    Yields:
        (start_char, end_char) in the text.
    """
    wanted = " ".join(_folded(word) for word in words.split())
    if not wanted:
        return
    pieces = [match.span() for match in WORD.finditer(text, start, len(text) if end is None else end)]
    # The same words with one space between: offsets in it are those of the text, but for the spaces.
    folded = " ".join(_folded(text[first:last]) for first, last in pieces)
    begins = list(accumulate((last - first + 1 for first, last in pieces), initial=0))

    def in_text(place: int) -> int:
        number = bisect_right(begins, place) - 1
        return pieces[number][0] + place - begins[number]

    found = folded.find(wanted)
    while found >= 0:
        yield in_text(found), in_text(found + len(wanted) - 1) + 1
        found = folded.find(wanted, found + len(wanted))


def _folded(word: str) -> str:
    """In lower case, character by character: a few letters have two in it."""
    lower = word.lower()
    return lower if len(lower) == len(word) else "".join(c if len(c.lower()) > 1 else c.lower() for c in word)
