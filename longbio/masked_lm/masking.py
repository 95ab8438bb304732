"""Which tokens are masked: a pure function of the tokens, the settings and a seed.

Every strategy cuts the tokens into units (tokens, words, spans of words, known phrases) and
chooses whole units until the wanted share of the tokens is reached. All of it is linear in the
length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from longbio.encoders.batches import IGNORED

Ids = NDArray[np.int64]
Bools = NDArray[np.bool_]
Hashes = NDArray[np.uint64]

Strategy = Literal["token", "whole-word", "span", "pmi"]
Shape = Literal["linear", "cosine", "step"]


@dataclass(frozen=True)
class Corruption:
    """What becomes of a chosen token; what is left of 1 stays as it is.

    Args:
        mask: share that becomes [MASK].
        random: share that becomes any token of the vocabulary.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    mask: float = 0.8
    random: float = 0.1

    def __post_init__(self) -> None:
        if min(self.mask, self.random) < 0 or self.mask + self.random > 1 + 1e-9:
            raise ValueError(
                f"shares of [MASK] and of random tokens are {self.mask:g} and {self.random:g}; "
                "neither is below 0 and together they are at most 1"
            )


@dataclass(frozen=True)
class Schedule:
    """A mask rate that changes within a phase.

    Args:
        start: rate of the first sample.
        end: rate of the last one.
        shape: `linear`, `cosine`, or `step`: `steps` equal stairs.
        steps: stairs, the first at `start` and the last at `end`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    start: float
    end: float
    shape: Shape = "linear"
    steps: int = 2

    def __post_init__(self) -> None:
        for rate in (self.start, self.end):
            _refuse_rate(rate)
        if self.steps < 2:
            raise ValueError(f"a rate that changes in {self.steps} steps; it takes 2 at least")

    def at(self, progress: float) -> float:
        """The rate at a share, 0 to 1, of the phase."""
        if self.shape == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        elif self.shape == "step":
            progress = min(int(progress * self.steps), self.steps - 1) / (self.steps - 1)
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True)
class Masking:
    """How a masked-LM sample is made.

    Args:
        strategy: `token`; `whole-word`; `span` (SpanBERT, Joshi et al. 2020: runs of words of
            geometric length); `pmi` (Levine et al. 2021: phrases whose words belong together).
        rate: share of the ordinary tokens that is predicted, or how it changes.
        corruption: what becomes of them; 80/10/10 is BERT's.
        span_p: of the geometric distribution of a span's words; 0.2 is SpanBERT's.
        span_words: the longest span.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    strategy: Strategy = "token"
    rate: float | Schedule = 0.15
    corruption: Corruption = Corruption()
    span_p: float = 0.2
    span_words: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.rate, Schedule):
            _refuse_rate(self.rate)
        if not 0 < self.span_p <= 1 or self.span_words < 1:
            raise ValueError(
                f"spans of up to {self.span_words} words with p = {self.span_p:g}; "
                "p is above 0 and at most 1, and a span has a word at least"
            )

    def rate_at(self, progress: float) -> float:
        """The rate at a share, 0 to 1, of the phase."""
        return self.rate.at(progress) if isinstance(self.rate, Schedule) else self.rate


def _refuse_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"a mask rate of {rate:g}; it lies between 0 and 1")


EVALUATION = Masking()
"""Token masking at 15%, 80/10/10: what every model is measured with, whatever it learned by."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What masking knows of a tokenizer: the id of [MASK], and (V,) ids that a random token may be: all but
    the special ones."""

    mask_id: int
    drawable: Ids

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """Of a transformers tokenizer."""
        drawable = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
        return cls(tokenizer.mask_token_id, drawable)


Phrases = Mapping[int, Hashes]
"""Hashes of word n-grams, sorted, by their number of words (`masked_lm.pmi`)."""


def mask_tokens(
    ids: Ids,
    ordinary: Bools,
    word_starts: Bools,
    vocabulary: Vocabulary,
    masking: Masking = EVALUATION,
    *,
    seed: tuple[int, ...],
    progress: float = 0.0,
    phrases: Phrases | None = None,
) -> tuple[Ids, Ids]:
    """Corrupt a sequence, which may hold several documents.

    On average the rate is met exactly: the unit that crosses it is taken with the probability
    that makes it so. One unit is chosen at least, where there is one.

    Args:
        ids: (T,) token ids.
        ordinary: (T,) False for padding, [CLS] and [SEP]: what stands between documents and is
            never chosen. No unit reaches over it.
        word_starts: (T,) True where a word begins.
        vocabulary: [MASK], and what random tokens are drawn from.
        masking: strategy, rate and corruption.
        seed: one seed and one place in the run, say (seed, phase, epoch, sample).
        progress: share, 0 to 1, of the phase that is over.
        phrases: for the strategy `pmi`.

    Returns:
        The corrupted ids, and the labels: the original id where a token is predicted, else -100.

    Raises:
        ValueError: `pmi` without phrases.
    """
    draw = np.random.default_rng(seed)
    place = np.flatnonzero(ordinary)
    begins = unit_starts(ids, place, word_starts, masking, draw, phrases)
    chosen = place[_chosen(begins, masking.rate_at(progress), draw)]
    labels = np.full_like(ids, IGNORED)
    labels[chosen] = ids[chosen]

    kind = draw.random(len(chosen))
    corrupted = ids.copy()
    to_mask, to_random = masking.corruption.mask, masking.corruption.random
    corrupted[chosen[kind < to_mask]] = vocabulary.mask_id
    swapped = chosen[(kind >= to_mask) & (kind < to_mask + to_random)]
    corrupted[swapped] = vocabulary.drawable[draw.integers(len(vocabulary.drawable), size=len(swapped))]
    return corrupted, labels


