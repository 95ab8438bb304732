"""Exact mentions, exact types."""

from __future__ import annotations

import pytest

from longbio.corpus.records import Document, Span
from longbio.finetuning.evaluate import counts_by_document, micro_f1, spread
from longbio.tasks.metrics import Counts, by_type, count_entities, micro

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
    assert Counts().f1 == Counts().precision == Counts().recall == 0.0


def test_types_are_summed_over_documents() -> None:
    documents = [count_entities([DRUG], [DRUG]), count_entities([LATER], []), {}]
    assert by_type(documents) == {"Drug": Counts(1, 0, 1)}
    assert micro_f1(documents) == pytest.approx(2 / 3)


def test_documents_in_another_order_are_an_error() -> None:
    a, b = Document("a", ""), Document("b", "")
    with pytest.raises(ValueError, match="differ"):
        counts_by_document([a, b], [b, a])


def test_the_interval_holds_the_value_and_widens_with_the_spread() -> None:
    even = [{"Drug": Counts(8, 1, 1)}, {"Drug": Counts(8, 2, 1)}, {"Drug": Counts(8, 1, 2)}] * 4
    uneven = [{"Drug": Counts(12, 0, 0)}, {"Drug": Counts(8, 2, 1)}, {"Drug": Counts(2, 3, 5)}] * 4
    narrow, wide = spread(even), spread(uneven)
    assert narrow.low < narrow.value < narrow.high
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    first = [{"Drug": Counts(n, 2, 2)} for n in range(1, 13)]
    second = [{"Drug": Counts(n, 2, 3)} for n in range(1, 13)]
    difference, alone = spread(first, second), spread(first)
    assert 0 < difference.low <= difference.value <= difference.high
    assert difference.high - difference.low < alone.high - alone.low


def test_one_document_has_no_interval() -> None:
    assert spread([{"Drug": Counts(1, 1, 0)}]).low == 0.0
    assert spread([{"Drug": Counts(1, 1, 0)}]).high == 1.0
