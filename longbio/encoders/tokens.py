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

Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tokens:
    """A whole document in tokens, special tokens left out.

    Args:
        ids: (N,) vocabulary ids.
        offsets: (N, 2) start and end character of each token in the document's text.
        words: (N,) the number of the word each token belongs to, as the tokenizer splits words.
        is_global: (N,) bool, tokens with global attention.
    """

    ids: Int
    offsets: Int
    words: Int
    is_global: NDArray[np.bool_]

    def in_units(self, units: Sequence[tuple[int, int]]) -> Tokens:
        """The same tokens, their words those of a corpus that comes in words.

        Args:
            units: (start_char, end_char) of each, in order.
        """
        starts = np.array([start for start, _ in units], dtype=np.int64)
        # By its last character: some tokens hold the space before.
        words = np.searchsorted(starts, self.offsets[:, 1] - 1, side="right") - 1
        return replace(self, words=words)


@dataclass(frozen=True)
class Window:
    """A slice of a document that fits the model with its two special tokens.

    Args:
        document: index of the document.
        tokens: the tokens read, `tokens.start` to `tokens.stop` of the document.
        owned: the part of them that this window answers for. The windows of a document own
            every token exactly once.
    """

    document: int
    tokens: slice
    owned: slice


def tokenize(text: str, tokenizer: Any, global_spans: Sequence[tuple[int, int]] = ()) -> Tokens:
    """Tokenise a whole text, however long, and mark the tokens inside `global_spans`.

    Args:
        text: the document's text.
        tokenizer: a fast transformers tokenizer.
        global_spans: (start_char, end_char) of the text with global attention.
    """
    encoding = tokenizer(
        text,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        truncation=False,
        # A note that says "[SEP]" says it in letters.
        split_special_tokens=True,
        verbose=False,
    )
    offsets = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    words = [-1 if word is None else word for word in encoding.word_ids()]
    is_global = np.zeros(len(offsets), dtype=bool)
    for start_char, end_char in global_spans:
        is_global |= (offsets[:, 0] < end_char) & (offsets[:, 1] > start_char)
    ids = np.array(encoding["input_ids"], dtype=np.int64)
    return Tokens(ids, offsets, np.array(words, dtype=np.int64), is_global)


def windows_of(document: int, num_tokens: int, *, max_tokens: int, overlap: int) -> list[Window]:
    """Cut a document of `num_tokens` into windows; one, empty, for an empty document.

    Args:
        document: index of the document.
        num_tokens: its tokens without special ones.
        max_tokens: what the model reads, the two special tokens included.
        overlap: tokens that neighbouring windows share at least.

    Raises:
        ValueError: nothing would be left of a window without its overlap.
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
