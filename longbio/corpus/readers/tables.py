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

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from longbio.corpus.class_names import class_names, nested_columns
from longbio.corpus.counting import FileUnit
from longbio.corpus.files import kind_of, stem_of
from longbio.corpus.labels import labels_in
from longbio.corpus.readers import annotated
from longbio.corpus.readers.annotated import MEMBERS, Table
from longbio.corpus.readers.squad import group_of
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.corpus.row_files import (
    ERROR_NAME,
    LISTS,
    ROWS,
    TEXT_NAMES,
    TRUE,
    Row,
    columns_there,
    documents_of,
    is_withdrawn,
    name_of,
    readable_rows,
    score_of,
    value_of,
)
from longbio.errors import LongbioError

FIELDS: dict[str, tuple[str, ...]] = {
    "text": (*TEXT_NAMES, "sentence", "sentence2", "hypothesis", "context", "data"),
    "id": ("id", "row_id", "note_id", "pairid"),
    "query": ("query", "question", "sentence1", "prompt", "premise"),
    "labels": ("labels", "label", "class", "gold_label"),
    "score": ("score",),
    "group": ("subject_id", "patient_id", "group"),
}
"""By the field of a document: the columns that hold it when none is named, the first that is there. A
patient comes before a `group`, which may be an arm of a trial."""

ENDINGS = tuple(kind for kind in ROWS if kind != ".json")

_NAMES = "|".join((*FIELDS["text"], *MEMBERS["tokens"]))
_LIST = re.compile(rf'\s*(?:\[|\{{"(?:{"|".join(LISTS)})"\s*:\s*\[|(?=\{{))', re.IGNORECASE)
_NAMED = re.compile(rf'"(?:{_NAMES})"\s*:', re.IGNORECASE)
_PAIRS = re.compile(r'\s*(?:\{.{0,400}?"annotations"\s*:\s*)?\[\s*\[\s*"', re.DOTALL)
_TEXTS = re.compile(r'\s*\[\s*"')
"""How JSON begins that holds rows (a list of them, or one) and names their text; pairs; texts alone."""

HEADED = (".csv", ".tsv", ".parquet")
"""Kinds of tables of which all rows have the same columns."""

WRITTEN = (".csv", ".tsv")
"""Those whose cells are texts, whatever they hold."""

FALSE, UNCERTAIN = ("", "0", "0.0", "false", "f", "no", "n"), ("-1", "-1.0")
"""What else than `TRUE` stands in a column that is a label of its own."""

MAX_DIGITS = 9
"""Of the number of a class."""

NO_CLASS = "-1"
"""What `datasets` writes of a row whose class isn't given out."""

UNDECIDED = ("gold_label", "-")
"""Column and cell of a pair that annotators didn't agree on, as in SNLI and MedNLI."""


