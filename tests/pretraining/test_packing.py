"""Packing: nothing lost, nothing twice, little padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbio.pretraining.packing import Frame, pack_row, plan
from longbio.pretraining.shards import Shard, TokenizedCorpus

FRAME = Frame(first=1, last=2, padding=0)


def corpus_of(lengths: list[int]) -> TokenizedCorpus:
    ids = np.concatenate([np.arange(n) + 1000 * (d + 1) for d, n in enumerate(lengths)] or [np.zeros(0)])
    starts = np.arange(len(ids)) % 3 == 0
    groups = np.arange(len(lengths), dtype=np.uint64)
    return TokenizedCorpus([Shard(ids.astype(np.uint32), starts, np.array(lengths, np.int64), groups)])


@given(st.lists(st.integers(0, 90), max_size=30), st.sampled_from([3, 10, 33, 64]), st.sampled_from([1, 8]))
@settings(max_examples=150, deadline=None)
def test_every_token_stands_in_one_sequence(lengths: list[int], max_tokens: int, block: int) -> None:
    corpus = corpus_of(lengths)
    made = plan(corpus.lengths, np.arange(len(lengths)), max_tokens, block)
    found = []
    for row in range(len(made)):
        sequence = pack_row(corpus, made.pieces(row), FRAME, block)
        assert len(sequence.ids) <= -(-max_tokens // block) * block
        found += sequence.ids[sequence.ordinary].tolist()
        for number in range(sequence.document_ids.max() + 1):
            own = np.flatnonzero(sequence.document_ids == number)
            assert own[0] % block == 0
            assert len(own) <= max_tokens
            assert (sequence.ids[own[0]], sequence.ids[own[-1]]) == (1, 2)
            assert sequence.ordinary[own].tolist() == [False, *[True] * (len(own) - 2), False]
        assert (sequence.ids[sequence.document_ids < 0] == 0).all()
        assert not sequence.ordinary[sequence.document_ids < 0].any()
        assert not sequence.word_starts[~sequence.ordinary].any()
    assert sorted(found) == sorted(corpus.shards[0].ids.tolist())


def test_word_starts_stay_beside_their_ids() -> None:
    corpus = corpus_of([7, 5])
    made = plan(corpus.lengths, np.arange(2), 16)
    sequence = pack_row(corpus, made.pieces(0), FRAME)
    by_id = dict(zip(corpus.shards[0].ids.tolist(), corpus.shards[0].word_starts.tolist(), strict=True))
    own = sequence.ordinary
    assert sequence.word_starts[own].tolist() == [by_id[i] for i in sequence.ids[own].tolist()]


def test_notes_of_all_lengths_fill_98_percent() -> None:
    draw = np.random.default_rng(0)
    lengths = np.exp(draw.normal(6.5, 0.9, size=3000)).astype(np.int64)
    assert plan(lengths, np.arange(3000), 4096).filled > 0.98
    assert plan(lengths, np.arange(3000), 512).filled > 0.98
    alone = plan(lengths, np.arange(3000), 4096, alone=True)
    assert len(alone) == len(alone.pieces_P3)


def test_only_the_chosen_documents_are_packed_and_the_same_way_again() -> None:
    lengths = np.array([5, 6, 0, 7, 100])
    made, again = (plan(lengths, np.array([1, 2, 3]), 32) for _ in range(2))
    assert set(made.pieces_P3[:, 0].tolist()) == {1, 3}
    assert (made.pieces_P3 == again.pieces_P3).all()
    assert len(plan(lengths, np.array([2]), 32)) == 0


def test_no_room_is_said() -> None:
    with pytest.raises(ValueError, match="no room"):
        plan(np.array([3]), np.array([0]), 2)
