"""Whole words are found as a regular expression finds them, and contexts drawn from everywhere."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longbio.corpus.texts import Text
from longbio.encoders.loading import load_tokenizer
from longbio.errors import LongbioError
from longbio.vocabulary import text_lots
from longbio.vocabulary.contexts import Sought, find_contexts
from longbio.vocabulary.whole_words import Folding, Matcher

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
    matcher = Matcher(("é", "heart"), Folding(case=True))
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
    monkeypatch.setattr(text_lots, "CHARACTERS_AT_ONCE", 2000)
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
    monkeypatch.setattr(text_lots, "CHARACTERS_AT_ONCE", 50)
    text = " ".join(f"w{n}" for n in range(100))
    pieces = [piece for _, lot in text_lots.lots_of([Text(text), Text("")]) for piece in lot]
    assert "".join(piece.text for piece in pieces) == text
    assert all(len(piece.text) <= 50 for piece in pieces)
    words = tuple(f"w{n}" for n in range(100))
    assert set(find_contexts([Text(text)], Sought(words))) == set(words)


def test_words_are_found_as_the_tokenizer_reads_them(minilm_folder: Path) -> None:
    folding = Folding.of(load_tokenizer(minilm_folder))
    assert folding == Folding(case=True, accents=True, underscores=True)
    text = "Ménière, Me\u0301nie\u0300re: drug_WARFARIN_x. Ménières naïve\0ẞ"
    words = ("meniere", "warfarin", "naive")
    found = zip(*Matcher(words, folding).find(text.encode()), strict=True)
    assert [(words[word], text.encode()[start:stop].decode()) for word, start, stop in found] == [
        ("meniere", "Ménière"),
        ("meniere", "Me\u0301nie\u0300re"),
        ("warfarin", "WARFARIN"),
        ("naive", "naïve"),
    ]
    (_, start, stop), *_ = zip(*Matcher(("cafe",), folding).find("a café.".encode()), strict=True)
    assert "a café.".encode()[start:stop].decode() == "café"
    contexts = find_contexts([Text(text)], Sought(words, folding))
    assert [c.text[c.start : c.stop] for c in contexts["naive"]] == ["naïve"]
    assert not Matcher(words).find(text.encode())[0].size


@given(st.text("aAé\u0301Éïß_ .\0", max_size=30))
@settings(max_examples=200, deadline=None)
def test_folded_places_are_those_of_the_words(text: str) -> None:
    def read(word: str) -> str:
        plain = (c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")
        return "".join(plain).lower()

    words = ("a", "e", "ae", "aa", "ß", "i")
    found = zip(*Matcher(words, Folding(True, True, True)).find(text.encode()), strict=True)
    # A mark after a sign belongs to no letter: it is part of the next word, or of none.
    wanted = [m.group() for m in re.finditer(r"[^_ .\0]+", text)]
    assert [words[w] for w, _, _ in found] == [read(word) for word in wanted if read(word) in words]


def test_marks_of_deidentification_are_no_contexts() -> None:
    texts = [Text("at [**Hospital Warfarin Clinic**] she takes warfarin [**Name (NI) warfarin**]")]
    (context,) = find_contexts(texts, Sought(("warfarin", "Warfarin")))["warfarin"]
    assert context.text[context.start :].startswith("warfarin [**Name")
    (found,) = find_contexts([Text("[**open warfarin [**2101**] end")], Sought(("warfarin",)))["warfarin"]
    assert found.start == len("[**open ")


def test_a_process_that_dies_is_named() -> None:
    with pytest.raises(LongbioError, match="a process has died"):
        list(text_lots.in_processes(dies, [Text("a")], 2))


def dies(lot: text_lots.Lot) -> None:
    os._exit(1)
