"""Exact mentions, exact types; and words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from longbio.corpus.records import Span
from longbio.errors import LongbioError
from longbio.tasks.metrics import Counts, by_type, count_entities, count_words, macro_f1, micro

DRUG, LATER, WRONG = Span.of(0, 4, "Drug"), Span.of(9, 12, "Drug"), Span.of(0, 4, "Disease")


def test_counts_by_type() -> None:
    counts = count_entities([DRUG, LATER], [DRUG, WRONG])
    assert counts == {"Drug": Counts(1, 0, 1), "Disease": Counts(0, 1, 0)}
    assert micro(counts) == Counts(1, 1, 1)
    assert micro(counts).f1 == 0.5


def test_a_discontinuous_mention_is_missed_by_its_hull() -> None:
    gold, hull = Span(((0, 4), (9, 12)), "Drug"), Span.of(0, 12, "Drug")
    assert count_entities([gold], [hull]) == {"Drug": Counts(0, 1, 1)}


def test_a_mention_predicted_twice_counts_once() -> None:
    assert count_entities([DRUG], [DRUG, DRUG]) == {"Drug": Counts(1, 1, 0)}


def test_nothing_gives_zero() -> None:
    assert Counts().shares() == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


# "ab cd efg hi"
UNITS = ((0, 2), (3, 5), (6, 9), (10, 12))


def test_words_worked_by_hand() -> None:
    gold = [Span.of(0, 9, "PAR"), Span.of(10, 12, "INT")]
    predicted = [Span.of(3, 12, "PAR"), Span.of(0, 2, "OUT")]
    counts = count_words(gold, predicted, UNITS)
    assert counts == {"PAR": Counts(2, 1, 1), "INT": Counts(0, 0, 1), "OUT": Counts(0, 1, 0)}
    assert macro_f1(counts) == pytest.approx((2 / 3 + 0 + 0) / 3)


def test_a_word_is_touched_by_a_character_and_not_by_a_space() -> None:
    words = count_words([], [Span(((1, 3), (8, 10)), "PAR")], UNITS)
    assert words == {"PAR": Counts(0, 2, 0)}
    assert count_words([Span.of(2, 3, "PAR")], [], UNITS) == {"PAR": Counts()}
    assert count_words([Span.of(2, 3, "PAR")], [], ((0, 2), (2, 3), (3, 5))) == {"PAR": Counts(0, 0, 1)}


def test_a_word_in_two_mentions_counts_once() -> None:
    nested = [Span.of(0, 9, "PAR"), Span.of(3, 5, "PAR")]
    assert count_words(nested, [Span.of(0, 9, "PAR")], UNITS) == {"PAR": Counts(3, 0, 0)}


def test_words_that_are_not_known_are_an_error() -> None:
    with pytest.raises(LongbioError, match="words"):
        count_words([DRUG], [], ())
    assert count_words([], [], ()) == {}


TAGS = ("O", "PAR", "INT", "OUT")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=20))
def test_word_f1_is_what_scikit_learn_has_for_tags(pairs) -> None:
    units = [(3 * n, 3 * n + 2) for n in range(len(pairs))]
    gold, predicted = (
        [Span.of(*unit, pair[side]) for unit, pair in zip(units, pairs, strict=True) if pair[side] != "O"]
        for side in (0, 1)
    )
    counts = count_words(gold, predicted, units)
    tags = [[pair[side] for pair in pairs] for side in (0, 1)]
    for label, theirs in zip(TAGS, f1_score(*tags, labels=TAGS, average=None, zero_division=0), strict=True):
        if label != "O":
            assert counts.get(label, Counts()).f1 == pytest.approx(theirs)
    if counts:
        assert macro_f1(counts) == pytest.approx(
            f1_score(*tags, labels=sorted(counts), average="macro", zero_division=0)
        )


def test_types_are_summed_over_documents() -> None:
    documents = [count_entities([DRUG], [DRUG]), count_entities([LATER], []), {}]
    assert by_type(documents) == {"Drug": Counts(1, 0, 1)}
    assert micro(by_type(documents)).f1 == pytest.approx(2 / 3)
