"""How files are read, and what was left out on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from longbio.corpus.counting import CHARACTERS
from longbio.corpus.files import files_in, folders_below, kind_of, linked_folders
from longbio.errors import LongbioError, one_line, shorten

TOLD_KINDS = 20
"""Kinds of what was passed over that are told; results hold all of them."""

TOLD_CHARS = 130
"""Of what was passed over, and of its place."""

MAX_MISALIGNED = 0.01
"""Of the mentions of a corpus, the share that may be left out; more is another text's annotations."""


class PassedOver(Counter[str]):
    """How many things there are of each kind, and where the first of each stands; never its words."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, str] = {}

    def note(self, what: str, where: str | Path, count: int = 1) -> None:
        """Count things, most often those that are not read.

        Args:
            what: their kind, in words for people.
            where: the place of the first of them: file, line.
            count: how many they are; nothing is noted of none.
        """
        if count:
            self[what] += count
            self.places.setdefault(what, str(where))

    def note_files(self, folder: Path, read: set[Path]) -> None:
        """Count, by their endings, the files of a folder and of those below it that aren't read, and links to
        other folders, which aren't followed. Hidden ones don't count."""
        for place in (folder, *folders_below(folder)):
            for file in files_in(place):
                if file not in read:
                    kind = kind_of(file)
                    self.note(f"{kind} file" if kind else "file without ending", file)
            for link in linked_folders(place):
                self.note("linked folder", link)

    def lines(self) -> list[str]:
        """A line for each kind, the first `TOLD_KINDS`: how many, what, and where the first stands."""

        def short(text: str) -> str:
            return shorten(one_line(text), TOLD_CHARS)

        lines = [
            f"{count:,} {short(what)}"
            + (f" (the first: {short(self.places[what])})" if what in self.places else "")
            for what, count in islice(self.items(), TOLD_KINDS)
        ]
        more = sum(islice(self.values(), TOLD_KINDS, None))
        return [*lines, f"{more:,} of {len(self) - TOLD_KINDS:,} more kinds"] if more else lines


@dataclass
class Alignment:
    """Mentions that were checked against their text, and the faults of those that were left out.

    Args:
        mentions: checked.
        faults: (what, where) of each that isn't in the text as it says; never the text itself.
    """

    mentions: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    def holds(self, fault: str | None, where: str) -> bool:
        """Count a mention, and its fault if it has one."""
        self.mentions += 1
        if fault is not None:
            self.faults.append((fault, where))
        return fault is None

    def add(self, other: Alignment) -> None:
        """Count what another has counted, too."""
        self.mentions += other.mentions
        self.faults += other.faults

    def refuse_beyond(self, share: float) -> None:
        """Raises LongbioError, with the first fault, when more than a share of the mentions has one."""
        if len(self.faults) > share * self.mentions:
            fault, where = self.faults[0]
            raise LongbioError(
                f"{fault}; {len(self.faults):,} of {self.mentions:,} mentions are not where they say",
                where=where,
                remedy="use the text that the annotations were made on, line ends included",
            )


@dataclass
class Reading:
    """What a reader is told, and what it reports.

    Args:
        encoding: of the files.
        columns: the name of a table's column by the field of `Document` that it holds:
            `{"text": "NOTE", "group": "SUBJECT_ID"}`. What isn't named is looked for under the usual names.
        alignment: counts the mentions that were checked, and those that were left out.
        passed_over: how many things of each kind the records have no place for, and were not read, with the
            place of the first of each.
        remarks: the same of things that were read, but otherwise than files of their format say, such as
            offsets that count bytes.
        failed: told of a file or row that can't be read, by readers of plain text, tables and JSON lines,
            which then go on behind it. None to stop there.
    """

    encoding: str = "utf-8"
    columns: Mapping[str, str] = field(default_factory=dict)
    alignment: Alignment = field(default_factory=Alignment)
    passed_over: PassedOver = field(default_factory=PassedOver)
    remarks: PassedOver = field(default_factory=PassedOver)
    failed: Callable[[LongbioError], None] | None = None

    def skip(self, error: LongbioError) -> None:
        """Report what can't be read; raises it unless the reading goes on."""
        go_on(error, self.failed)

    def note_unit(self, unit: str, where: str | Path) -> None:
        """Remark what the offsets of a document were found to count, where it isn't characters."""
        is_other = unit != CHARACTERS
        self.remarks.note(f"documents whose offsets count {unit}, and were read so", where, is_other)

    def counts(self) -> dict[str, Any]:
        """What was checked, left out and passed over, with the places; ready for JSON."""
        return {
            "mentions_checked": self.alignment.mentions,
            "left_out": [f"{where}: {fault}" for fault, where in self.alignment.faults],
            "passed_over": dict(self.passed_over),
            "passed_over_at": dict(self.passed_over.places),
            "remarks": dict(self.remarks),
            "remarks_at": dict(self.remarks.places),
        }


def go_on(error: LongbioError, failed: Callable[[LongbioError], None] | None) -> None:
    """Tell `failed` of an error; raises it when there is nobody to tell."""
    if failed is None:
        raise error
    failed(error)


def named_columns(pairs: Iterable[str]) -> dict[str, str]:
    """Columns by field, from `text=NOTE`. Raises LongbioError where one isn't of that form."""
    parts = [pair.partition("=") for pair in pairs]
    if not all(field and sign and column for field, sign, column in parts):
        raise LongbioError("a column is named as FIELD=COLUMN", where="--column", remedy="text=NOTE, say")
    return {field: column for field, _, column in parts}


class UniqueNames:
    """Gives names, each to one document: the second that asks for `7` gets `7.2`."""

    def __init__(self) -> None:
        self._turns: Counter[str] = Counter()

    def of(self, name: str) -> str:
        """The name itself, or what it is called where others had it before."""
        while self._turns[name]:
            self._turns[name] += 1
            name = f"{name}.{self._turns[name]}"
        self._turns[name] = 1
        return name
