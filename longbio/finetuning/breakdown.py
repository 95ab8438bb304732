"""What one score hides: by length of document, by place in it, and how sure the model was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from longbio.corpus.records import Document
from longbio.tasks import AnyTask
from longbio.tasks.task import Array, Prediction

TOKENS = (0, 512, 1024, 2048, 4096, 1 << 62)
"""Borders of the lengths, and of the places, that are scored apart, in tokens."""

NUM_BINS = 10


def by_length(
    task: AnyTask, documents: Sequence[Document], predictions: Sequence[Prediction]
) -> list[dict[str, Any]]:
    """The main score of documents of each length that occurs, in tokens of the model."""
    lengths = np.array([prediction.details["tokens"] for prediction in predictions])
    rows = []
    for bounds, inside in _parts(lengths):
        scores = task.score([documents[n] for n in inside], [predictions[n] for n in inside])
        rows.append({**bounds, "documents": len(inside), "main": scores["main"]})
    return rows


def by_position(
    task: AnyTask, documents: Sequence[Document], predictions: Sequence[Prediction]
) -> list[dict[str, Any]]:
    """How much was found of what begins at each place of a document: the share of mentions, or the mean F1 of
    answers. None for documents that are judged as a whole.

    A place is in tokens of the model, reckoned from the share of the document's characters before it.
    """
    places, credits = [], []
    things = task.places(documents, predictions)
    for document, prediction, of_document in zip(documents, predictions, things, strict=True):
        for start_char, credit in of_document:
            places.append(prediction.details["tokens"] * start_char / len(document.text))
            credits.append(credit)
    return [
        {**bounds, "mentions": len(inside), "recall": float(np.mean([credits[n] for n in inside]))}
        for bounds, inside in _parts(np.array(places))
    ]


def reliability(
    task: AnyTask, documents: Sequence[Document], predictions: Sequence[Prediction]
) -> dict[str, Any] | None:
    """How often what was predicted with some probability is right, and by how much the two differ: the
    expected calibration error over ten bins (Guo et al. 2017). None where there are no probabilities."""
    confidences = task.confidences(documents, predictions)
    if not confidences:
        return None
    probabilities = np.array([probability for probability, _ in confidences])
    right = np.array([is_right for _, is_right in confidences])
    bin_of = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    bins, error = [], 0.0
    for number in np.unique(bin_of).tolist():
        inside = bin_of == number
        confidence, accuracy = float(probabilities[inside].mean()), float(right[inside].mean())
        error += inside.mean() * abs(confidence - accuracy)
        bins.append(
            {
                "low": number / NUM_BINS,
                "high": (number + 1) / NUM_BINS,
                "count": int(inside.sum()),
                "confidence": confidence,
                "accuracy": accuracy,
            }
        )
    return {"bins": bins, "expected_calibration_error": float(error)}


def evidence(
    task: AnyTask, documents: Sequence[Document], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """`Task.evidence`, ready for JSON, with the documents' names and whose they are."""
    parts = task.evidence(documents, predictions)
    ids = [document.id for document in documents]
    groups = [document.group for document in documents]
    return {"measure": parts.measure, "ids": ids, "groups": groups, "totals": parts.totals.tolist()}


def _parts(tokens: Array) -> Iterator[tuple[dict[str, int | None], list[int]]]:
    """The bounds of each part that isn't empty, and what lies in it."""
    for low, high in pairwise(TOKENS):
        inside = np.flatnonzero((tokens >= low) & (tokens < high)).tolist()
        if inside:
            yield {"from_tokens": low, "to_tokens": None if high == TOKENS[-1] else high}, inside
