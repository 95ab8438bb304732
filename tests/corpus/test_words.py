"""Words of the text: the same whatever reads it."""

from __future__ import annotations

import pytest

from longbio.corpus.words import make_readable, whole_words, word_spans


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text).tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n", []),
        ("Aspirin, 10mg.", ["Aspirin", ",", "10", "mg", "."]),
        ("p.Val600Glu", ["p", ".", "Val", "600", "Glu"]),
        ("37°C +/-", ["37", "°", "C", "+", "/", "-"]),
        ("a_b", ["a", "_", "b"]),
        ("10² m²", ["10²", "m", "²"]),
        # decomposed accents, variation selectors and characters without width
        ("cafe\u0301s e\u0301", ["cafe\u0301s", "e\u0301"]),
        ("pain \u2764\ufe0f\u2764", ["pain", "\u2764\ufe0f", "\u2764"]),
        ("carci\u00adnoma\u200d, x\ufeff", ["carci\u00adnoma\u200d", ",", "x\ufeff"]),
        ("aspirin\u200bdaily", ["aspirin\u200b", "daily"]),
        ("\u0301\u0301a \u0301 b", ["\u0301\u0301", "a", "\u0301", "b"]),
        # what BERT's normaliser deletes
        ("failure\x0caspirin\x0bmg\x85x\x93y\x00z", ["failure", "aspirin", "mg", "x", "y", "z"]),
        ("Sj\ufffdgren", ["Sj", "gren"]),
        # scripts without spaces
        ("肺炎 ok", ["肺", "炎", "ok"]),
        ("\u0645\u0631\u0636 болезнь", ["\u0645\u0631\u0636", "болезнь"]),
        ("a\U0001f9ecb", ["a", "\U0001f9ec", "b"]),
        ("\ud800x", ["x"]),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_what_is_read_has_the_same_offsets() -> None:
    text = "a\x0cb\u200bc\td\r\ne\x93"
    assert make_readable(text) == "a b c\td\r\ne "
    assert len(make_readable(text)) == len(text)


def test_a_stretch_is_cut_where_words_end() -> None:
    text = "severe heart failure today"
    assert whole_words(text, 0, len(text)) == (0, len(text))
    assert whole_words(text, 3, 22) == (6, 21)
    assert whole_words(text, 7, 20) == (7, 20)
    start, stop = whole_words(text, 8, 10)
    assert start == stop
