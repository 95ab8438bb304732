"""Where words stand in a text: all whole-word matches of many words, as fast as a search tool.

A text is folded first: what isn't part of a word becomes a line feed, byte for byte, so that places
stay. The automaton then looks for words between two line feeds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind
from numpy.typing import NDArray

Int = NDArray[np.int64]
Bytes = NDArray[np.uint8]

BORDER = b"\n"

_WORD_BYTES = {*b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", *range(128, 256)}
_EXACT = bytes(byte if byte in _WORD_BYTES else BORDER[0] for byte in range(256))
_FOLDED = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in _EXACT)


class Matcher:
    """Finds whole words.

    Args:
        words: without white space or punctuation, each once; in lower case where `fold_case`.
        fold_case: match whatever the case.
    """

    def __init__(self, words: Sequence[str], *, fold_case: bool = False) -> None:
        self.words, self.fold_case = tuple(words), fold_case
        self._folds: dict[int, bytes] = {}
        self._automaton: Any = BytesAhoCorasick(
            [BORDER + word.encode() + BORDER for word in self.words],
            matchkind=MatchKind.Standard,
            implementation=Implementation.ContiguousNFA,
        )

    def find(self, text: bytes) -> tuple[Int, Int, Int]:
        """All whole-word matches in a text in UTF-8, in the order of their places.

        Returns:
            (N,) numbers of words, (N,) first bytes, (N,) bytes behind the last.
        """
        found = self._automaton.find_matches_as_indexes(BORDER + self.folded(text) + BORDER, overlapping=True)
        word_N, start_N, stop_N = np.array(found, dtype=np.int64).reshape(-1, 3).T
        # A match has both borders, and the text searched one more in front: they cancel at the start.
        return word_N, start_N, stop_N - 2

    def folded(self, text: bytes) -> bytes:
        """The text with a border for each byte of what is no word character."""
        folded = text.translate(_FOLDED if self.fold_case else _EXACT)
        return folded if text.isascii() else self._without_other_borders(folded)

    def _without_other_borders(self, folded: bytes) -> bytes:
        """Characters beyond ASCII, each kind looked up once."""
        text = np.frombuffer(folded, dtype=np.uint8).copy()
        lead_N = np.flatnonzero(text >= 0xC0)
        size_N = 2 + (text[lead_N] >= 0xE0).astype(np.int64) + (text[lead_N] >= 0xF0)
        code_N = np.zeros(len(lead_N), dtype=np.int64)
        for place in range(4):
            has = size_N > place
            code_N[has] |= text[lead_N[has] + place].astype(np.int64) << (8 * place)
        codes, which_N = np.unique(code_N, return_inverse=True)
        changed = [self._changed(code) for code in codes.tolist()]
        length_C = np.array([len(each) for each in changed], dtype=np.int64)
        byte_C4 = np.array([list(each.ljust(4, b"\0")) for each in changed], dtype=np.uint8)
        for place in range(4):
            has = length_C[which_N] > place
            text[lead_N[has] + place] = byte_C4[which_N[has], place]
        return text.tobytes()

    def _changed(self, code: int) -> bytes:
        if code not in self._folds:
            self._folds[code] = self._fold(code.to_bytes(4, "little").rstrip(b"\0").decode())
        return self._folds[code]

    def _fold(self, character: str) -> bytes:
        """What stands for it, of the same length; nothing where it stays as it is."""
        kept = character.encode()
        category = unicodedata.category(character)
        if category[0] not in "LM" and category not in ("Nd", "Nl", "Pc") and character not in "\u200c\u200d":
            return BORDER * len(kept)
        lower = character.lower().encode()
        return lower if self.fold_case and lower != kept and len(lower) == len(kept) else b""
