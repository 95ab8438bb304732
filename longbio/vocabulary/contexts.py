"""Where in a corpus words are used: some places for each, drawn from all of it, words whole.

Every occurrence gets a number that depends on the seed and on its place alone; for each word those
with the smallest numbers are kept. That draws uniformly, in constant memory, and gives the same
whatever the number of processes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from longbio.corpus.texts import Text
from longbio.vocabulary.text_lots import Lot, OnTexts, in_processes
from longbio.vocabulary.whole_words import BORDER, EXACT, Folding, Int, Matcher
from longbio.vocabulary.word_counts import MARKS

MARK_BYTES = re.compile(MARKS.pattern.encode(), MARKS.flags & re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Context:
    """A word in the text around it, from character `start` to `stop`, and the number it was drawn by."""

    draw: int
    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Sought:
    """Words to look for, each once and folded as texts are; the contexts kept `per_word`; how many characters
    they have on each side, up to the border of a word."""

    words: tuple[str, ...]
    folding: Folding = EXACT
    per_word: int = 25
    characters: int = 250
    seed: int = 0


def find_contexts(
    texts: Iterable[Text], sought: Sought, *, processes: int = 1, on_texts: OnTexts = lambda count: None
) -> dict[str, tuple[Context, ...]]:
    """Contexts of each word, fewer where there are no more, none of a word that never occurs; the same
    whatever the number of processes."""
    best: ByWord = {}
    for of_lot in in_processes(_Searcher(sought), texts, processes, on_texts):
        for word, contexts in of_lot.items():
            best[word] = sorted(best.get(word, []) + contexts)[: sought.per_word]
    return {sought.words[word]: tuple(best[word]) for word in sorted(best)}


ByWord = dict[int, list[Context]]


class _Searcher:
    """Searches lots of texts; remembers for each word how small a draw has to be by now."""

    def __init__(self, sought: Sought) -> None:
        self.sought = sought
        self.limit_W = np.full(len(sought.words), np.iinfo(np.uint64).max, dtype=np.uint64)

    @cached_property
    def matcher(self) -> Matcher:
        """Made where it is used: an automaton can't travel to another process."""
        return Matcher(self.sought.words, self.sought.folding)

    def __call__(self, lot: Lot) -> ByWord:
        of_lot: ByWord = {}
        for part in lot:
            data = part.text.encode()
            word_N, start_N, stop_N = self.matcher.find(_without_marks(data))
            draw_N = _draws(self.sought.seed, part.number, word_N, start_N)
            for place in np.flatnonzero(draw_N <= self.limit_W[word_N]).tolist():
                word = int(word_N[place])
                context = self._context(data, int(draw_N[place]), int(start_N[place]), int(stop_N[place]))
                of_lot.setdefault(word, []).append(context)
        for word, contexts in of_lot.items():
            if len(contexts) >= self.sought.per_word:
                contexts.sort()
                del contexts[self.sought.per_word :]
                self.limit_W[word] = min(self.limit_W[word], np.uint64(contexts[-1].draw))
        return of_lot

    def _context(self, data: bytes, draw: int, start: int, stop: int) -> Context:
        """The text around a word, cut where a word ends; a character is four bytes at most."""
        reach = self.sought.characters
        before = data[max(0, start - 4 * reach) : start].decode(errors="ignore")
        after = data[stop : stop + 4 * reach].decode(errors="ignore")
        if len(before) > reach or start > 4 * reach:
            before = before[-reach:]
            before = before[_first_border(before) :]
        if len(after) > reach or stop + 4 * reach < len(data):
            after = after[:reach]
            after = after[: len(after) - _first_border(after[::-1])]
        word = data[start:stop].decode()
        return Context(draw, before + word + after, len(before), len(before) + len(word))


def _without_marks(data: bytes) -> bytes:
    """No word is found in what stands between `[**` and `**]`."""
    if b"[**" not in data:
        return data
    return MARK_BYTES.sub(lambda mark: BORDER * len(mark.group()), data)


def _first_border(text: str) -> int:
    """The first white space; the whole length where there is none."""
    return next((n for n, character in enumerate(text) if character.isspace()), len(text))


def _draws(seed: int, number: int, word_N: Int, start_N: Int) -> Any:
    """(N,) uint64, evenly spread, of seed, text, word and place: splitmix64 of their mixture."""
    mixed = hashlib.sha256(f"{seed} {number}".encode()).digest()
    draw_N = start_N.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
        int.from_bytes(mixed[:8], "little")
    )
    draw_N ^= word_N.astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        draw_N = (draw_N ^ (draw_N >> np.uint64(shift))) * np.uint64(factor)
    return draw_N ^ (draw_N >> np.uint64(31))
