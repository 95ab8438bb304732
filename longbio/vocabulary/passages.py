"""Masked passages that compare tokenizers: the same words are hidden, and bits counted by character.

A new term is guessed itself (its place in the decoder), or others beside it (its place in the input table). A
word is what the tokenizer's own cut at spaces and punctuation makes, which new pieces don't change; bits are
divided by its characters, so that longer pieces have no advantage of their own.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from longbio.corpus.texts import Text
from longbio.corpus.words import make_readable
from longbio.encoders.batches import IGNORED
from longbio.masked_lm.evaluation import bits_of

RATE = 0.15

Fits = Callable[[str], int]


@dataclass(frozen=True)
class Passage:
    """A stretch of text.

    Args:
        number: decides, with a seed, which words are hidden.
        term: (first, behind the last) character of a new term in it.
        hides_term: the term is hidden and nothing else; otherwise others are and the term is not.
    """

    number: int
    text: str
    term: tuple[int, int] | None = None
    hides_term: bool = False


@dataclass(frozen=True, eq=False)
class Masked:
    """A passage as a model reads it: (T,) ids and labels, and the characters of the hidden words."""

    ids: list[int]
    labels: list[int]
    characters: int


def passages_of(texts: Iterable[Text], count: int, characters: int, fits: Fits = len) -> list[Passage]:
    """Passages of about so many characters, drawn evenly from the whole of the texts, cut where words end and
    where they no longer fit. A text's last may have a quarter of the characters."""
    drawn: list[tuple[bytes, str]] = []
    for number, text in enumerate(texts):
        for start, stop in _stretches(text.text, characters):
            draw = hashlib.sha256(f"{number} {start}".encode()).digest()
            drawn.append((draw, text.text[start:stop]))
        if len(drawn) > 10 * count:
            drawn = heapq.nsmallest(count, drawn)
    return [
        Passage(number, text[: fits(text)]) for number, (_, text) in enumerate(heapq.nsmallest(count, drawn))
    ]


def _stretches(text: str, characters: int) -> Iterator[tuple[int, int]]:
    start, end = 0, len(text.rstrip())
    while end - start >= characters // 4:
        stop = end
        if stop - start > characters:
            border = text.rfind(" ", start, start + characters)
            stop = border if border > start else start + characters
        yield start, stop
        start = stop + 1


def room_of(tokenizer: Any, max_tokens: int) -> Fits:
    """How many characters of a text `max_tokens` hold, special tokens included."""

    def fits(text: str) -> int:
        offsets = tokenizer.backend_tokenizer.encode(make_readable(text), add_special_tokens=False).offsets
        return len(text) if len(offsets) <= max_tokens - 2 else int(offsets[max_tokens - 3][1])

    return fits


def mask_words(passage: Passage, tokenizer: Any, max_tokens: int, seed: int) -> Masked:
    """Hide words of a passage, the same whatever the pieces; another seed hides others. `max_tokens` counts
    special tokens; what is beyond is left out."""
    encoding = tokenizer.backend_tokenizer.encode(make_readable(passage.text), add_special_tokens=False)
    words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
    count = int(words.max(initial=-1)) + 1
    chosen = np.random.default_rng((seed, passage.number)).random(count) < RATE
    if passage.term is not None:
        start, stop = passage.term
        of_term = [
            word
            for word, (first, last) in zip(words.tolist(), encoding.offsets, strict=True)
            if first < stop and last > start
        ]
        chosen &= not passage.hides_term
        chosen[of_term] = passage.hides_term
    hidden = (words >= 0) & chosen[words]
    keep = slice(0, max_tokens - 2)
    ids = np.array(encoding.ids, dtype=np.int64)[keep]
    hidden = hidden[keep]
    # Characters, not tokens' lengths: pieces of bytes can share one, or hold the space before.
    is_guessed = np.zeros(len(passage.text), dtype=bool)
    for (first, last), is_hidden in zip(encoding.offsets[keep], hidden.tolist(), strict=True):
        is_guessed[first:last] |= is_hidden
    labels = np.where(hidden, ids, IGNORED)
    corrupted = np.where(hidden, tokenizer.mask_token_id, ids)
    return Masked(
        [tokenizer.cls_token_id, *corrupted.tolist(), tokenizer.sep_token_id],
        [IGNORED, *labels.tolist(), IGNORED],
        sum(not passage.text[place].isspace() for place in np.flatnonzero(is_guessed)),
    )


def masked_passages(
    passages: Sequence[Passage], tokenizer: Any, *, count: int, max_tokens: int, seed: int
) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of `count` passages in the order of a run, masked anew each time they come round; `seed`
    gives order and masks."""
    order = np.random.default_rng(seed).permutation(len(passages)).tolist()
    turns = [divmod(index, len(passages)) for index in range(count)]
    masked = [
        mask_words(passages[order[place]], tokenizer, max_tokens, 1000 * seed + turn + 1)
        for turn, place in turns
    ]
    return [(passage.ids, passage.labels) for passage in masked]


def bits_per_character(
    model: nn.Module, passages: Sequence[Passage], tokenizer: Any, *, max_tokens: int, seed: int = 0
) -> float:
    """What guessing the hidden words costs a masked-LM model in evaluation mode, in bits for each of their
    characters; see `mask_words`."""
    masked = [mask_words(passage, tokenizer, max_tokens, seed) for passage in passages]
    hidden = [(passage.ids, passage.labels) for passage in masked if passage.characters]
    characters = sum(passage.characters for passage in masked)
    return bits_of(model, hidden, tokenizer.pad_token_id) / max(1, characters)
