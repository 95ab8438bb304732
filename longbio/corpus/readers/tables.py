"""Tables, a document a row: CSV, TSV, JSON lines, Parquet; MedNLI and MIMIC's notes are such.

    subject_id,row_id,text
    7,1,"Admitted
    on Monday"

Columns are those that the reading names, or the first of the usual names that is there; case
doesn't matter. Mentions, words with tags and answers are read in the spellings of `annotated`; members
that hold another list or object are counted. A list of labels (JSON lines, Parquet) is one of several
classes, anything else is one class. Rows that MIMIC marks as errors (`ISERROR`), and those on which
annotators didn't agree (`-` as `gold_label` in MedNLI), are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from longbio.corpus.counting import FileUnit
from longbio.corpus.features import class_names, nested_columns
from longbio.corpus.labels import listed_in
from longbio.corpus.readers import annotated
from longbio.corpus.readers.annotated import annotations_of, comes_in_words, is_rejected, note_unread
from longbio.corpus.readers.asked import group_of
from longbio.corpus.reading import Reading, files_of, sniffed
from longbio.corpus.records import Document
from longbio.corpus.rows import (
    ERROR_NAME,
    ROWS,
    TEXT_NAMES,
    Row,
    columns_there,
    endings_of,
    is_withdrawn,
    kind_of,
    name_of,
    read_rows,
    stem_of,
    value_of,
)
from longbio.errors import LongbioError

USUAL: dict[str, tuple[str, ...]] = {
    "text": (*TEXT_NAMES, "sentence", "sentence2", "hypothesis", "context", "data"),
    "id": ("id", "row_id", "note_id", "pairid"),
    "query": ("query", "question", "sentence1", "prompt", "premise"),
    "labels": ("labels", "label", "class", "gold_label"),
    "score": ("score",),
    "group": ("subject_id", "patient_id", "group"),
}
"""By the field of a document: the columns that hold it when none is named, the first that is there. A
patient comes before a `group`, which may be an arm of a trial."""

ENDINGS = endings_of(*(kind for kind in ROWS if kind != ".json"))

HEADED = (".csv", ".tsv", ".parquet")
"""Kinds of tables of which all rows have the same columns."""

WRITTEN = (".csv", ".tsv")
"""Those whose cells are texts, whatever they hold."""

THERE, NOT_THERE = ("1", "1.0", "true", "t", "yes", "y"), ("", "0", "0.0", "false", "f", "no", "n")
UNCERTAIN = ("-1", "-1.0")
"""What stands in a column that is a label of its own."""

MAX_DIGITS = 9
"""Of the number of a class."""

NO_CLASS = "-1"
"""What `datasets` writes of a row whose class isn't given out."""

