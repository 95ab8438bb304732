"""Words in a text, as a pattern of them would find them."""

from __future__ import annotations

import random
import re

import pytest

from longbio.corpus.readers.emrqa import occurrences


@pytest.mark.parametrize(
    ("words", "text", "found"),
    [
        ("chest pain", "No Chest \n pain; CHEST PAIN", [(3, 15), (17, 27)]),
        ("pain", "painful chestpain", [(0, 4), (13, 17)]),
        ("a a", "a a a a a", [(0, 3), (4, 7)]),
        ("ÉTÉ", "été", [(0, 3)]),
        ("x", "İx İ x", [(1, 2), (5, 6)]),
        ("", "x", []),
        (" \n", "x y", []),
        ("y", "", []),
    ],
)
def test_occurrences(words: str, text: str, found: list[tuple[int, int]]) -> None:
    assert list(occurrences(words, text)) == found


def test_they_are_what_a_pattern_finds_within_bounds() -> None:
    draw = random.Random(0)
    for _ in range(5_000):
        text = "".join(draw.choices("abAB \n\t\xa0.", k=30))
        words = "".join(draw.choices("aB .", k=draw.randint(1, 4)))
        if not words.strip():
            continue
        start, end = sorted(draw.choices(range(31), k=2))
        pattern = re.compile(r"\s+".join(re.escape(word) for word in words.split()), re.IGNORECASE)
        expected = [match.span() for match in pattern.finditer(text, start, end)]
        assert list(occurrences(words, text, start, end)) == expected, (words, text, start, end)
