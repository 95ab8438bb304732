"""Scores by length and place, and how sure a model was, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longbio.corpus.records import Document, Span
from longbio.finetuning.breakdown import by_length, by_position, evidence, reliability
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.similarity import Similarity
from longbio.tasks.task import Prediction

TASK = Entities(types=("X",))


def note(
    name: str, tokens: int, wanted: list[int], given: list[int], chance: float
) -> tuple[Document, Prediction]:
    """A text of a character a token; mentions are single characters."""
    text = "x" * tokens
    gold = Document(name, text, tuple(Span.of(place, place + 1, "X") for place in wanted))
    found = Document(name, text, tuple(Span.of(place, place + 1, "X") for place in given))
    return gold, Prediction(found, {"tokens": tokens, "probabilities": [chance] * len(given)})


NOTES = [
    note("short", 100, [0, 50], [50], 0.95),
    note("edge", 512, [511], [511], 0.85),
    note("long", 5000, [0, 511, 512, 4999], [512, 4999, 7], 1.0),
]
GOLD, FOUND = [gold for gold, _ in NOTES], [found for _, found in NOTES]


def test_documents_are_scored_by_their_length() -> None:
    rows = by_length(TASK, GOLD, FOUND)
    assert [(row["from_tokens"], row["to_tokens"], row["documents"]) for row in rows] == [
        (0, 512, 1),
        (512, 1024, 1),
        (4096, None, 1),
    ]
    assert [row["main"] for row in rows] == pytest.approx([2 / 3, 1.0, 4 / 7])


def test_mentions_are_found_by_their_place() -> None:
    assert by_position(TASK, GOLD, FOUND) == [
        {"from_tokens": 0, "to_tokens": 512, "mentions": 5, "recall": 2 / 5},
        {"from_tokens": 512, "to_tokens": 1024, "mentions": 1, "recall": 1.0},
        {"from_tokens": 4096, "to_tokens": None, "mentions": 1, "recall": 1.0},
    ]


def test_how_sure_and_how_often_right() -> None:
    found = reliability(TASK, GOLD, FOUND)
    assert found is not None
    last = {"low": 0.9, "high": 1.0, "count": 4, "confidence": (0.95 + 3) / 4, "accuracy": 3 / 4}
    assert found["bins"] == [
        {"low": 0.8, "high": 0.9, "count": 1, "confidence": 0.85, "accuracy": 1.0},
        pytest.approx(last),
    ]
    assert found["expected_calibration_error"] == pytest.approx(
        0.2 * 0.15 + 0.8 * (last["confidence"] - 0.75)
    )


def test_what_has_no_place_or_probability_has_no_row() -> None:
    pair = Document("a", "x", query="y", score=1.0, labels=("a",))
    said = Prediction(pair, {"tokens": 1, "probabilities": {"a": 1.0}})
    assert by_position(Similarity(mean=0, deviation=1), [pair], [said]) == []
    assert reliability(Similarity(mean=0, deviation=1), [pair], [said]) is None
    assert by_position(Classes(classes=("a",)), [pair], [said]) == []
    assert by_length(TASK, [], []) == []


def test_evidence_says_whose_documents_are() -> None:
    gold = [replace(GOLD[0], group="patient 1"), *GOLD[1:]]
    found = evidence(TASK, gold, FOUND)
    assert found is not None
    assert found["ids"] == ["short", "edge", "long"]
    assert found["groups"] == ["patient 1", None, None]
    assert found["totals"] == [[1, 0, 1], [1, 0, 0], [2, 1, 2]]
