"""Documents to learn from and documents to be measured on, with nothing of one in the other."""

from __future__ import annotations

import numpy as np

from longbio.masked_lm.masking import Bools, Hashes, Ids, ngram_hashes
from longbio.pretraining.shards import TokenizedCorpus

SHINGLE_TOKENS = 12
ONE_IN = 4
"""Of all shingles, those that are kept: a document of 400 tokens still has about a hundred."""

NEAR = 0.5

MOST_OWNERS = 64
"""What stands in more held-out documents is a form's own text: it is counted for so many of them."""

SETTINGS = (SHINGLE_TOKENS, ONE_IN, NEAR, MOST_OWNERS)
"""What the answer of `near_duplicates` depends on, its arguments apart."""


def held_out_documents(groups: Hashes, share: float, seed: int) -> Ids:
    """Numbers of the documents whose group's hash falls into the share.

    Args:
        groups: of the documents; those of one group (a patient) stay together.
        share: of the groups; below 1.
        seed: another one holds others out.
    """
    return np.flatnonzero(_drawn(groups, seed) < np.uint64(share * 2.0**64))


def least_share(groups: Hashes, seed: int) -> float:
    """The share at which the first of the groups is held out."""
    return float(_drawn(groups, seed).min()) / 2.0**64


def _drawn(groups: Hashes, seed: int) -> Hashes:
    with_seed = np.stack([groups, np.full_like(groups, seed)], axis=1).ravel()
    # One number of each (group, seed); the pairs between two groups are left out.
    return ngram_hashes(with_seed, 2)[::2]


def of_their_groups(corpus: TokenizedCorpus, other: TokenizedCorpus, held_out: Ids) -> Bools:
    """Of each document whether its group is that of one that is held out, there or elsewhere.

    Args:
        corpus: the documents to be judged.
        other: where `held_out` is.
        held_out: by number.
    """
    return np.isin(corpus.groups, other.groups[held_out])


def near_duplicates(
    corpus: TokenizedCorpus, documents: Ids, other: TokenizedCorpus, validation: Ids
) -> Bools:
    """Of each document whether half of its 12-token shingles stand in one of the others, or all of it.

    Args:
        corpus: where `documents` are.
        documents: to be judged.
        other: where `validation` is.
        validation: what nothing may be almost the same as.
    """
    known = [_shingles(other, number) for number in validation.tolist()]
    owner_N = np.repeat(np.arange(len(known)), [len(each) for each in known])
    hash_N = np.concatenate([np.zeros(0, np.uint64), *known])
    order = np.lexsort((owner_N, hash_N))
    hash_N, owner_N = hash_N[order], owner_N[order]
    copies = {other.document(number)[0].tobytes() for number in validation.tolist()} - {b""}
    is_near = np.zeros(len(documents), dtype=bool)
    for place, number in enumerate(documents.tolist()):
        own = _shingles(corpus, number)
        first, last = (np.searchsorted(hash_N, own, side=side) for side in ("left", "right"))
        last = np.minimum(last, first + MOST_OWNERS)
        hits = owner_N[np.concatenate([np.zeros(0, np.int64), *map(np.arange, first, last)])]
        is_copy = corpus.document(number)[0].tobytes() in copies
        is_near[place] = is_copy or (len(hits) > 0 and np.bincount(hits).max() >= NEAR * len(own))
    return is_near


def _shingles(corpus: TokenizedCorpus, document: int) -> Hashes:
    """Distinct hashes of runs of tokens, a fixed sample of them; all of a very short document."""
    ids, _ = corpus.document(document)
    hashes = np.unique(ngram_hashes(ids.astype(np.uint64), min(SHINGLE_TOKENS, max(1, len(ids)))))
    sampled = hashes[hashes % np.uint64(ONE_IN) == 0]
    return sampled if len(sampled) else hashes
