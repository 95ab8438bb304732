"""Words cut to pieces are found, counted over their spellings, and ranked by what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from longbio.vocabulary.mine import Candidate, mine


@pytest.fixture
def tokenizer(tiny_bert_folder: Path):
    """Knows 'drug', 'the', 'patient' and '##s'; all other words are cut into letters."""
    return AutoTokenizer.from_pretrained(tiny_bert_folder)


def test_words_are_ranked_by_the_tokens_they_cost(tokenizer) -> None:
    texts = [
        "The patient: warfarin, Warfarin and warfarin.",
        "ibuprofenum; mg mg mg mg mg mg mg; x9999 x9999",
    ]
    mined = mine(texts, tokenizer, min_count=1)
    assert mined.candidates == (
        Candidate("warfarin", 3, 8),
        Candidate("ibuprofenum", 1, 11),
        Candidate("and", 1, 3),
    )
    assert mined.candidates[0].saved_tokens == 21


def test_thresholds_and_totals(tokenizer) -> None:
    mined = mine(["drug drugs warfarin", "warfarin the"], tokenizer, min_count=2, min_pieces=2, limit=1)
    assert [candidate.word for candidate in mined.candidates] == ["warfarin"]
    assert (mined.num_words, mined.num_tokens) == (5, 1 + 2 + 8 + 8 + 1)
    assert mined.pieces_per_word == pytest.approx(4.0)
    assert mine([], tokenizer).pieces_per_word == 0.0
    assert mine(["warfarin"], tokenizer, min_count=2).candidates == ()
