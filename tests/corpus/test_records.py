"""Spans and documents: what they accept and what they say about themselves."""

from __future__ import annotations

import dataclasses

import pytest

from longbio.corpus.records import Document, Span


@pytest.mark.parametrize(
    "fragments",
    [
        pytest.param((), id="none"),
        pytest.param(((3, 3),), id="empty"),
        pytest.param(((5, 3),), id="reversed"),
        pytest.param(((-1, 3),), id="before the text"),
        pytest.param(((4, 8), (0, 2)), id="out of order"),
        pytest.param(((0, 5), (4, 8)), id="overlapping"),
    ],
)
def test_broken_fragments_are_refused(fragments: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="fragment"):
        Span(fragments, "Drug")


def test_span_of_one_piece() -> None:
    span = Span.of(4, 9, "Drug")
    assert span == Span(((4, 9),), "Drug")
    assert (span.start_char, span.end_char, span.is_contiguous) == (4, 9, True)
    assert span.text_in("the tarva was held") == "tarva"


def test_discontinuous_span() -> None:
    span = Span(((0, 4), (10, 14)), "Disease")
    assert (span.start_char, span.end_char, span.is_contiguous) == (0, 14, False)
    assert span.text_in("left knee hips hurt") == "left hips"


def test_fragments_may_touch() -> None:
    assert Span(((0, 3), (3, 5)), "Drug").end_char == 5


def test_spans_sort_by_position_then_label() -> None:
    first, second, third = Span.of(0, 4, "Drug"), Span.of(2, 3, "Date"), Span.of(2, 3, "Drug")
    assert sorted([third, second, first]) == [first, second, third]


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Document(id="a", text="b").text = "c"  # type: ignore[misc]  # refused: that is the test
