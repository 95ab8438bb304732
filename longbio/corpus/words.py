"""What a word is, by the text and not by the tokenizer: the same for every model that reads it."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]

SPACE, LETTER, DIGIT, OTHER, JOINED = range(5)

# Scripts that write no spaces: each of their letters is a word, as BERT has it for the first.
_WITHOUT_SPACES = (
    (0x4E00, 0x9FFF),  # CJK ideographs, and their extensions
    (0x3400, 0x4DBF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
    (0x3040, 0x30FF),  # Japanese kana
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
)

# What normalisers delete, so that the words around it become one: control characters other than tab and
# line ends, the replacement character, private use, halves of pairs, and the space without width.
_DELETED = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\ud800-\udfff"
_ZERO_WIDTH_SPACE = "\u200b"
_GLUES = re.compile(f"[{_DELETED}{_ZERO_WIDTH_SPACE}]")


def make_readable(text: str) -> str:
    """A text as tokenizers are given it: what they would delete between two words is a space, so that offsets
    stay."""
    return _GLUES.sub(" ", text)


def word_spans(text: str) -> Int:
    """Where the words of a text stand.

    Letters are words, and so are digits; a change from one to the other is a border (`10mg` is two
    words). Every other character that is no space is a word by itself. Combining marks, variation
    selectors and characters without width belong to the character before them.

    Returns:
        (W, 2) start_char and end_char of each, in text order.
    """
    if not text:
        return np.zeros((0, 2), dtype=np.int64)
    codes, kinds = _codes(text), _kinds_of(text)
    joined = kinds == JOINED
    before = kinds[np.maximum.accumulate(np.where(joined, 0, np.arange(len(kinds))))]
    # A mark that has nothing before it to belong to is a word, with the marks behind it.
    alone = joined & ((before == SPACE) | (before == JOINED))
    kinds = np.where(alone, OTHER, before)

    is_word = kinds != SPACE
    changes = np.diff(kinds, prepend=SPACE) != 0
    after_zero_width = np.concatenate([[False], codes[:-1] == ord(_ZERO_WIDTH_SPACE)])
    starts = is_word & ~joined & (changes | (kinds == OTHER) | after_zero_width)
    starts |= alone & ~np.concatenate([[False], alone[:-1]])
    ends = is_word & np.append(starts[1:] | ~is_word[1:], True)
    return np.stack([np.flatnonzero(starts), np.flatnonzero(ends) + 1], axis=1)


def whole_words(text: str, start: int, stop: int) -> tuple[int, int]:
    """A stretch `text[start:stop]` of a text without the words that begin before it or end behind it."""
    shift = max(0, start - 1)
    for first, last in (word_spans(text[shift : stop + 1]) + shift).tolist():
        if first < start < last:
            start = last
        if first < stop < last:
            stop = first
    return start, max(start, stop)


def is_space(text: str) -> NDArray[np.bool_]:
    """(len(text),) True where a text is blank, or holds what tokenizers delete."""
    return _kinds_of(text) == SPACE


def is_joined(text: str) -> NDArray[np.bool_]:
    """(len(text),) True for characters that belong to the one before them."""
    return _kinds_of(text) == JOINED


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _kinds_of(text: str) -> NDArray[np.uint8]:
    kinds: NDArray[np.uint8] = _kinds()[_codes(text)]
    return kinds


@cache
def _kinds() -> NDArray[np.uint8]:
    """The kind of every character, by its code point."""
    kinds = np.full(0x110000, OTHER, dtype=np.uint8)
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        if character.isspace():
            kinds[code] = SPACE
        elif category[0] == "L":
            kinds[code] = LETTER
        elif category[0] == "N":
            kinds[code] = DIGIT
        elif category[0] == "M" or category == "Cf":
            kinds[code] = JOINED
    kinds[[ord(character) for character in _GLUES.findall("".join(map(chr, range(0x110000))))]] = SPACE
    kinds[ord(_ZERO_WIDTH_SPACE)] = JOINED
    for first, last in _WITHOUT_SPACES:
        part = kinds[first : last + 1]
        part[part == LETTER] = OTHER
    return kinds