UNDECIDED = ("gold_label", "-")
"""Column and cell of a pair that annotators didn't agree on, as in SNLI and MedNLI."""


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's, is a table by its ending."""
    if path.is_file():
        return kind_of(path) in ROWS and kind_of(path) != ".json"
    return bool(sniffed(path, ENDINGS))


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a table, or every table of a folder, a row at a time.

    Args:
        path: the file or folder.
        reading: its encoding and columns; counts mentions and answers, the rows that were passed over,
            and members that hold what isn't read; is told of those that can't be read, where it wants
            to be.

    Yields:
        A document of each row, in order; without a column of ids named by file and number.

    Raises:
        LongbioError: `reading.columns` names an unknown field or a column that isn't there, there
            is no column of text, or a file or cell can't be read. Names file and row, never what
            stands there.
    """
    return read_tables(files_of(path, ENDINGS), reading)


def read_tables(files: Sequence[Path], reading: Reading) -> Iterator[Document]:
    """`read` of some files."""
    fields = [*USUAL, *annotated.USUAL]
    unknown = sorted(set(reading.columns) - set(fields))
    if unknown:
        raise LongbioError(
            f"no field of a document is called {unknown[0]!r}",
            where="columns",
            remedy=f"choose from {', '.join(fields)}",
        )
    wanted = {name for each in (USUAL, annotated.USUAL) for names in each.values() for name in names}
    wanted |= {ERROR_NAME, *annotated.MARKS, *(name.lower() for name in reading.columns.values())}
    wanted |= {name.strip() for name in reading.columns.get("labels", "").lower().split(",")}
    for file in files:
        try:
            yield from _documents(file, wanted, reading)
        except LongbioError as error:
            reading.skip(error)


def _documents(file: Path, wanted: Collection[str], reading: Reading) -> Iterator[Document]:
    is_checked = kind_of(file) not in HEADED
    names = class_names(file)
    unit = FileUnit(partial(_placed, file, wanted, reading))
    unread = [name for name in nested_columns(file) if name.lower() not in wanted]
    for row in read_rows(file, reading.encoding, wanted, reading.failed):
        if not is_checked:
            # A column that isn't there is the fault of the table, not of each of its rows.
            first = {name.lower(): cell for name, cell in row.cells.items()}
            for field in USUAL:
                _column(field, first, reading.columns, file, row.where)
            is_checked = True
        for name in unread:
            reading.passed_over.note(f"member {name[:40]!r} that isn't read", f"{file}, {row.where}")
        try:
            document = _document(row, file, names, unit, reading)
        except LongbioError as error:
            reading.skip(error)
            continue
        if document is not None:
            yield document


def _document(
    row: Row, file: Path, class_names: Mapping[str, Sequence[str]], unit: FileUnit, reading: Reading
) -> Document | None:
    where = f"{file}, {row.where}"
    named = {field: column.lower() for field, column in reading.columns.items()}
    cells = _cells(row, named, file)
    if is_withdrawn(cells):
        reading.passed_over.note("row marked as an error", where)
        return None
    if is_rejected(cells):
        reading.passed_over.note("task that was rejected or ignored", where)
        return None
    columns = {field: _column(field, cells, reading.columns, file, row.where) for field in USUAL}
    if columns["labels"] is not None and (columns["labels"], cells[columns["labels"]]) == UNDECIDED:
        reading.passed_over.note("row without a gold label", where)
        return None
    found = {field: None if column is None else cells[column] for field, column in columns.items()}
    text, query = _text(found["text"], "text", where), _text(found["query"], "query", where)
    name = _name(found["id"], "id", where) or f"{stem_of(file)}-{row.number:06}"
    if kind_of(file) in WRITTEN:
        annotated.note_unwritten(cells, named, where, reading)
    for field in annotated.USUAL:
        if field in named and named[field] not in cells:
            raise _no_column(field, reading.columns, cells, file, row.where)
    more = annotations_of(cells, named, class_names, text, query, unit, name, where, reading)
    labels = None if columns["labels"] in more.read else _labels(found["labels"], where)
    if labels is not None and (classes := class_names.get(columns["labels"] or "")):
        labels = _named(labels, classes, where, reading)
    if label_columns := _label_columns(cells, reading.columns):
        labels = _labels_there(label_columns, cells, file, row.where, reading)
    group = _name(found["group"], "group", where)
    if more.asks and group is None:
        group = group_of(_title(cells.get("title")), more.text or "")
    read = {column for column in columns.values() if column is not None}
    note_unread(cells, more.read | read, where, reading)
    return Document(
        id=name,
        text=more.text or "",
        spans=more.spans,
        units=more.units,
        relations=more.relations,
        questions=() if more.question is None else (more.question,),
        query=None if more.asks else query,
        labels=labels,
        score=score_of(found["score"], where),
        group=group,
    )


def _cells(row: Row, named: Mapping[str, str], file: Path) -> dict[str, Any]:
    """By lower-case names; annotations that a cell of CSV can only hold in writing are read from it."""
    cells = {name.lower(): cell for name, cell in row.cells.items()}
    return annotated.as_lists(cells, named) if kind_of(file) in WRITTEN else cells


def _placed(
    file: Path, wanted: Collection[str], reading: Reading
) -> Iterator[tuple[str, list[tuple[int, str | None]]]]:
    """The texts of a file, and where their mentions and answers say that they begin."""
    named = {field: column.lower() for field, column in reading.columns.items()}
    names = [named["text"]] if "text" in named else USUAL["text"]
    try:
        for row in read_rows(file, reading.encoding, wanted, lambda error: None):
            cells = _cells(row, named, file)
            text = next((cells[name] for name in names if name in cells), None)
            if isinstance(text, str) and not text.isascii():
                yield text, annotated.placed_in(cells, named)
    except LongbioError:
        return  # who reads its documents says what is wrong


def _title(cell: Any) -> str | None:
    return cell if isinstance(cell, str) and cell else None


def _column(
    field: str, cells: Mapping[str, Any], named: Mapping[str, str], file: Path, place: str
) -> str | None:
    """The lower-case name of the column that holds a field; None where there is none."""
    if field == "labels" and _label_columns(cells, named):
        return None
    if field in named:
        column = named[field].lower() if named[field].lower() in cells else None
    else:
        column = next((name for name in USUAL[field] if name in cells), None)
    if column is None and (field in named or (field == "text" and not comes_in_words(cells, named))):
        raise _no_column(field, named, cells, file, place)
    return column


def _no_column(
    field: str, named: Mapping[str, str], cells: Mapping[str, Any], file: Path, place: str
) -> LongbioError:
    return LongbioError(
        f"there is no column {named.get(field, field)!r}; {columns_there([*cells], file)}",
        where=f"{file}, {place}",
        remedy=f"name the column that holds the {field}",
    )


def _text(cell: Any, field: str, where: str) -> str | None:
    if cell is not None and not isinstance(cell, str):
        raise LongbioError(f"the cell of the {field} holds no text", where=where)
    return cell


def _name(cell: Any, field: str, where: str) -> str | None:
    if isinstance(cell, list | dict | bytes):
        raise LongbioError(f"the cell of the {field} holds no name", where=where)
    return name_of(cell)


def _labels(cell: Any, where: str) -> tuple[str, ...] | None:
    written = listed_in(cell) if isinstance(cell, str) else None
    cell = cell if written is None else written
    listed = cell if isinstance(cell, list) else [cell]
    if any(isinstance(each, list | dict | bytes) for each in listed):
        raise LongbioError("the cell of the labels holds no name", where=where)
    names = tuple(name for each in listed if (name := value_of(each)) is not None)
    return names if names or isinstance(cell, list) else None


def _named(
    labels: Sequence[str], classes: Sequence[str], where: str, reading: Reading
) -> tuple[str, ...] | None:
    """Labels by the names of their classes, where they are numbers; None where a row has none (-1)."""
    if [*labels] == [NO_CLASS]:
        reading.passed_over.note("row without a gold label", where)
        return None
    named = []
    for label in labels:
        number = name_of(label) or ""
        if label in classes or not number.isdecimal() or len(number) > MAX_DIGITS:
            named.append(label)
        elif int(number) < len(classes):
            named.append(classes[int(number)])
        else:
            raise LongbioError(
                f"class {int(number)} is none of the {len(classes)} that have names", where=where
            )
    return tuple(named)


def _label_columns(cells: Mapping[str, Any], named: Mapping[str, str]) -> list[str]:
    """The columns of which each says whether a label is there; none where labels stand in one."""
    given = named.get("labels", "")
    if "," not in given or given.lower() in cells:
        return []
    return [name for each in given.split(",") if (name := each.strip())]


def _labels_there(
    columns: Sequence[str], cells: Mapping[str, Any], file: Path, place: str, reading: Reading
) -> tuple[str, ...]:
    labels = []
    for name in columns:
        if name.lower() not in cells:
            raise LongbioError(
                f"there is no column {name!r}; {columns_there([*cells], file)}",
                where=f"{file}, {place}",
                remedy="name the columns of the labels",
            )
        said = (value_of(cells[name.lower()]) or "").lower()
        if said in THERE:
            labels.append(name)
        elif said in UNCERTAIN:
            reading.passed_over.note("label that is uncertain (-1)", f"{file}, {place}")
        elif said not in NOT_THERE:
            raise LongbioError(f"the cell of {name!r} is neither 1 nor 0", where=f"{file}, {place}")
    return tuple(labels)


def score_of(cell: Any, where: str) -> float | None:
    """The number in a cell; None for an empty one.

    Raises:
        LongbioError: it holds something else, or no finite number.
    """
    if name_of(cell) is None:
        return None
    try:
        score = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise LongbioError("the score is no number", where=where)
    return score
