"""Labels as tables spell them: several in a cell, and one class under two spellings."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from longbio.corpus.records import Document

SEPARATORS = (";", "|", ",")
"""What may stand between labels of a cell, looked for in this order."""

SURE = (";", "|")
"""Those that hardly stand in a class' own name."""

WHOLE = re.compile(r"([+-]?[0-9]+)\.0")
"""A whole number as pandas writes it in a column that has gaps."""

MAX_CHARS = 10_000
"""Of a cell with a list of labels."""

LISTED = re.compile(r"\s*[\[({](.*)[\])}]\s*", re.DOTALL)
QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
BETWEEN = re.compile(r"[\s,]*")


def labels_in(cell: str) -> list[str] | None:
    """The labels of a list that is written in a cell as Python or NumPy prints it, or `[a, b]`; else None."""
    listed = LISTED.fullmatch(cell) if len(cell) <= MAX_CHARS else None
    if listed is None:
        return None
    inner = listed[1].strip()
    if inner[:1] in ("'", '"'):
        if BETWEEN.fullmatch(QUOTED.sub("", inner)) is None:
            return None
        return [single or double for single, double in QUOTED.findall(inner)]
    return _pieces(inner, ",") if cell.strip()[0] == "[" else None


def _pieces(label: str, separator: str) -> list[str]:
    return [piece for part in label.split(separator) if (piece := part.strip())]


def _names_in(documents: Iterable[Document]) -> set[str]:
    return {label for document in documents for label in document.labels or ()}


def separator_of(documents: Iterable[Document]) -> str | None:
    """What stands between labels of a cell, where cells are made of the same pieces; else None."""
    wholes = {labels[0] for document in documents if (labels := document.labels) and len(labels) == 1}
    for separator in SEPARATORS:
        joined = {whole for whole in wholes if separator in whole}
        parts = {piece for whole in joined for piece in _pieces(whole, separator)}
        alone = wholes - joined
        fewer = separator in SURE and len(parts | alone) < len(wholes)
        if joined and (parts <= alone or fewer):
            return separator
    return None


def divide_labels(documents: Sequence[Document], separator: str) -> list[Document]:
    """With the labels of each cell apart; beside cells that hold some, an empty one holds none."""
    if not any(document.labels for document in documents):
        return [*documents]
    made = []
    for document in documents:
        pieces = [piece for label in document.labels or () for piece in _pieces(label, separator)]
        made.append(replace(document, labels=tuple(dict.fromkeys(pieces))))
    return made


def are_whole_numbers(documents: Iterable[Document]) -> bool:
    """Whether all labels are whole numbers, some of them written as `1.0`."""
    names = _names_in(documents)
    return any(WHOLE.fullmatch(name) for name in names) and all(
        WHOLE.fullmatch(name) or name.lstrip("+-").isdecimal() for name in names
    )


def as_whole_numbers(documents: Sequence[Document]) -> list[Document]:
    """With `1` for `1.0`."""
    return _rename(documents, lambda label: WHOLE.sub(r"\1", label) if WHOLE.fullmatch(label) else label)


def respell_labels(documents: Sequence[Document], classes: Collection[str]) -> list[Document]:
    """With the labels of a file spelled as known classes are: `1` or `1.0`, and several of a cell apart.
    A label that none of them can be stays what it is."""
    known = set(classes)

    def respell(label: str) -> str:
        others = [WHOLE.sub(r"\1", label) if WHOLE.fullmatch(label) else f"{label}.0"]
        return label if label in known else next((other for other in others if other in known), label)

    documents = _rename(documents, respell)
    unknown = _names_in(documents) - known
    for separator in SEPARATORS:
        joined = [label for label in unknown if separator in label]
        if joined and all({*_pieces(label, separator)} <= known for label in joined):
            return divide_labels(documents, separator)
    return documents


def _rename(documents: Sequence[Document], rename: Callable[[str], str]) -> list[Document]:
    return [
        document
        if not document.labels
        else replace(document, labels=tuple(dict.fromkeys(rename(label) for label in document.labels)))
        for document in documents
    ]