def _chosen(begins: Bools, rate: float, draw: np.random.Generator) -> Ids:
    """Which tokens are predicted: whole units in random order, until their share is the rate."""
    starts = np.flatnonzero(begins)
    if not len(starts):
        return starts
    lengths = np.diff(np.append(starts, len(begins)))
    order = draw.permutation(len(starts))
    reached, wanted = np.cumsum(lengths[order]), rate * len(begins)
    count = int(np.searchsorted(reached, wanted, side="right"))
    before = reached[count - 1] if count else 0
    if not count or draw.random() < (wanted - before) / lengths[order[count]]:
        count += 1
    chosen = np.zeros(len(starts), dtype=bool)
    chosen[order[:count]] = True
    return np.flatnonzero(np.repeat(chosen, lengths))


def unit_starts(
    ids: Ids,
    place: Ids,
    word_starts: Bools,
    masking: Masking,
    draw: np.random.Generator,
    phrases: Phrases | None = None,
) -> Bools:
    """(N,) True for the first token of each unit that is masked as a whole or not at all.

    Args:
        ids: (T,) token ids.
        place: (N,) the positions of ordinary tokens.
        word_starts: (T,) True where a word begins.
        masking: its strategy, and for spans their lengths, which are drawn.
        draw: of these.
        phrases: for the strategy `pmi`; ValueError without.
    """
    if masking.strategy == "token":
        return np.ones(len(place), dtype=bool)
    # A document that was cut within a word begins with the rest of it.
    borders = np.diff(place, prepend=-2) > 1
    words = borders | word_starts[place]
    if masking.strategy == "span":
        return borders | _some_of(words, _span_starts(int(words.sum()), masking, draw))
    if masking.strategy == "pmi":
        if phrases is None:
            raise ValueError("the strategy 'pmi' needs phrases; mine them with masked_lm.pmi")
        document: Ids = np.cumsum(borders, dtype=np.int64)[words]
        return _some_of(words, _outside_phrases(word_hashes(ids[place], words), document, phrases))
    return words


def _some_of(words: Bools, kept: Bools) -> Bools:
    """The marks in `words` whose turn is True in `kept`."""
    some = words.copy()
    some[words] = kept
    return some


def _span_starts(num_words: int, masking: Masking, draw: np.random.Generator) -> Bools:
    """(W,) True for the first word of each run; runs have geometric lengths."""
    lengths = draw.geometric(masking.span_p, size=num_words).clip(max=masking.span_words)
    ends = np.cumsum(lengths)
    starts = np.zeros(num_words, dtype=bool)
    starts[:1] = True
    starts[ends[ends < num_words]] = True
    return starts


def _outside_phrases(hashes: Hashes, document: Ids, phrases: Phrases) -> Bools:
    """(W,) False for words of a phrase but its first; longer phrases are found first."""
    taken, outside = np.zeros(len(hashes), dtype=bool), np.ones(len(hashes), dtype=bool)
    for length in sorted(phrases, reverse=True):
        table, runs = phrases[length], ngram_hashes(hashes, length)
        if not len(table):
            continue
        known = table[np.searchsorted(table, runs).clip(max=len(table) - 1)] == runs
        for start in np.flatnonzero(known):
            stop = start + length
            if document[start] == document[stop - 1] and not taken[start:stop].any():
                taken[start:stop] = True
                outside[start + 1 : stop] = False
    return outside


def word_hashes(ids: Ids, words: Bools) -> Hashes:
    """(W,) a 64-bit number of each word, the same for the same pieces, from (N,) ids and (N,) True where a
    word begins, the first being one."""
    begin = np.flatnonzero(words)
    if not len(begin):
        return np.zeros(0, dtype=np.uint64)
    within = np.arange(len(ids)) - np.repeat(begin, np.diff(np.append(begin, len(ids))))
    return np.add.reduceat(_scatter((ids + (within << 32)).astype(np.uint64)), begin)


def ngram_hashes(hashes: Hashes, length: int) -> Hashes:
    """(max(0, W - length + 1),) a number of every run of `length` words, their order included."""
    count = max(0, len(hashes) - length + 1)
    total = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        total = _scatter(total + hashes[place : place + count])
    return total


def _scatter(numbers: Hashes) -> Hashes:
    """A bijection of 64-bit numbers that scatters neighbours (SplitMix64, Steele et al. 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
