"""Where words stand in a text: all whole-word matches of many words, as fast as a search tool.

A text is folded first: what isn't part of a word becomes a line feed, byte for byte, and so do
capitals and accents where the tokenizer doesn't know them; places that fall away are counted. The
automaton then looks for words between two line feeds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind
from numpy.typing import NDArray

Int = NDArray[np.int64]

BORDER, GONE = b"\n", b"\0"

_WORD_BYTES = {*b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", *range(128, 256)}
_EXACT = bytes(byte if byte in _WORD_BYTES else BORDER[0] for byte in range(256))
_FOLDED = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in _EXACT)


@dataclass(frozen=True)
class Folding:
    """What is not told apart: capitals and small letters, letters with and without accents, underscores and
    other signs that end a word."""

    case: bool = False
    accents: bool = False
    underscores: bool = False

    @classmethod
    def of(cls, tokenizer: Any) -> Folding:
        """As a tokenizer reads."""
        backend = tokenizer.backend_tokenizer
        read = backend.normalizer.normalize_str if backend.normalizer else str
        cut = backend.pre_tokenizer.pre_tokenize_str("a_b") if backend.pre_tokenizer else ["a_b"]
        return cls(case=read("A") == "a", accents=read("é") == "e", underscores=len(cut) > 1)


EXACT = Folding()


class Matcher:
    """Finds whole words, given without white space or punctuation, each once, and folded as texts are."""

    def __init__(self, words: Sequence[str], folding: Folding = EXACT) -> None:
        self.words, self.folding = tuple(words), folding
        table = bytearray(_FOLDED if folding.case else _EXACT)
        if folding.underscores:
            table[ord("_")] = BORDER[0]
        self._table = bytes(table)
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
        folded = text.translate(self._table)
        kept_N = None
        if not text.isascii():
            folded = self._fold_beyond_ascii(folded)
            if GONE[0] in folded:
                bytes_N = np.frombuffer(folded, dtype=np.uint8)
                kept_N = np.flatnonzero(bytes_N != GONE[0])
                folded = bytes_N[kept_N].tobytes()
        matches = self._automaton.find_matches_as_indexes(BORDER + folded + BORDER, overlapping=True)
        word_N, start_N, stop_N = np.array(matches, dtype=np.int64).reshape(-1, 3).T
        # A match has both borders, and the text searched one more in front: they cancel at the start.
        stop_N = stop_N - 2
        if kept_N is not None:
            # A word reaches to the next byte that is left: what fell away before it is the word's.
            place_N = np.append(kept_N, len(text))
            start_N, stop_N = place_N[start_N], place_N[stop_N]
        return word_N, start_N, stop_N

    def _fold_beyond_ascii(self, folded: bytes) -> bytes:
        """Characters beyond ASCII, each kind looked up once."""
        text = np.frombuffer(folded, dtype=np.uint8).copy()
        lead_N = np.flatnonzero(text >= 0xC0)
        size_N = 2 + (text[lead_N] >= 0xE0).astype(np.int64) + (text[lead_N] >= 0xF0)
        code_N = np.zeros(len(lead_N), dtype=np.int64)
        for place in range(4):
            has = size_N > place
            code_N[has] |= text[lead_N[has] + place].astype(np.int64) << (8 * place)
        codes, which_N = np.unique(code_N, return_inverse=True)
        folds = [
            _fold(code.to_bytes(4, "little").rstrip(b"\0").decode(), self.folding) for code in codes.tolist()
        ]
        length_C = np.array([len(fold) for fold in folds], dtype=np.int64)
        byte_C4 = np.array([list(fold.ljust(4, b"\0")) for fold in folds], dtype=np.uint8)
        for place in range(4):
            has = length_C[which_N] > place
            text[lead_N[has] + place] = byte_C4[which_N[has], place]
        return text.tobytes()


@cache
def _fold(character: str, folding: Folding) -> bytes:
    """What stands for it, `GONE` where that is shorter; nothing where it stays as it is."""
    kept = character.encode()
    category = unicodedata.category(character)
    if category[0] not in "LM" and category not in ("Nd", "Nl", "Pc") and character not in "\u200c\u200d":
        return BORDER * len(kept)
    folded = character
    if folding.accents:
        decomposed = unicodedata.normalize("NFD", character)
        folded = "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")
    stands = (folded.lower() if folding.case else folded).encode()
    return stands.ljust(len(kept), GONE) if stands != kept and len(stands) <= len(kept) else b""