def looks_like_rows(beginning: str) -> bool:
    """Whether a file of JSON begins with rows that have a text or words."""
    is_named = _LIST.match(beginning) is not None and _NAMED.search(beginning) is not None
    return is_named or _PAIRS.match(beginning) is not None or _TEXTS.match(beginning) is not None


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document of each row; without a column of ids named by file and number.

    Rows that can't be read are skipped, where the reading wants to go on.

    Raises:
        LongbioError: as all readers; and `reading.columns` names an unknown field or a column that isn't
            there, or there is no column of text.
    """
    fields = [*FIELDS, *MEMBERS]
    unknown = sorted(set(reading.columns) - set(fields))
    if unknown:
        raise LongbioError(
            f"no field of a document is called {unknown[0]!r}",
            where="columns",
            remedy=f"choose from {', '.join(fields)}",
        )
    named = {field: column.lower() for field, column in reading.columns.items()}
    wanted = {name for usual in (FIELDS, MEMBERS) for names in usual.values() for name in names}
    wanted |= {ERROR_NAME, *annotated.MARKS, *named.values()}
    wanted |= {name.strip() for name in named.get("labels", "").split(",")}

    def reader_of(file: Path, first: Row) -> Callable[[Row], Document | None]:
        unit = FileUnit(partial(_places_in_file, file, wanted, named, reading))
        table = Table(file, named, class_names(file), unit, reading)
        if kind_of(file) in HEADED:
            _columns({name.lower(): cell for name, cell in first.cells.items()}, table, first.where)
        unread = [name for name in nested_columns(file) if name.lower() not in wanted]
        return partial(_document, table, unread)

    return documents_of(files, reading, reader_of, wanted)


def _document(table: Table, unread: Sequence[str], row: Row) -> Document | None:
    file, reading, where = table.file, table.reading, f"{table.file}, {row.where}"
    for name in unread:
        reading.passed_over.note(f"member {name[:40]!r} that isn't read", where)
    cells = _cells(row, table.named, file)
    columns = None
    if is_withdrawn(cells):
        reason = "row marked as an error"
    elif annotated.is_rejected(cells):
        reason = "task that was rejected or ignored"
    else:
        columns = _columns(cells, table, row.where)
        reason = "row without a gold label"
    if columns is None or (columns["labels"], cells.get(columns["labels"] or "")) == UNDECIDED:
        reading.passed_over.note(reason, where)
        return None
    return _document_of(cells, columns, table, row)


def _document_of(
    cells: Mapping[str, Any], columns: Mapping[str, str | None], table: Table, row: Row
) -> Document:
    file, reading, where = table.file, table.reading, f"{table.file}, {row.where}"
    held = {field: None if column is None else cells[column] for field, column in columns.items()}
    text, query = _text(held["text"], "text", where), _text(held["query"], "query", where)
    name = _name(held["id"], "id", where) or f"{stem_of(file)}-{row.number:06}"
    if kind_of(file) in WRITTEN:
        annotated.note_unwritten(cells, table, where)
    for field in MEMBERS:
        if field in table.named and table.named[field] not in cells:
            raise _no_column(field, cells, table, row.where)
    document, read = annotated.annotations_of(cells, table, text, query, name, where)
    group = _name(held["group"], "group", where)
    if query is not None and document.query is None and group is None:
        title = cells.get("title")
        group = group_of(title if isinstance(title, str) else None, document.text)
    label_column = None if columns["labels"] in read else columns["labels"]
    labels, score = _labels(cells, label_column, table, row.where), score_of(held["score"], where)
    read |= {column for column in columns.values() if column is not None}
    annotated.note_unread(cells, read, where, reading)
    return replace(document, labels=labels, score=score, group=group)


def _cells(row: Row, named: Mapping[str, str], file: Path) -> dict[str, Any]:
    """By lower-case names; annotations that a cell of CSV can only hold in writing are read from it."""
    cells = {name.lower(): cell for name, cell in row.cells.items()}
    return annotated.as_lists(cells, named) if kind_of(file) in WRITTEN else cells


def _places_in_file(
    file: Path, wanted: Collection[str], named: Mapping[str, str], reading: Reading
) -> Iterator[tuple[str, list[tuple[int, str | None]]]]:
    """The texts of a file, and where their mentions and answers say that they begin."""
    names = [named["text"]] if "text" in named else FIELDS["text"]
    for row in readable_rows(file, reading.encoding, wanted):
        cells = _cells(row, named, file)
        text = next((cells[name] for name in names if name in cells), None)
        if isinstance(text, str) and not text.isascii():
            yield text, annotated.places_in(cells, named)


def _columns(cells: Mapping[str, Any], table: Table, place: str) -> dict[str, str | None]:
    """By the field of a document, the lower-case name of the column that holds it; None where none does."""
    columns: dict[str, str | None] = {}
    for field, usual in FIELDS.items():
        names = (table.named[field],) if field in table.named else usual
        columns[field] = next((name for name in names if name in cells), None)
        if field == "labels" and _label_columns(cells, table):
            columns[field] = None
        elif columns[field] is None and (
            field in table.named or (field == "text" and not annotated.comes_in_words(cells, table.named))
        ):
            raise _no_column(field, cells, table, place)
    return columns


def _no_column(field: str, cells: Mapping[str, Any], table: Table, place: str) -> LongbioError:
    name = table.reading.columns.get(field, field)
    return LongbioError(
        f"there is no column {name!r}; {columns_there([*cells], table.file)}",
        where=f"{table.file}, {place}",
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


def _labels(cells: Mapping[str, Any], column: str | None, table: Table, place: str) -> tuple[str, ...] | None:
    """The labels that a column holds, by the names of their classes where they are numbers that have some; or
    those whose own columns say that they are there."""
    if label_columns := _label_columns(cells, table):
        return _labels_there(label_columns, cells, table, place)
    cell, where = None if column is None else cells[column], f"{table.file}, {place}"
    written = labels_in(cell) if isinstance(cell, str) else None
    cell = cell if written is None else written
    listed = cell if isinstance(cell, list) else [cell]
    if any(isinstance(label, list | dict | bytes) for label in listed):
        raise LongbioError("the cell of the labels holds no name", where=where)
    labels = tuple(name for label in listed if (name := value_of(label)) is not None)
    classes = table.class_names.get(column or "")
    if classes and labels == (NO_CLASS,):
        table.reading.passed_over.note("row without a gold label", where)
        return None
    if not labels and not isinstance(cell, list):
        return None
    return tuple(_class_name(label, classes, where) for label in labels) if classes else labels


def _class_name(label: str, classes: Sequence[str], where: str) -> str:
    """What a label is called, where it is the number of a class."""
    number = name_of(label) or ""
    if label in classes or not number.isdecimal() or len(number) > MAX_DIGITS:
        return label
    if int(number) < len(classes):
        return classes[int(number)]
    raise LongbioError(f"class {int(number)} is none of the {len(classes)} that have names", where=where)


def _label_columns(cells: Mapping[str, Any], table: Table) -> list[str]:
    """The columns of which each says whether a label is there; none where labels stand in one."""
    columns = table.reading.columns.get("labels", "")
    if "," not in columns or columns.lower() in cells:
        return []
    return [name for column in columns.split(",") if (name := column.strip())]


def _labels_there(
    columns: Sequence[str], cells: Mapping[str, Any], table: Table, place: str
) -> tuple[str, ...]:
    labels, where = [], f"{table.file}, {place}"
    for name in columns:
        if name.lower() not in cells:
            raise LongbioError(
                f"there is no column {name!r}; {columns_there([*cells], table.file)}",
                where=where,
                remedy="name the columns of the labels",
            )
        value = (value_of(cells[name.lower()]) or "").lower()
        if value in TRUE:
            labels.append(name)
        elif value in UNCERTAIN:
            table.reading.passed_over.note("label that is uncertain (-1)", where)
        elif value not in FALSE:
            raise LongbioError(f"the cell of {name!r} is neither 1 nor 0", where=where)
    return tuple(labels)
