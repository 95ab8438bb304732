"""The documents of a run: read, divided by groups, counted."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from longbio.corpus.labels import are_whole_numbers, as_whole_numbers, divide_labels, separator_of
from longbio.corpus.readers import format_of, read_documents, split_of
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span
from longbio.corpus.tag_schemes import UNNAMED
from longbio.errors import LongbioError
from longbio.finetuning.settings import DataSettings
from longbio.tasks import AnyTask
from longbio.tasks.task import refuse_without_examples

DEV_NAMES = ("dev", "valid", "validation", "val")


@dataclass(frozen=True)
class Splits:
    """What is learned from (`train`), what is chosen by (`dev`), what is scored (`test`).

    Args:
        train: documents.
        dev: documents.
        test: documents.
        format: of the test documents.
        passed_over: a line for each kind of thing that was not read.
        remarks: a line for each kind of thing that was read otherwise than its format says.
        described: sizes, hashes, what was left out; ready for JSON.
        sources: of each split the place, and the format it was read as.
    """

    train: Sequence[Document]
    dev: Sequence[Document]
    test: Sequence[Document]
    format: str
    passed_over: Sequence[str] = ()
    remarks: Sequence[str] = ()
    described: dict[str, Any] = field(default_factory=dict)
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def refuse_without_examples(self, task: AnyTask) -> AnyTask:
        """The task with what it would learn here, for which each split has an example.

        Raises:
            LongbioError: one has none, or the training documents don't fit the task.
        """
        refuse_without_examples(task, self.train, *self.sources["train"])
        learned = task.learned_from(self.train)
        for split, documents in (("dev", self.dev), ("test", self.test)):
            refuse_without_examples(learned, documents, *self.sources[split])
        return learned

    def warnings(self, task: AnyTask) -> list[str]:
        """A line for each thing that can't be learned or scored by a task that has its classes."""
        splits = {"train": self.train, "dev": self.dev, "test": self.test}
        return [f"{split}: {line}" for split, notes in splits.items() for line in task.warnings(notes)]

    def summary(self) -> str:
        """One line of what was read, and of what wasn't."""
        facts = self.described
        held_out = ", held out of them," if facts["dev_is_held_out"] else ""
        parts = [
            f"{len(self.train):,} to learn from, {len(self.dev):,}{held_out} to choose by,"
            f" {len(self.test):,} to score"
        ]
        if facts["left_out"]:
            parts.append(f"{len(facts['left_out']):,} of {facts['mentions_checked']:,} mentions left out")
        parts += [f"passed over: {line}" for line in self.passed_over]
        if facts["labels_divided_at"]:
            parts.append(f"several labels in a cell, divided at {facts['labels_divided_at']!r}")
        parts += [f"note: {line}" for line in self.remarks]
        if facts["groups_in_two_splits"]:
            parts.append(f"{facts['groups_in_two_splits']:,} groups (patients) are in two splits")
        return "; ".join(parts)


def read_data(settings: DataSettings) -> Splits:
    """Read the documents of a run.

    Raises:
        LongbioError: a split is missing or empty, or a file is broken.
    """
    paths = {split: path for split, path in places_of(settings).items() if path is not None}
    formats = {split: settings.format or format_of(path) for split, path in paths.items()}
    reading = Reading(settings.encoding, settings.columns)
    read: dict[str, list[Document]] = {}
    for split, path in paths.items():
        read[split] = read_documents(
            path, formats[split], reading=reading, max_misaligned=settings.max_misaligned
        )
        if not read[split]:
            raise LongbioError("there is no document", where=path)
        read[split] = _adapt(read[split], settings)
    read, separator = _with_labels(read, settings.label_separator)
    train, dev, test = read["train"], read.get("dev"), read.get("test")
    if test is None:
        assert settings.test_share is not None, "places_of has found one"
        train, test = hold_out(train, settings.test_share)
    if dev is None:
        train, dev = hold_out(train, settings.dev_share)
    train = _some(train, settings.train_documents)
    dev, test = _some(dev, settings.eval_documents), _some(test, settings.eval_documents)
    described = {
        "documents": {"train": len(train), "dev": len(dev), "test": len(test)},
        "dev_is_held_out": "dev" not in read,
        **({} if "test" in read else {"test_is_held_out": True}),
        "sha256": {"train": digest(train), "dev": digest(dev), "test": digest(test)},
        **reading.counts(),
        "labels_divided_at": separator,
        "groups_in_two_splits": _shared_groups(train, dev, test),
    }
    sources = {split: (str(path), formats[split]) for split, path in paths.items()}
    for split in ("dev", "test"):
        held_out = f"{paths['train']}, the part held out as {split} (data.{split}_share)"
        sources.setdefault(split, (held_out, formats["train"]))
    lines = reading.passed_over.lines(), reading.remarks.lines()
    return Splits(train, dev, test, sources["test"][1], *lines, described, sources)


