"""What a prediction leaves: JSON lines, BRAT or pages to read, written so that a kill spoils nothing."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from longbio.artifacts.atomic_files import write_bytes_atomically
from longbio.corpus.file_names import TABLE, FileNames, row
from longbio.corpus.records import Document
from longbio.corpus.writers import brat, jsonl
from longbio.errors import LongbioError
from longbio.prediction.pages import entry_of, index_page, note_page
from longbio.tasks import AnyTask
from longbio.tasks.task import Prediction

FAILED = "failed.jsonl"
DIGITS = 6
"""Of probabilities after the point."""


class Output(ABC):
    """A format, and the folder that it is written to.

    Args:
        out: the folder.
        task: of the model.
        model: the first digits of its hash.
    """

    streams: ClassVar[tuple[str, ...]]
    """Names of the files that grow lot by lot."""

    def __init__(self, out: Path, task: AnyTask, model: str) -> None:
        self.out, self.task, self.model, self.names = out, task, model, FileNames()

    def pass_over(self, document: Document) -> None:
        """A note of which nothing is written, now or because it was before; called in the notes' order."""
        self.names.of(document.id)

    @abstractmethod
    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        """Put the files of a note in place; gives what streams grow by."""

    def finish(self) -> None:  # noqa: B027  # most formats have nothing left to do
        """All notes are written."""


class JsonLines(Output):
    """`predictions.jsonl`: longbio's own JSON lines, each with a member `prediction`."""

    streams: ClassVar[tuple[str, ...]] = ("predictions.jsonl",)

    def pass_over(self, document: Document) -> None:
        """Nothing: lines need no names of files."""

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        """See `Output.write`."""
        details = {"prediction": describe(prediction, self.task, self.model)}
        return {self.streams[0]: json_lines([jsonl.row_of(prediction.document) | details])}

    def finish(self) -> None:
        """The file is there, even without a line."""
        (self.out / self.streams[0]).touch()


class Brat(Output):
    """A `.txt` and an `.ann` of each note; `names.jsonl` says of which note, where its id is no name."""

    streams: ClassVar[tuple[str, ...]] = (TABLE,)

    def __init__(self, out: Path, task: AnyTask, model: str) -> None:
        super().__init__(out, task, model)
        if task.kind not in ("ner", "relations"):
            raise LongbioError(
                f"BRAT has no place for what a model of {task.kind} finds",
                where="--format",
                remedy="choose jsonl or html",
            )
        labels = task.types if task.kind == "ner" else task.classes
        odd = next((label for label in labels if not brat.WORD.fullmatch(label)), None)
        if odd is not None:
            raise LongbioError(
                f"BRAT needs labels of one word, and the model has {odd!r}",
                where="--format",
                remedy="choose jsonl or html",
            )

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        """See `Output.write`."""
        document, name = prediction.document, self.names.of(prediction.document.id)
        for file, content in brat.files_of(document, name).items():
            write_bytes_atomically(self.out / file, content)
        return {} if name == document.id else {TABLE: row(document.id, name).encode()}


class Pages(Output):
    """A page of each note in `notes/`, and `index.html`, which lists them."""

    streams: ClassVar[tuple[str, ...]] = ("notes.jsonl",)

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        """See `Output.write`."""
        folder, name = self.out / "notes", f"{self.names.of(prediction.document.id)}.html"
        folder.mkdir(exist_ok=True)
        page = note_page(prediction, self.task, describe(prediction, self.task, self.model))
        write_bytes_atomically(folder / name, page.encode())
        entry = {"file": f"notes/{name}", **entry_of(prediction, self.task)}
        return {self.streams[0]: json_lines([entry])}

    def finish(self) -> None:
        """See `Output.finish`."""
        entries = [json.loads(line) for line in self._lines(self.streams[0])]
        page = index_page(entries, task=self.task, model=self.model, failures=len(self._lines(FAILED)))
        write_bytes_atomically(self.out / "index.html", page.encode())

    def _lines(self, name: str) -> list[bytes]:
        file = self.out / name
        return file.read_bytes().splitlines() if file.is_file() else []


OUTPUTS: dict[str, type[Output]] = {"jsonl": JsonLines, "brat": Brat, "html": Pages}


def describe(prediction: Prediction, task: AnyTask, model: str) -> dict[str, Any]:
    """What is told of a prediction beside the document: model (the first digits of its hash), task, how the
    note was read, and all probabilities."""
    calibrated = {"temperature": task.temperature} if hasattr(task, "temperature") else {}
    details = {"model": model, "task": task.kind, **calibrated, **prediction.details}
    return {name: round_floats(value) for name, value in details.items()}


def round_floats(value: Any) -> Any:
    """The same for JSON, with fewer digits: the last ones differ from machine to machine."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {name: round_floats(member) for name, member in value.items()}
    return [round_floats(item) for item in value] if isinstance(value, list | tuple) else value


def json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """JSON lines in UTF-8."""
    return "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows).encode()
