"""Phrases whose words belong together: n-grams of high pointwise mutual information.

Levine et al. 2021 (PMI-Masking): a phrase scores by how much likelier it is than its likeliest
cut into parts, so that "obstructive pulmonary disease of" isn't carried by its first three words.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from longbio.masked_lm.masking import Bools, Hashes, Ids, Phrases, ngram_hashes, word_hashes

LONGEST = 5  # words


def mine_phrases(
    documents: Iterable[tuple[Ids, Bools]], *, size: int = 20_000, min_count: int = 10
) -> Phrases:
    """The phrases of a corpus, of two to five words: sorted hashes, by their number of words.

    Args:
        documents: of each its token ids, and where words begin.
        size: phrases kept at most, a quarter of them of each length.
        min_count: occurrences a phrase needs.
    """
    words = [word_hashes(ids, starts) for ids, starts in documents]
    lengths = range(1, LONGEST + 1)
    grams = {n: [ngram_hashes(hashes, n) for hashes in words] for n in lengths}
    tables = {n: np.unique(_concatenate(grams[n]), return_counts=True) for n in lengths}
    phrases = {}
    for length in range(2, LONGEST + 1):
        known, counts = tables[length]
        known = known[counts >= min_count]
        parts = {n: _parts(grams, known, length, n) for n in range(1, length + 1)}
        chance = {n: [_log_share(tables[n], part) for part in parts[n]] for n in parts}
        best = np.argsort(-_pmi(chance, length), kind="stable")[: size // (LONGEST - 1)]
        phrases[length] = np.sort(known[best])
    return phrases


def _parts(grams: dict[int, list[Hashes]], known: Hashes, length: int, part: int) -> list[Hashes]:
    """Of each known n-gram the parts of `part` words, by the word they begin with."""
    parts: list[list[Hashes]] = [[] for _ in range(length - part + 1)]
    whole = []
    for in_document, runs in zip(grams[length], grams[part], strict=True):
        is_known = np.isin(in_document, known)
        whole.append(in_document[is_known])
        for start, by_document in enumerate(parts):
            by_document.append(runs[start : start + len(in_document)][is_known])
    # One occurrence of each is enough: all of them have the same parts.
    _, first = np.unique(_concatenate(whole), return_index=True)
    return [_concatenate(by_document)[first] for by_document in parts]


def _log_share(table: tuple[Hashes, Ids], hashes: Hashes) -> NDArray[np.float64]:
    """Logarithm of the share that each n-gram has among those of its length."""
    known, counts = table
    return np.log(counts[np.searchsorted(known, hashes)] / counts.sum())


def _pmi(chance: dict[int, list[NDArray[np.float64]]], length: int) -> NDArray[np.float64]:
    """Whole against likeliest cut, for every n-gram of `length` words."""
    # likeliest[k]: of the first k words, cut or not, but never all of them whole.
    likeliest = [np.zeros_like(chance[1][0])]
    for stop in range(1, length + 1):
        ways = [
            likeliest[start] + chance[stop - start][start] for start in range(stop) if stop - start < length
        ]
        likeliest.append(np.max(ways, axis=0))
    return chance[length][0] - likeliest[length]


def _concatenate(arrays: list[Hashes]) -> Hashes:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.uint64)