def places_of(settings: DataSettings) -> dict[str, Path | None]:
    """Where each split lies; None for documents that are held out of the training ones.

    Raises:
        LongbioError: a split is missing.
    """
    paths = {split: _place(settings, split) for split in ("train", "dev", "test")}
    if settings.test_share is not None:
        if paths["test"] is not None:
            raise LongbioError(
                "the corpus has test documents", where=paths["test"], remedy="take data.test_share out"
            )
        if paths["train"] is None and settings.path is not None:
            paths["train"] = _of_set(settings.path, settings.name)
    for split, path in paths.items():
        if path is None and split != "dev" and (split == "train" or settings.test_share is None):
            raise LongbioError(
                f"the corpus has no {split!r} folder or file",
                where=None if settings.path is None else _of_set(settings.path, settings.name),
                remedy=f"add one, set data.{split}, or have documents held out: data.test_share=0.2",
            )
        if path is not None and not path.exists():
            raise LongbioError(
                "there is no such file or folder", where=path, remedy=f"check the path, or data.{split}"
            )
    return paths


def _place(settings: DataSettings, split: str) -> Path | None:
    path: Path | None = getattr(settings, split)
    if path is not None or settings.path is None:
        return path
    folder = _of_set(settings.path, settings.name)
    if not folder.is_dir():
        raise LongbioError("there is no such folder", where=folder, remedy="set data.path, or give --data")
    names = DEV_NAMES if split == "dev" else (split,)
    return next((path for name in names if (path := split_of(folder, name)) is not None), None)


def _shared_groups(*splits: Sequence[Document]) -> int:
    """Groups of which documents stand in more than one split."""
    groups = Counter(group for split in splits for group in {document.group for document in split} - {None})
    return sum(count > 1 for count in groups.values())


def _of_set(folder: Path, name: str | None) -> Path:
    """The set of this name in a folder of several, whatever its case; else the folder itself."""
    if name is None or not folder.is_dir():
        return folder
    named = (path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower())
    return next(named, folder)


def _adapt(documents: list[Document], settings: DataSettings) -> list[Document]:
    """With mentions of one type, and some of the questions, where that is asked for."""
    if settings.one_type:
        documents = of_one_type(documents)
    if settings.question_share < 1:
        draw = np.random.default_rng(0)
        documents = [
            replace(
                document,
                questions=tuple(q for q in document.questions if draw.random() < settings.question_share),
            )
            for document in documents
        ]
    return documents


def _with_labels(
    read: dict[str, list[Document]], separator: str | None
) -> tuple[dict[str, list[Document]], str | None]:
    """Splits whose labels are spelled alike, several of a cell apart; and what stood between them."""
    if separator is None:
        separator = separator_of([*chain.from_iterable(read.values())])
    if separator:
        read = {split: divide_labels(documents, separator) for split, documents in read.items()}
    if are_whole_numbers([*chain.from_iterable(read.values())]):
        read = {split: as_whole_numbers(documents) for split, documents in read.items()}
    return read, separator or None


def of_one_type(documents: Sequence[Document]) -> list[Document]:
    """With mentions of one type, each place once; what is said of mentions is left out."""
    return [
        replace(
            document,
            spans=tuple(sorted({Span(span.fragments, UNNAMED) for span in document.spans})),
            relations=(),
            attributes=(),
        )
        for document in documents
    ]


def hold_out(documents: Sequence[Document], share: float) -> tuple[list[Document], list[Document]]:
    """Divide documents at random, always in the same way, whole groups together: a share of the groups,
    rounded up, comes out as the second list. If all documents share one group, it is ignored.

    Raises:
        LongbioError: there is one document alone.
    """
    if len(documents) < 2:
        raise LongbioError(
            "a single document can't be divided", where="data.train", remedy="name another as data.dev"
        )
    groups = [document.id if document.group is None else document.group for document in documents]
    if len(set(groups)) == 1:
        groups = [document.id for document in documents]
    ordered = sorted(set(groups))
    count = min(math.ceil(len(ordered) * share), len(ordered) - 1)
    chosen = {ordered[number] for number in np.random.default_rng(0).permutation(len(ordered))[:count]}
    kept = [document for document, group in zip(documents, groups, strict=True) if group not in chosen]
    return kept, [document for document, group in zip(documents, groups, strict=True) if group in chosen]


def _some(documents: list[Document], count: int | None) -> list[Document]:
    """So many of them, drawn at random and in their order."""
    if count is None or count >= len(documents):
        return documents
    chosen = np.sort(np.random.default_rng(0).permutation(len(documents))[:count])
    return [documents[number] for number in chosen]


def digest(documents: Sequence[Document]) -> str:
    """A SHA-256 over all that is known of some documents."""
    hashed = hashlib.sha256()
    for document in documents:
        hashed.update(repr(document).encode())
    return hashed.hexdigest()
