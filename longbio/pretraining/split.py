"""Documents to learn from and documents to be measured on, with nothing of one in the other."""

from __future__ import annotations

import numpy as np

from longbio.masked_lm.masking import Bools, Hashes, Ids, ngram_hashes
from longbio.pretraining.shards import TokenizedCorpus

SHINGLE_TOKENS = 12
ONE_IN = 4
"""Of all shingles, those that are kept: a document of 400 tokens still has about a hundred."""

NEAR = 0.5

SETTINGS = (SHINGLE_TOKENS, ONE_IN, NEAR)
"""What the answer of `near_duplicates` depends on, its arguments apart."""


def held_out_documents(corpus: TokenizedCorpus, share: float, seed: int) -> Ids:
    """Numbers of the documents whose group's hash falls into the share.

    Args:
        corpus: the documents; those of one group (a patient) stay together.
        share: of the groups; below 1.
        seed: another one holds others out.
    """
    with_seed = np.stack([corpus.groups, np.full_like(corpus.groups, seed)], axis=1).ravel()
    # One number of each (group, seed); the pairs between two groups are left out.
    drawn = ngram_hashes(with_seed, 2)[::2]
    return np.flatnonzero(drawn < np.uint64(share * 2.0**64))


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
    """Of each document whether half of its 12-token shingles stand in one of the others.

    Args:
        corpus: where `documents` are.
        documents: to be judged.
        other: where `validation` is.
        validation: what nothing may be almost the same as.
    """
    shingles = [_shingles(other, number) for number in validation.tolist()]
    owners = np.repeat(np.arange(len(shingles)), [len(each) for each in shingles])
    table, first = np.unique(np.concatenate([np.zeros(0, np.uint64), *shingles]), return_index=True)
    is_near = np.zeros(len(documents), dtype=bool)
    if not len(table):
        return is_near
    for place, number in enumerate(documents.tolist()):
        own = _shingles(corpus, number)
        found = np.searchsorted(table, own).clip(max=len(table) - 1)
        hits = owners[first[found[table[found] == own]]]
        is_near[place] = len(own) > 0 and len(hits) > 0 and np.bincount(hits).max() >= NEAR * len(own)
    return is_near


def _shingles(corpus: TokenizedCorpus, document: int) -> Hashes:
    """Distinct hashes of runs of tokens, a fixed sample of them; all of a very short document."""
    ids, _ = corpus.document(document)
    hashes = np.unique(ngram_hashes(ids.astype(np.uint64), min(SHINGLE_TOKENS, max(1, len(ids)))))
    sampled = hashes[hashes % np.uint64(ONE_IN) == 0]
    return sampled if len(sampled) else hashes
