"""A fine-tuned model on documents it hasn't seen: predictions on disk, scores with their spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import bootstrap
from transformers import AutoTokenizer

from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.folders import staged_folder
from longbio.corpus.records import Document
from longbio.corpus.writers import brat
from longbio.encoders.loading import load
from longbio.prediction.entities import find_entities
from longbio.tasks.metrics import Counts, by_type, count_entities, micro

REPORT = "scores.json"
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A value and where it would lie with other documents of the same kind."""

    value: float
    low: float
    high: float


def counts_by_document(gold: Sequence[Document], predicted: Sequence[Document]) -> list[dict[str, Counts]]:
    """Counts by entity type of each document, both given in the same order.

    Raises:
        ValueError: the documents aren't the same.
    """
    if [document.id for document in gold] != [document.id for document in predicted]:
        raise ValueError("the documents differ in number, names or order")
    return [count_entities(g.spans, p.spans) for g, p in zip(gold, predicted, strict=True)]


def micro_f1(documents: Sequence[dict[str, Counts]]) -> float:
    """Micro F1 over all documents and types."""
    return micro(by_type(documents)).f1


def spread(first: Sequence[dict[str, Counts]], second: Sequence[dict[str, Counts]] | None = None) -> Interval:
    """Micro F1 with its 95% BCa bootstrap interval over **documents**.

    With a second model on the same documents: the difference, first minus second, resampled in
    pairs. Fewer than two documents give no interval: it is the whole range of the value.

    Args:
        first: counts of each document.
        second: counts of the same documents by another model.
    """

    ours, theirs = _totals(first), None if second is None else _totals(second)

    def statistic(rows: Any, axis: int = -1) -> Any:
        value = _micro_f1(ours[rows].sum(axis=axis - 1))
        return value if theirs is None else value - _micro_f1(theirs[rows].sum(axis=axis - 1))

    every = np.arange(len(first))
    value = float(statistic(every))
    if len(first) < 2:
        return Interval(value, -1.0 if second else 0.0, 1.0)
    without_one = [float(statistic(np.delete(every, row))) for row in every]
    if np.ptp(without_one) < 1e-12:
        # Every document says the same: BCa has no answer, and there is no spread.
        return Interval(value, value, value)
    found = bootstrap(
        (every,),
        statistic,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high))


def _totals(documents: Sequence[dict[str, Counts]]) -> Any:
    """(documents, 3): true positives, false positives and false negatives over all types."""
    return np.array([_as_list(micro(counts)) for counts in documents], dtype=float)


def _micro_f1(totals: Any) -> Any:
    """Micro F1 of (..., 3) counts; 0 where there is nothing to count."""
    found, wrong, missed = np.moveaxis(totals, -1, 0)
    return 2 * found / np.maximum(2 * found + wrong + missed, 1)


def evaluate_entities(
    model_folder: Path,
    documents: Sequence[Document],
    out: Path,
    *,
    overlap: int | None = None,
    on_document: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Find entities in documents, write them as BRAT into `out`, and score them.

    Args:
        model_folder: a token classifier, short or long.
        documents: with their true mentions.
        out: the folder to make; when it is there already, nothing is done.
        overlap: tokens that windows share; `find_entities` has the default.
        on_document: told how many documents are done.

    Returns:
        What is saved as `scores.json` in `out`: per type and in all, precision, recall, F1 and
        counts; the interval of micro F1 over documents; and `documents`, the counts of each.
    """
    if (out / REPORT).is_file():
        done: dict[str, Any] = read_json(out / REPORT)
        return done
    model, tokenizer = load(model_folder, "ner"), AutoTokenizer.from_pretrained(model_folder)
    start = time.monotonic()
    predicted = find_entities(model, tokenizer, documents, overlap=overlap, on_document=on_document)
    seconds = time.monotonic() - start

    counts = counts_by_document(documents, predicted)
    types = by_type(counts)
    interval = spread(counts)
    report = {
        "micro": _as_dict(micro(types)),
        "micro_f1_interval": [interval.low, interval.high],
        "types": {label: _as_dict(each) for label, each in types.items()},
        "seconds": round(seconds, 1),
        "documents": [
            {"id": document.id, "types": {label: _as_list(each) for label, each in count.items()}}
            for document, count in zip(documents, counts, strict=True)
        ],
    }
    with staged_folder(out) as partial:
        brat.write(predicted, partial)
        write_json(partial / REPORT, report)
    return report


def counts_of(report: dict[str, Any]) -> list[dict[str, Counts]]:
    """The counts by document in a `scores.json`."""
    return [
        {label: Counts(*numbers) for label, numbers in document["types"].items()}
        for document in report["documents"]
    ]


def _as_list(counts: Counts) -> list[int]:
    return [counts.true_positives, counts.false_positives, counts.false_negatives]


def _as_dict(counts: Counts) -> dict[str, float]:
    return {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "true_positives": counts.true_positives,
        "false_positives": counts.false_positives,
        "false_negatives": counts.false_negatives,
    }
