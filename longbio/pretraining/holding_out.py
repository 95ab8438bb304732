"""Documents to learn from and documents to be measured on, with nothing of one in the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from longbio.masked_lm.evaluation import bits_per_masked_token
from longbio.masked_lm.masking import Bools, Hashes, Ids, Vocabulary, mask_tokens, ngram_hashes
from longbio.pretraining.shards import TokenizedCorpus

SHINGLE_TOKENS = 12
ONE_IN = 4
"""Of all shingles, those that are kept: a document of 400 tokens still has about a hundred."""

NEAR = 0.5
"""Of a document's shingles, those that stand in a single held-out one."""

CONTAINED = 0.9
"""Of a held-out document's shingles, those that stand in a longer one."""

MOST_OWNERS = 64
"""What stands in more held-out documents is a form's own text: it is counted for the shortest of them,
which are the likeliest to stand in another document as a whole."""

SETTINGS = (SHINGLE_TOKENS, ONE_IN, NEAR, CONTAINED, MOST_OWNERS)
"""What the answer of `near_duplicates` depends on, its arguments apart."""


@dataclass(frozen=True, eq=False)
class Source:
    """A corpus, and the numbers of the documents to learn from."""

    corpus: TokenizedCorpus
    train: Ids


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Documents, by number, that models are measured on, up to `max_tokens` together, as inputs of `lengths`
    tokens."""

    corpus: TokenizedCorpus
    documents: Ids
    lengths: tuple[int, ...]
    max_tokens: int = 100_000

    def bits(self, model: PreTrainedModel, tokenizer: Any, lengths: tuple[int, ...]) -> dict[str, float]:
        """Bits per masked token of a masked-LM model in evaluation mode, by length: special tokens included,
        15% of the others masked, the same ones at every length and call."""
        vocabulary = Vocabulary.of(tokenizer)
        masked, total = [], 0
        for number in self.documents.tolist():
            ids, starts = self.corpus.document(number)
            if total >= self.max_tokens or not len(ids):
                continue
            ordinary = np.ones(len(ids), dtype=bool)
            masked.append(mask_tokens(ids, ordinary, starts, vocabulary, seed=(number,)))
            total += len(ids)
        frame = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
        return {str(n): bits_per_masked_token(model, masked, num_tokens=n, frame=frame) for n in lengths}


def held_out_documents(groups: Hashes, share: float, seed: int) -> Ids:
    """Numbers of the documents whose group's hash falls into the share of the groups, below 1. Documents of
    one group (a patient) stay together; another seed holds others out."""
    return np.flatnonzero(_draw(groups, seed) < np.uint64(share * 2.0**64))


def least_share(groups: Hashes, seed: int) -> float:
    """The share at which the first of the groups is held out."""
    return float(_draw(groups, seed).min()) / 2.0**64


def _draw(groups: Hashes, seed: int) -> Hashes:
    with_seed = np.stack([groups, np.full_like(groups, seed)], axis=1).ravel()
    # One number of each (group, seed); the pairs between two groups are left out.
    return ngram_hashes(with_seed, 2)[::2]


def in_groups_of(corpus: TokenizedCorpus, other: TokenizedCorpus, held_out: Ids) -> Bools:
    """Of each document of a corpus whether its group is that of one of those held out, numbers in `other`."""
    return np.isin(corpus.groups, other.groups[held_out])


def near_duplicates(
    corpus: TokenizedCorpus, documents: Ids, other: TokenizedCorpus, validation: Ids
) -> Bools:
    """Of each document whether half of it stands in one of the others, or almost all of one of them in it.

    Halves are of 12-token shingles. Of a held-out document with fewer tokens only copies are found: a phrase
    stands everywhere. The work grows with the tokens, not with the pairs of documents.

    Args:
        documents: numbers in `corpus`, to be judged.
        validation: numbers in `other`.
    """
    hash_N, owner_N, counted = _owners(other, validation)
    copies = {other.document(number)[0].tobytes() for number in validation.tolist()} - {b""}
    is_near = np.zeros(len(documents), dtype=bool)
    for place, number in enumerate(documents.tolist()):
        if corpus.document(number)[0].tobytes() in copies:
            is_near[place] = True
            continue
        hashes = _shingles(corpus, number)
        is_sampled = _sample(hashes)
        first, last = (np.searchsorted(hash_N, hashes, side=side) for side in ("left", "right"))
        hit = np.flatnonzero(last > first)
        if not len(hit):
            continue
        owners = owner_N[np.concatenate([*map(np.arange, first[hit], last[hit])])]
        of_sample = np.repeat(is_sampled[hit], last[hit] - first[hit])
        theirs, hits = np.unique(owners, return_counts=True)
        resembles = of_sample.any() and np.bincount(owners[of_sample]).max() >= NEAR * is_sampled.sum()
        is_near[place] = resembles or bool((hits >= CONTAINED * counted[theirs]).any())
    return is_near


def _owners(other: TokenizedCorpus, validation: Ids) -> tuple[Hashes, Ids, Ids]:
    """(N,) sampled shingles, sorted; (N,) whose they are, at most `MOST_OWNERS` times; and how many were
    counted for each owner. Owners are numbered from the shortest."""
    every = (_shingles(other, number) for number in validation.tolist())
    known = sorted((hashes[_sample(hashes)] for hashes in every), key=len)
    owner_N = np.repeat(np.arange(len(known)), [len(hashes) for hashes in known])
    hash_N = np.concatenate([np.zeros(0, np.uint64), *known])
    order = np.lexsort((owner_N, hash_N))
    hash_N, owner_N = hash_N[order], owner_N[order]
    is_counted = np.arange(len(hash_N)) - np.searchsorted(hash_N, hash_N) < MOST_OWNERS
    counted = np.bincount(owner_N[is_counted], minlength=len(known))
    return hash_N[is_counted], owner_N[is_counted], counted


def _shingles(corpus: TokenizedCorpus, document: int) -> Hashes:
    """Distinct hashes of runs of tokens; of a shorter document, one of the whole of it."""
    ids, _ = corpus.document(document)
    return np.unique(ngram_hashes(ids.astype(np.uint64), min(SHINGLE_TOKENS, max(1, len(ids)))))


def _sample(hashes: Hashes) -> Bools:
    """A fixed sample of shingles, the same in every document; all of a very short one."""
    is_sampled = hashes % np.uint64(ONE_IN) == 0
    return is_sampled if is_sampled.any() else np.ones(len(hashes), dtype=bool)
