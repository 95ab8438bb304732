"""Documents become windows of token ids with character offsets, and windows become documents.

A document is tokenised once and whole. Windows overlap, and each token is *owned* by the window
in which it has most context on both sides, so that results are merged without any rule per task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longbio.corpus.words import Int, is_joined, is_space, make_readable, word_spans

PLAINLY: dict[str, Any] = {
    "add_special_tokens": False,
    "return_offsets_mapping": True,
    "return_attention_mask": False,
    "return_token_type_ids": False,
    "truncation": False,
    # A note that says "[SEP]" says it in letters.
    "split_special_tokens": True,
    "verbose": False,
}
"""How a tokenizer is given text that is read whole."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """A whole document in tokens, special tokens left out.

    Args:
        ids: (N,) vocabulary ids.
        offsets: (N, 2) start and end character of each, without spaces around; empty for spaces alone.
        words: (N,) the index in `word_spans` of the word each token begins in; -1 for a token of spaces.
        word_spans: (W, 2) start and end character of each word that has a token: by the text's own
            borders (`corpus.words`), but that words which share a token are one.
        is_global: (N,) bool, tokens with global attention.
    """

    ids: Int
    offsets: Int
    words: Int
    word_spans: Int
    is_global: NDArray[np.bool_]

    def with_words(self, units: Sequence[tuple[int, int]]) -> Tokens:
        """The same tokens with a corpus' own words: (start_char, end_char) of each, in order."""
        words, spans = _words_of_tokens(self.offsets, np.array(units, dtype=np.int64).reshape(-1, 2))
        return replace(self, words=words, word_spans=spans)


@dataclass(frozen=True)
class Window:
    """A slice of a document that fits the model with its two special tokens.

    Args:
        document: its index.
        tokens: the tokens read.
        owned: those of them that this window answers for; the windows of a document own each token once.
    """

    document: int
    tokens: slice
    owned: slice


def tokenize(text: str, tokenizer: Any, global_spans: Sequence[tuple[int, int]] = ()) -> Tokens:
    """Tokenise a whole text, however long; tokens inside `global_spans`, in characters, are global."""
    encoding = tokenizer(make_readable(text), **PLAINLY)
    offsets = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    offsets = _trim(offsets, text)
    changes = np.zeros(len(text) + 1, dtype=np.int64)
    for start_char, end_char in global_spans:
        changes[min(start_char, len(text))] += 1
        changes[min(end_char, len(text))] -= 1
    covered = np.concatenate([[0], np.cumsum(np.cumsum(changes) > 0)])
    is_global = covered[offsets[:, 1]] > covered[offsets[:, 0]]
    ids = np.array(encoding["input_ids"], dtype=np.int64)
    words, spans = _words_of_tokens(offsets, word_spans(text))
    return Tokens(ids, offsets, words, spans, is_global)


def word_starts(text: str, offsets: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """(N,) True for the tokens of a text that begin a word, as whole words are masked."""
    places = _trim(np.array(offsets, dtype=np.int64).reshape(-1, 2), text)
    words, _ = _words_of_tokens(places, word_spans(text))
    return np.diff(words, prepend=-2) != 0


def _words_of_tokens(offsets: Int, spans: Int) -> tuple[Int, Int]:
    """(N,) of each token the word that it begins in, -1 for none; (W, 2) the words that have a token.

    A word in which no token begins is joined to the word before it where they share a token, and
    left out where it has none at all.
    """
    starts, ends = offsets.T
    words = np.searchsorted(spans[:, 0], starts, side="right") - 1
    word_ends = np.append(spans[:, 1], 0)  # of no word, -1, too
    words = np.where((starts < ends) & (starts < word_ends[words]), words, -1)
    has_token = np.isin(np.arange(len(spans)), words)

    spans, bare = spans.copy(), np.flatnonzero(~has_token)
    before = np.searchsorted(starts, spans[bare, 0], side="right") - 1
    shares = before >= 0
    shares[shares] = (ends[before[shares]] > spans[bare[shares], 0]) & (words[before[shares]] >= 0)
    np.maximum.at(spans[:, 1], words[before[shares]], spans[bare[shares], 1])
    numbers = np.append(np.cumsum(has_token) - 1, -1)
    return numbers[words], spans[has_token]


def _trim(offsets: Int, text: str) -> Int:
    """(N, 2) offsets without the spaces that some tokenizers put into tokens, empty for spaces alone, and
    with the marks that belong to a token's last letter, which some tokenizers delete."""
    spaces, joined, places = is_space(text), is_joined(text), np.arange(len(text))
    behind_spaces, behind_marks = (
        np.append(np.minimum.accumulate(np.where(left_out, len(text), places)[::-1])[::-1], len(text))
        for left_out in (spaces, joined)
    )
    before_spaces = np.concatenate([[0], np.maximum.accumulate(np.where(spaces, 0, places + 1))])
    starts = np.minimum(behind_spaces[offsets[:, 0]], offsets[:, 1])
    ends = np.maximum(before_spaces[offsets[:, 1]], starts)
    return np.stack([starts, np.where(ends > starts, behind_marks[ends], ends)], axis=1)


def windows_of(document: int, num_tokens: int, *, max_tokens: int, overlap: int) -> list[Window]:
    """Cut a document of `num_tokens` into windows; one, empty, for an empty document.

    Args:
        document: its index.
        num_tokens: without special ones.
        max_tokens: what the model reads, the two special tokens included.
        overlap: shared by neighbouring windows at least; ValueError where nothing else is left of one.
    """
    room = max_tokens - 2
    if not 0 <= overlap < room:
        raise ValueError(f"an overlap of {overlap} tokens leaves nothing of windows of {max_tokens}")
    if num_tokens <= room:
        return [Window(document, slice(0, num_tokens), slice(0, num_tokens))]

    count = -(-(num_tokens - overlap) // (room - overlap))
    # The last window ends where the document ends; the others are spread evenly before it.
    starts = [round(i * (num_tokens - room) / (count - 1)) for i in range(count)]
    borders = [(start + room + following) // 2 for start, following in pairwise(starts)]
    owned = pairwise([0, *borders, num_tokens])
    return [
        Window(document, slice(start, start + room), slice(first, last))
        for start, (first, last) in zip(starts, owned, strict=True)
    ]
