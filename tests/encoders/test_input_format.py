"""Rows: framed, padded, with their roles, and as transformers itself would frame them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from longbio.encoders.input_format import InputFormat
from longbio.encoders.token_windows import Tokens, tokenize
from longbio.errors import LongbioError


def made(number: int, chosen: tuple[int, ...] = ()) -> Tokens:
    ids = np.arange(20, 20 + number)
    is_global = np.isin(np.arange(number), chosen)
    places = np.zeros((number, 2), dtype=np.int64)
    return Tokens(ids, places, np.arange(number), places, is_global)


def long_format(tokenizer: Any, max_tokens: int = 64, separators: int = 1) -> InputFormat:
    return InputFormat(tokenizer, max_tokens, takes_global=True, takes_types=True, separators=separators)


def test_rows_are_framed_padded_and_know_their_global_tokens(tokenizer: Any) -> None:
    inputs = long_format(tokenizer)
    rows = [inputs.row(made(9, (0, 4)), slice(3, 7)), inputs.row(made(2), slice(0, 2), roles=())]
    assert [row.text for row in rows] == [slice(1, 5), slice(1, 3)]
    batch = inputs.batch(rows)
    assert batch["input_ids"].tolist() == [[2, 23, 24, 25, 26, 3], [2, 20, 21, 3, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0]]
    assert batch["global_attention_mask"].tolist() == [[1, 0, 1, 0, 0, 0], [0] * 6]
    assert not batch["token_type_ids"].any()
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}

    plain = InputFormat(tokenizer, 64, takes_global=False, takes_types=False, separators=1)
    assert plain.batch(rows).keys() == {"input_ids", "attention_mask"}


def test_a_query_stands_whole_before_its_text(tokenizer: Any) -> None:
    inputs = long_format(tokenizer, separators=2)
    query, text = tokenize("no fever", tokenizer), made(9, (4,))
    row = inputs.row(text, slice(3, 6), query, ("cls", "query"))
    assert row.ids.tolist() == [2, 10, 11, 3, 3, 23, 24, 25, 3]
    assert row.types.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert row.is_global.tolist() == [True, True, True, False, False, False, True, False, False]
    assert row.text == slice(5, 8)
    assert inputs.room(query) == 64 - 6
    assert inputs.row(text, slice(3, 6), query, ()).is_global.tolist() == [False] * 6 + [True, False, False]


def test_scattered_tokens_make_a_row(tokenizer: Any) -> None:
    row = long_format(tokenizer).row(made(9, (8,)), np.array([0, 1, 8]))
    assert row.ids.tolist() == [2, 20, 21, 28, 3]
    assert row.is_global.tolist() == [True, False, False, True, False]


def test_an_empty_document_is_its_frame(tokenizer: Any) -> None:
    inputs = long_format(tokenizer)
    assert inputs.batch([inputs.row(made(0), slice(0, 0))])["input_ids"].tolist() == [[2, 3]]


def test_a_query_that_leaves_no_room_is_refused(tokenizer: Any) -> None:
    inputs = long_format(tokenizer, max_tokens=20)
    inputs.refuse_long_query(made(7), "question 1")
    with pytest.raises(LongbioError, match="question 7: the question or first text has 8 tokens"):
        inputs.refuse_long_query(made(8), "question 7")


def test_headings_are_global_where_they_are_asked_for(tokenizer: Any) -> None:
    text = "PAIN:\nno fever"
    inputs = long_format(tokenizer)
    assert inputs.tokens(text, ("cls", "headings")).is_global.tolist()[0]
    assert not inputs.tokens(text, ("cls",)).is_global.any()
    short = InputFormat(tokenizer, 64, takes_global=False, takes_types=True, separators=1)
    assert not short.tokens(text, ("headings",)).is_global.any()


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_pairs_are_framed_as_transformers_frames_them(family: str) -> None:
    """The same ids and types as the tokenizer's own, for one text and for two."""
    words = ["no", "fever", "the", "patient", "has", "pain"]
    if family == "bert":
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
        tokenizer: Any = transformers.BertTokenizer(vocab={word: i for i, word in enumerate(vocabulary)})
        config: Any = transformers.BertConfig(max_position_embeddings=64)
    else:
        letters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyz", "Ġ"]
        tokenizer = transformers.RobertaTokenizer(
            vocab={letter: i for i, letter in enumerate(letters)}, merges=[]
        )
        config = transformers.RobertaConfig(max_position_embeddings=66)
    inputs = InputFormat.of(config, tokenizer)
    assert inputs.max_tokens == 64
    question, text = "no fever", "the patient has pain"
    tokens = inputs.tokens(text)
    row = inputs.row(tokens, slice(0, len(tokens.ids)), inputs.tokens(question))
    theirs = tokenizer(question, text, return_token_type_ids=True)
    assert row.ids.tolist() == theirs["input_ids"]
    assert inputs.takes_types == (family == "bert")
    if inputs.takes_types:
        assert row.types.tolist() == theirs["token_type_ids"]
    alone = inputs.row(tokens, slice(0, len(tokens.ids)))
    assert alone.ids.tolist() == tokenizer(text)["input_ids"]
