"""Offsets of rows, and of Label Studio's tasks, in characters, bytes or UTF-16: found out over the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.parquet
import pytest

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Relation, Span

COUNTS: dict[str, Callable[[str], int]] = {
    "characters": len,
    "bytes of UTF-8": lambda text: len(text.encode()),
    "units of UTF-16": lambda text: len(text.encode("utf-16-le")) // 2,
}
each_unit = pytest.mark.parametrize("unit", COUNTS)
TEXT = "Naïve 🧬𝛽 fever under tarva."
FEVER, TARVA = Span.of(9, 14, "Sign"), Span.of(21, 26, "Drug")
Write = Callable[[Path, list[dict[str, Any]]], Path]


def lines(folder: Path, rows: list[dict[str, Any]]) -> Path:
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return folder / "rows.jsonl"


def listed(folder: Path, rows: list[dict[str, Any]]) -> Path:
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    return folder / "rows.json"


def parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "rows.parquet")
    return folder / "rows.parquet"


def csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    pandas.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def csv_of_datasets(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """As `Dataset.to_csv` writes it: by way of Arrow, whose lists are arrays of NumPy."""
    pyarrow.Table.from_pylist(rows).to_pandas().to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def starts(unit: str, *spans: Span) -> list[tuple[int, int]]:
    return [(COUNTS[unit](TEXT[: s.start_char]), COUNTS[unit](TEXT[: s.end_char])) for s in spans]


def read(path: Path) -> tuple[list[Any], Reading]:
    reading = Reading()
    return read_documents(path, reading=reading), reading


def said(reading: Reading, unit: str, documents: int) -> None:
    assert reading.alignment.faults == []
    what = f"documents whose offsets count {unit}, and were read so"
    assert reading.remarks == ({} if unit == "characters" else {what: documents})


@each_unit
@pytest.mark.parametrize("write", [lines, listed, parquet, csv, csv_of_datasets])
def test_answers_of_rows(write: Write, unit: str, tmp_path: Path) -> None:
    [(fever, _), (tarva, _)] = starts(unit, FEVER, TARVA)
    rows = [
        {
            "id": "1",
            "context": "All is well.",
            "question": "How?",
            "answers": {"text": ["well"], "answer_start": [7]},
        },
        {
            "id": "2",
            "context": TEXT,
            "question": "What?",
            "answers": {"text": ["fever"], "answer_start": [fever]},
        },
        {
            "id": "3",
            "context": TEXT,
            "question": "Under what?",
            "answers": {"text": ["tarva", "fever under tarva"], "answer_start": [tarva, fever]},
        },
    ]
    documents, reading = read(write(tmp_path, rows))
    assert [[*each.questions[0].answers] for each in documents] == [[(7, 11)], [(9, 14)], [(21, 26), (9, 26)]]
    said(reading, unit, documents=2)
    assert reading.passed_over == {}


@each_unit
@pytest.mark.parametrize("write", [lines, listed, parquet])
@pytest.mark.parametrize("has_words", [True, False])
def test_mentions_of_rows(has_words: bool, write: Write, unit: str, tmp_path: Path) -> None:
    """Those of a document that doesn't say their words count what the rest of the file does."""

    def row(name: str, has_words: bool) -> dict[str, Any]:
        words = {"text": "fever"} if has_words else {}
        other = {"text": "tarva"} if has_words else {}
        (a, b), (c, d) = starts(unit, FEVER, TARVA)
        spans = [
            {"start": a, "end": b, "label": "Sign", **words},
            {"start": c, "end": d, "label": "Drug", **other},
        ]
        return {"id": name, "text": TEXT, "entities": spans}

    documents, reading = read(write(tmp_path, [row("1", has_words), row("2", True)]))
    assert [each.spans for each in documents] == [(FEVER, TARVA), (FEVER, TARVA)]
    said(reading, unit, documents=2)


@each_unit
def test_words_that_stand_elsewhere_by_accident_dont_count_against_the_file(
    unit: str, tmp_path: Path
) -> None:
    text = "🧬 aaaaaa"
    [(fever, _)] = starts(unit, FEVER)
    first = {"text": ["a"], "answer_start": [COUNTS[unit](text[:2])]}
    rows = [
        {"id": "1", "context": text, "question": "Which?", "answers": first},
        {
            "id": "2",
            "context": TEXT,
            "question": "What?",
            "answers": {"text": ["fever"], "answer_start": [fever]},
        },
    ]
    documents, _ = read(lines(tmp_path, rows))
    assert documents[0].questions[0].answers == ((2, 3),)


@each_unit
def test_mentions_and_relations_of_label_studio(unit: str, tmp_path: Path) -> None:
    (a, b), (c, d) = starts(unit, FEVER, TARVA)
    result = [
        {"id": "a", "type": "labels", "value": {"start": a, "end": b, "text": "fever", "labels": ["Sign"]}},
        {"id": "b", "type": "labels", "value": {"start": c, "end": d, "text": "tarva", "labels": ["Drug"]}},
        {"type": "relation", "from_id": "a", "to_id": "b", "labels": ["treats"]},
    ]
    task = {"id": 1, "data": {"text": TEXT}, "annotations": [{"result": result}]}
    documents, reading = read(listed(tmp_path, [task]))
    assert documents[0].spans == (FEVER, TARVA)
    assert documents[0].relations == (Relation("treats", FEVER, TARVA),)
    said(reading, unit, documents=1)


@each_unit
def test_relations_of_prodigy_name_mentions_by_the_offsets_of_the_file(unit: str, tmp_path: Path) -> None:
    ends = [{"start": a, "end": b} for a, b in starts(unit, FEVER, TARVA)]
    row = {
        "text": TEXT,
        "spans": [
            {**ends[0], "label": "Sign", "text": "fever"},
            {**ends[1], "label": "Drug", "text": "tarva"},
        ],
        "relations": [{"head_span": ends[0], "child_span": ends[1], "label": "treats"}],
    }
    documents, _ = read(lines(tmp_path, [row]))
    assert documents[0].relations == (Relation("treats", FEVER, TARVA),)


def test_a_mention_that_is_nowhere_is_left_out_under_every_unit(tmp_path: Path) -> None:
    rows = [
        {"text": TEXT, "spans": [{"start": 9, "end": 14, "label": "Sign", "text": "fever"}]},
        {"text": TEXT, "spans": [{"start": 3, "end": 8, "label": "Sign", "text": "cough"}]},
    ]
    reading = Reading()
    documents = read_documents(lines(tmp_path, rows), reading=reading, max_misaligned=1)
    assert [each.spans for each in documents] == [(FEVER,), ()]
    assert len(reading.alignment.faults) == 1
    assert reading.remarks == {}


def test_a_cell_of_annotations_that_is_no_list_is_counted(tmp_path: Path) -> None:
    row = {"context": TEXT, "question": "What?", "answers": "{'text': ['fever'], 'answer_start': [9"}
    documents, reading = read(csv(tmp_path, [row]))
    assert reading.passed_over == {"cell of 'answers' that can't be read": 1}
    assert documents[0].questions == ()
