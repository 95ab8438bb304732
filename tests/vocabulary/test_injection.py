"""New pieces are pieces like the old ones: same ids as before, no added tokens, kept on disk."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from longbio.encoders.loading import load_tokenizer
from longbio.errors import LongbioError
from longbio.vocabulary.injection import inject, longest_match

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def word_piece(minilm_folder: Path):
    return load_tokenizer(minilm_folder)


def test_a_word_becomes_one_piece_and_keeps_its_plural(word_piece, tmp_path: Path) -> None:
    made = inject(word_piece, ["metoprolol", "bronchoconstriction"])
    assert made.tokenizer.tokenize("metoprolols and bronchoconstriction") == [
        "metoprolol", "##s", "and", "bronchoconstriction",
    ]  # fmt: skip
    assert [piece.id for piece in made.pieces] == [30522, 30523]
    old = word_piece.convert_tokens_to_ids(["met", "##op", "##rol", "##ol"])
    assert made.pieces[0].old_ids == tuple(old)
    made.tokenizer.save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    text = "Metoprolols, naïve bronchoconstriction: 5 µg"
    assert read(text)["input_ids"] == made.tokenizer(text)["input_ids"]
    assert len(read) == len(word_piece) + 2
    assert not read.added_tokens_encoder.keys() - word_piece.added_tokens_encoder.keys()


def test_a_continuation_is_used_within_words_alone(word_piece) -> None:
    made = inject(word_piece, ["##oprolol"])
    assert made.tokenizer.tokenize("metoprolol") == ["met", "##oprolol"]
    assert made.tokenizer.tokenize("oprolol") == word_piece.tokenize("oprolol")
    assert made.pieces[0].old_ids == tuple(word_piece.convert_tokens_to_ids(["##op", "##rol", "##ol"]))


def test_what_cannot_be_a_piece_is_counted_by_reason(word_piece) -> None:
    terms = ["drug", "", "##", "a b", "a\tb", "a\x00b", "Metoprolol", "naïve", "beta-blocker", "x" * 101]
    made = inject(word_piece, [*terms, "metoprolol", "metoprolol"])
    assert [piece.piece for piece in made.pieces] == ["metoprolol"]
    assert made.refused == {
        "already in the vocabulary": ("drug", "metoprolol"),
        "empty": ("", "##"),
        "white space or control characters": ("a b", "a\tb", "a\x00b"),
        "not as the tokenizer writes words (casing, accents)": ("Metoprolol", "naïve"),
        "more than one word to the tokenizer": ("beta-blocker",),
        "longer than 100 characters": ("x" * 101,),
    }


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(LETTERS, min_size=1, max_size=14), min_size=1, max_size=6), text=st.text())
def test_old_ids_stay_and_new_words_are_whole(word_piece, words: list[str], text: str) -> None:
    made = inject(word_piece, words)
    old, new = word_piece.get_vocab(), made.tokenizer.get_vocab()
    assert old.items() <= new.items()
    assert len(new) - len(old) == len(made.pieces) == len(set(words) - set(old))
    for word in words:
        assert made.tokenizer.tokenize(word) == [word]
    # Text without any letter of a new word is cut as before.
    without = "".join(" " if character.lower() in LETTERS else character for character in text)
    assert made.tokenizer.tokenize(without) == word_piece.tokenize(without)


@settings(max_examples=100, deadline=None)
@given(word=st.text(LETTERS, min_size=1, max_size=20))
def test_longest_match_is_what_the_tokenizer_does(word_piece, word: str) -> None:
    assert (
        longest_match(word, word_piece.get_vocab()) == word_piece(word, add_special_tokens=False)["input_ids"]
    )


def test_byte_level_bpe_gets_the_merges_and_the_rows_between(byte_pairs, tmp_path: Path) -> None:
    made = inject(byte_pairs, ["metol", "metox", "the"])
    assert made.refused == {"already in the vocabulary": ("the",)}
    assert [(piece.piece, piece.is_asked) for piece in made.pieces] == [
        ("Ġmetol", True),
        ("Ġmeto", False),
        ("Ġmetox", True),
    ]
    both = inject(byte_pairs, ["metox", "meto", "meto"])
    assert [(piece.piece, piece.is_asked) for piece in both.pieces] == [("Ġmeto", True), ("Ġmetox", True)]
    assert both.refused == {"already in the vocabulary": ("meto",)}
    assert made.tokenizer.tokenize("the metol, metox metols") == [
        "t", "h", "e", "Ġmetol", ",", "Ġmetox", "Ġmetol", "s",
    ]  # fmt: skip
    assert byte_pairs.convert_ids_to_tokens(made.pieces[0].old_ids) == ["Ġmet", "ol"]
    assert byte_pairs.convert_ids_to_tokens(made.pieces[1].old_ids) == ["Ġmet", "o"]
    made.tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).tokenize(" metox") == ["Ġmetox"]


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text("metolhxs", min_size=1, max_size=10), min_size=1, max_size=8))
def test_every_word_that_bpe_took_is_one_piece(byte_pairs, words: list[str]) -> None:
    made = inject(byte_pairs, words)
    assert byte_pairs.get_vocab().items() <= made.tokenizer.get_vocab().items()
    refused = {word for of_reason in made.refused.values() for word in of_reason}
    for word in set(words) - refused:
        assert len(made.tokenizer.tokenize(f" {word}")) == 1


def test_other_kinds_of_tokenizers_are_refused_by_name() -> None:
    made = Tokenizer(models.Unigram([("a", -1.0)], unk_id=0))
    with pytest.raises(LongbioError, match="Unigram can't be extended"):
        inject(PreTrainedTokenizerFast(tokenizer_object=made), ["metoprolol"])


def test_added_tokens_keep_their_ids(minilm_folder: Path, byte_pairs, tmp_path: Path) -> None:
    for tokenizer in (load_tokenizer(minilm_folder), copy.deepcopy(byte_pairs)):
        tokenizer.add_tokens(["[DEID]", "[AGE]"])
        before = tokenizer.get_vocab()
        made = inject(tokenizer, ["metoprolol", "metol"])
        made.tokenizer.save_pretrained(tmp_path / tokenizer.__class__.__name__)
        read = AutoTokenizer.from_pretrained(tmp_path / tokenizer.__class__.__name__)
        for after in (made.tokenizer, read):
            assert before.items() <= after.get_vocab().items()
            assert len(set(after.get_vocab().values())) == len(after)
            assert before["[DEID]"] in after("a [DEID] metol", add_special_tokens=False)["input_ids"]
        assert all(piece.id >= len(before) for piece in made.pieces)


def test_bpe_without_bytes_is_refused() -> None:
    made = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")]))
    with pytest.raises(LongbioError, match="BPE without bytes"):
        inject(PreTrainedTokenizerFast(tokenizer_object=made), ["abb"])
