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
from longbio.prediction.entities import DEFAULT_OVERLAP, find_entities
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

    def statistic(rows: Any) -> float:
        picked = [first[int(row)] for row in rows]
        against = 0.0 if second is None else micro_f1([second[int(row)] for row in rows])
        return micro_f1(picked) - against

    every = np.arange(len(first))
    value = statistic(every)
    if len(first) < 2:
        return Interval(value, -1.0 if second else 0.0, 1.0)
    found = bootstrap(
        (every,),
        statistic,
        vectorized=False,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(0),
    ).confidence_interval
    # BCa has no answer where every resample gives the same value.
    low, high = np.nan_to_num([found.low, found.high], nan=value)
    return Interval(value, float(low), float(high))


def evaluate_entities(
    model_folder: Path,
    documents: Sequence[Document],
    out: Path,
    *,
    overlap: int = DEFAULT_OVERLAP,
    on_document: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Find entities in documents, write them as BRAT into `out`, and score them.

    Args:
        model_folder: a token classifier, short or long.
        documents: with their true mentions.
        out: the folder to make; when it is there already, nothing is done.
        overlap: tokens that windows share.
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
