"""Scores of predicted mentions against the true ones."""

from __future__ import annotations

from collections.abc import Sequence

from longbio.corpus.records import Document
from longbio.tasks.metrics import Counts, by_type, count_entities


def score(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, Counts]:
    """Counts by entity type over documents given in the same order.

    Raises:
        ValueError: the documents aren't the same.
    """
    if [document.id for document in gold] != [document.id for document in predicted]:
        raise ValueError("the documents differ in number, names or order")
    return by_type(
        [count_entities(g.spans, p.spans) for g, p in zip(gold, predicted, strict=True)]
    )
