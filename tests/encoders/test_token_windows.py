from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from longbio.encoders.token_windows import Window, tokenize, windows_of


def check_windows(num_tokens: int, max_tokens: int, overlap: int) -> None:
    windows = windows_of(4, num_tokens, max_tokens=max_tokens, overlap=overlap)
    room = max_tokens - 2
    owner = np.zeros(num_tokens, dtype=int)
    for window in windows:
        assert window.document == 4
        assert 0 <= window.tokens.start <= window.tokens.stop <= num_tokens
        assert window.tokens.stop - window.tokens.start <= room
        assert window.tokens.start <= window.owned.start <= window.owned.stop <= window.tokens.stop
        owner[window.owned] += 1
    assert (owner == 1).all()

    for before, after in pairwise(windows):
        assert before.tokens.start < after.tokens.start
        assert before.tokens.stop - after.tokens.start >= overlap
        assert before.owned.stop == after.owned.start
        # A token at the border has half of the overlap around it, whoever owns it.
        assert before.tokens.stop - before.owned.stop >= overlap // 2
        assert after.owned.start - after.tokens.start >= overlap // 2
    if len(windows) > 1:
        # No more windows than it takes.
        step = room - overlap
        assert len(windows) == -(-(num_tokens - overlap) // step)


def small_cases() -> Iterator[tuple[int, int, int]]:
    for room in range(1, 13):
        for overlap in range(room):
            for num_tokens in range(50):
                yield num_tokens, room + 2, overlap


def test_every_token_is_owned_once_whatever_the_sizes() -> None:
    """All small cases, and large ones drawn at random."""
    for case in small_cases():
        check_windows(*case)
    draw = random.Random(0)
    for _ in range(500):
        room = draw.randint(1, 5000)
        check_windows(draw.randint(0, 60_000 if room > 60 else 600), room + 2, draw.randrange(room))


def test_a_document_that_fits_is_one_window() -> None:
    for num_tokens in (0, 1, 10):
        whole = slice(0, num_tokens)
        assert windows_of(0, num_tokens, max_tokens=12, overlap=3) == [Window(0, whole, whole)]


@pytest.mark.parametrize(("max_tokens", "overlap"), [(12, 10), (12, 11), (12, -1), (2, 0), (0, 0)])
def test_windows_that_would_never_move_on(max_tokens: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=f"overlap of {overlap} tokens leaves nothing"):
        windows_of(0, 100, max_tokens=max_tokens, overlap=overlap)


def test_tokens_have_offsets_words_and_roles(tokenizer: Any) -> None:
    text = "the patient\n has pain, no fever"
    tokens = tokenize(text, tokenizer, [(5, 6), (17, 21)])
    pieces = [text[start:end] for start, end in tokens.offsets]
    assert pieces == ["the", "patient", "has", "pain", ",", "no", "fever"]
    assert tokens.ids.tolist() == [5, 6, 7, 8, 1, 10, 11]
    assert tokens.words.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert tokens.is_global.tolist() == [False, True, False, True, False, False, False]
    # Spans end before their last number: the comma touches "pain" and is not in it.
    assert tokenize(text, tokenizer, [(21, 22)]).is_global.nonzero()[0].tolist() == [4]


def test_a_text_of_nothing_has_no_tokens(tokenizer: Any) -> None:
    for text in ("", "  \n"):
        tokens = tokenize(text, tokenizer, [(0, 1)])
        assert tokens.ids.shape == (0,)
        assert tokens.offsets.shape == (0, 2)


def test_long_texts_are_not_cut(tokenizer: Any) -> None:
    tokens = tokenize("pain " * 1000, tokenizer)
    assert len(tokens.ids) == 1000
    assert tokens.offsets[-1].tolist() == [4995, 4999]
    assert not tokens.is_global.any()
