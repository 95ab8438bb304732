"""Whole words are found as a regular expression finds them, and contexts drawn from everywhere."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbio.corpus.texts import Text
from longbio.vocabulary import lots
from longbio.vocabulary.contexts import Sought, find_contexts
from longbio.vocabulary.matching import Matcher

WORDS = ("art", "heart", "hearts", "µg", "naïve", "a_b", "é")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*WORDS, *" .,-_–’\n\u00a0\u200d", "x", "1", "ART", "É", "e\u0301", "漢", "😀"])
        | st.text(max_size=3),
        max_size=30,
    )
)
def test_matches_are_those_of_a_regular_expression(parts: list[str]) -> None:
    text = "".join(parts).encode(errors="ignore").decode()
    found = [
        (WORDS[word], start, stop)
        for word, start, stop in zip(*Matcher(WORDS).find(text.encode()), strict=True)
    ]
    assert found == list(brute(text, WORDS))


def brute(text: str, words: tuple[str, ...]):
    """As ripgrep's -w does: word characters are letters, marks, numbers, connectors and joiners."""
    import unicodedata

    def inside(character: str) -> bool:
        category = unicodedata.category(character)
        return category[0] in "LM" or category in ("Nd", "Nl", "Pc") or character in "\u200c\u200d"

    start = None
    for place, character in enumerate(text + " "):
        if inside(character) and start is None:
            start = place
        elif not inside(character) and start is not None:
            if text[start:place] in words:
                yield text[start:place], len(text[:start].encode()), len(text[:place].encode())
            start = None


def test_case_is_folded_where_asked() -> None:
    matcher = Matcher(("é", "heart"), fold_case=True)
    assert matcher.find("HEART É".encode())[0].tolist() == [1, 0]
    assert Matcher(("é", "heart")).find("HEART É".encode())[0].tolist() == []


def corpus(count: int) -> list[Text]:
    draw = np.random.default_rng(0)
    filler = ["the", "patient", "and", "slept", "well", "again"]
    return [
        Text(
            " ".join(
                [*draw.choice(filler, 30), f"heart{'' if n % 2 else 's'}", *draw.choice(filler, 30), f"n{n}"]
            )
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_contexts_are_the_same_whatever_reads_them(processes: int, monkeypatch) -> None:
    texts = corpus(60)
    sought = Sought(("heart", "hearts", "nowhere"), per_word=5, characters=20)
    once = find_contexts(texts, sought)
    monkeypatch.setattr(lots, "CHARACTERS_AT_ONCE", 2000)
    told: list[int] = []
    again = find_contexts(texts, sought, processes=processes, on_texts=told.append)
    assert again == once
    assert told[-1] == 60
    assert set(once) == {"heart", "hearts"}
    for word, contexts in once.items():
        assert len(contexts) == 5
        for context in contexts:
            assert context.text[context.start : context.stop] == word
            assert re.fullmatch(r"\S.*\S", context.text.strip())
            # Windows end where words do.
            assert all(
                each in "the patient and slept well again heart hearts" for each in context.text.split()
            )
    assert find_contexts(texts, Sought(sought.words, per_word=5, characters=20, seed=1)) != once


def test_every_place_is_as_likely() -> None:
    texts = corpus(40)
    counts: Counter[str] = Counter()
    for seed in range(400):
        for context in find_contexts(texts, Sought(("heart",), per_word=4, characters=500, seed=seed))[
            "heart"
        ]:
            counts[context.text.split()[-1]] += 1
    assert len(counts) == 20
    # Each of 20 places is drawn 80 times in the mean; the standard deviation is 8.
    assert all(45 < count < 115 for count in counts.values())


def test_a_long_text_is_read_in_parts_that_end_with_words(monkeypatch) -> None:
    monkeypatch.setattr(lots, "CHARACTERS_AT_ONCE", 50)
    text = " ".join(f"w{n}" for n in range(100))
    pieces = [piece for _, lot in lots.lots_of([Text(text), Text("")]) for piece in lot]
    assert "".join(piece.text for piece in pieces) == text
    assert all(len(piece.text) <= 50 for piece in pieces)
    words = tuple(f"w{n}" for n in range(100))
    assert set(find_contexts([Text(text)], Sought(words))) == set(words)
