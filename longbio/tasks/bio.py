"""The likeliest tags that make sense together: an I follows only a B or an I of its own type.

Viterbi's algorithm, for a table of transitions that is known: whatever was before, O and every B may
follow, so a mention either begins after the best of all tags or goes on from its own type. That costs
as much as there are tags, not their square.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def best_tags(scores: NDArray[Any], first_words: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The sequence of tags with the highest sum of scores in which each I-x follows B-x or I-x.

    Of equal sums, the one that is found is the same each time.

    Args:
        scores: (N, C) of N words, logits or log-probabilities; -inf forbids a tag. Tags are numbered as
            `tags.Labels` has them: 0 is O, type i has 2i + 1 for B and 2i + 2 for I.
        first_words: the indices of words that begin a sentence and go on with no mention before them.
            The first word of all needs no mention.

    Returns:
        (N,) tags.

    Raises:
        ValueError: the tags aren't O and pairs of B and I, or a word has a score that is NaN or infinite,
            or only -inf.
    """
    if scores.ndim != 2 or scores.shape[1] % 2 == 0:
        raise ValueError(f"scores {scores.shape} are not of words and O, B and I tags")
    if not len(scores):
        return np.zeros(0, dtype=np.int64)

    highest = scores.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():
        raise ValueError("scores are NaN, infinite, or -inf for all tags of a word")
    # What a word loses against its best tag: sums stay small over a long document.
    losses = scores.astype(np.float64) - highest

    # Column 0 is O, which only begins; column i + 1 is type i.
    begins = np.concatenate([losses[:, :1], losses[:, 1::2]], axis=1)
    goes_on = np.concatenate([np.full_like(losses[:, :1], -np.inf), losses[:, 2::2]], axis=1)
    goes_on[0] = -np.inf
    if first_words is not None:
        goes_on[first_words] = -np.inf

    return _trace_back(*_best_sums(begins, goes_on))


def _best_sums(
    begins: NDArray[np.float64], goes_on: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Walk through the words.

    Args:
        begins: (N, 1 + types) what O or a new mention of each type adds at a word.
        goes_on: (N, 1 + types) what a mention of each type adds where it goes on.

    Returns:
        (N, 1 + types) whether the best sequence that ends with a type goes on from the word before;
        (N,) what the best of all sequences up to a word ends with.
    """
    sums = np.empty_like(begins)
    last, best = np.zeros_like(begins[0]), np.zeros(1)
    begun, gone_on = np.empty_like(last), np.empty_like(last)
    # Each call costs more than its arithmetic here, so they are few, and write where they are told.
    for begin, go_on, total in zip(begins, goes_on, sums, strict=True):
        np.add(begin, best, out=begun)
        np.add(go_on, last, out=gone_on)
        np.maximum(begun, gone_on, out=total)
        np.maximum.reduce(total, axis=0, out=best, keepdims=True)
        last = total

    before = np.concatenate([np.zeros_like(sums[:1]), sums[:-1]])
    return goes_on + before > begins + before.max(axis=1, keepdims=True), sums.argmax(axis=1)


def _trace_back(goes_on: NDArray[np.bool_], best: NDArray[np.int64]) -> NDArray[np.int64]:
    # The word at which a mention that holds this word, if it does, has begun.
    words = np.arange(len(best))
    begun = np.maximum.accumulate(np.where(goes_on, 0, words[:, None]), axis=0)
    tags = np.zeros(len(best), dtype=np.int64)
    word = len(best) - 1
    while word >= 0:
        column = best[word]
        first = begun[word, column]
        if column:
            tags[first : word + 1] = 2 * column
            tags[first] = 2 * column - 1
        word = first - 1
    return tags
