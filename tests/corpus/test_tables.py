"""Tables: columns by their usual names or as told, MedNLI's pairs, MIMIC's notes, streamed."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from longbio.corpus.readers import format_of, read_documents, stream_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.errors import LongbioError
from tests.corpus_splits import read_splits

NOTE = 'Pt. c/o pain,\r\n"8/10".\n\nPlan:\tµg dosing; [**2101-1-1**] 🙂 '

MEDNLI = """\
{"gold_label": "entailment", "pairID": "p1", "sentence1": "No fever.", "sentence2": "Afebrile."}
{"gold_label": "-", "pairID": "p2", "sentence1": "No fever.", "sentence2": "Cold."}
{"gold_label": "contradiction", "pairID": "p3", "sentence1": "No fever.", "sentence2": "Febrile."}
"""


def table(folder: Path, ending: str, rows: list[dict[str, Any]]) -> Path:
    file = folder / f"notes{ending}"
    if ending == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        return file
    with file.open("w", encoding="utf-8", newline="") as opened:
        if ending == ".jsonl":
            opened.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(opened, list(rows[0]), delimiter="\t" if ending == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    if ending.endswith(".gz"):
        file.write_bytes(gzip.compress(file.read_bytes()))
    return file


ENDINGS = [".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_are_found_under_their_usual_names(ending: str, tmp_path: Path) -> None:
    row = {
        "ID": 7,
        "Text": NOTE,
        "question": "Pain?",
        "label": "yes",
        "score": 0.5,
        "subject_id": 3.0 if ending == ".parquet" else 3,
        "x": "y",
    }
    file = table(tmp_path, ending, [row, {**row, "ID": None, "label": None, "score": None}])
    assert format_of(file) == format_of(tmp_path) == "table"
    assert read_documents(file) == [
        Document("7", NOTE, query="Pain?", labels=("yes",), score=0.5, group="3"),
        Document("notes-000002", NOTE, query="Pain?", group="3"),
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_are_those_that_are_named(ending: str, tmp_path: Path) -> None:
    file = table(tmp_path, ending, [{"text": "summary", "Report": NOTE, "mrn": "A1", "dx": 0}])
    reading = Reading(columns={"text": "report", "group": "MRN", "labels": "dx"})
    assert read_documents(file, reading=reading) == [
        Document("notes-000001", NOTE, labels=("0",), group="A1")
    ]
    for columns, words in (({"text": "body"}, "no column 'body'"), ({"group": "body"}, "no column 'body'")):
        with pytest.raises(LongbioError, match=words):
            read_documents(file, reading=Reading(columns=columns))
    with pytest.raises(LongbioError, match="columns: no field of a document is called 'label'"):
        read_documents(file, reading=Reading(columns={"label": "dx"}))


def test_a_patient_is_the_group_before_an_arm_of_a_trial(tmp_path: Path) -> None:
    row = {"group": "arm A", "text": NOTE, "patient_id": "8", "SUBJECT_ID": "7"}
    for name in ("7", "8", "arm A"):
        assert [d.group for d in read_documents(table(tmp_path, ".csv", [row]))] == [name]
        del row[{"7": "SUBJECT_ID", "8": "patient_id"}.get(name, "group")]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_list_is_several_classes_or_none(ending: str, tmp_path: Path) -> None:
    rows = [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}, {"text": "c", "labels": None}]
    assert [d.labels for d in read_documents(table(tmp_path, ending, rows))] == [("x", "y"), (), None]


@pytest.mark.parametrize("column", ["query", "question", "sentence1", "prompt", "premise"])
def test_what_is_read_before_the_text(column: str, tmp_path: Path) -> None:
    (document,) = read_documents(table(tmp_path, ".csv", [{column: "Pain?", "text": "none"}]))
    assert document.query == "Pain?"


def test_mednli_pairs_without_a_gold_label_are_passed_over(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / f"mli_{split}_v1.jsonl").write_text(MEDNLI)
    reading = Reading()
    splits = read_splits(tmp_path, reading=reading)
    assert splits["test"] == [
        Document("p1", "Afebrile.", query="No fever.", labels=("entailment",)),
        Document("p3", "Febrile.", query="No fever.", labels=("contradiction",)),
    ]
    assert reading.passed_over == {"row without a gold label": 3}


HEADERS = ["ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CATEGORY,DESCRIPTION,ISERROR,TEXT"]


@pytest.mark.parametrize("header", [HEADERS[0], HEADERS[0].lower(), HEADERS[0].title()])
def test_mimic_notes_have_many_lines_and_some_are_marked_as_errors(header: str, tmp_path: Path) -> None:
    file = tmp_path / "NOTEEVENTS.csv"
    file.write_text(
        f'{header}\n1,7,9,2101-01-01,Nursing,Report,,"Seen [**2101-1-1**],\n""stable"".\n"\n'
        "2,7,9,,Nursing,Report,1,wrong patient\n3,8,9,,Nursing,Report,0,well\n"
    )
    reading = Reading()
    assert read_documents(file, reading=reading) == [
        Document("1", 'Seen [**2101-1-1**],\n"stable".\n', group="7"),
        Document("3", "well", group="8"),
    ]
    assert reading.passed_over == {"row marked as an error": 1}


def test_mimic_notes_are_streamed(tmp_path: Path) -> None:
    file, note = tmp_path / "NOTEEVENTS.csv", "fever, cough\nand pain " * 200
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(HEADERS[0].split(","))
        writer.writerows([n, n % 99, 1, "", "Nursing", "Report", "", note] for n in range(5_000))
    assert file.stat().st_size > 20_000_000
    tracemalloc.start()
    try:
        assert sum(document.text == note for document in stream_documents(file)) == 5_000
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "7,a SECRET note\n8,another\n", "no column 'text'; its first line names 2"),
        ("a.csv", "text,Text\nSECRET,SECRET\n", "the header names a column twice"),
        ("a.csv", "text,score\nSECRET,SECRET\n", "line 2: the score is no number"),
        ("a.csv", "text,score\nSECRET,inf\n", "line 2: the score is no number"),
        ("a.jsonl", '{"text": "SECRET", "score": true}', "line 1: the score is no number"),
        ("a.jsonl", '{"text": 5}', "line 1: the cell of the text holds no text"),
        ("a.jsonl", '{"text": "SECRET", "question": 5}', "line 1: the cell of the query holds no text"),
        ("a.jsonl", '{"text": "SECRET", "label": {"SECRET": 1}}', "line 1: the cell of the labels"),
        ("a.jsonl", '{"text": "SECRET", "id": ["SECRET"]}', "line 1: the cell of the id"),
        ("a.jsonl", '{"text": "SECRET \\ud83d"}', "line 1 holds half a character"),
        ("a.jsonl", "[" * 100_000, "line 1 is no JSON object"),
        ("a.ods", '{"text": "SECRET"}', "is no table"),
    ],
)
def test_what_cannot_be_read_is_named_and_never_quoted(
    name: str, content: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(LongbioError, match=words) as caught:
        read_documents(file, "table")
    assert str(caught.value).startswith(str(file))
    assert "SECRET" not in str(caught.value)


def test_notes_in_files_stay_notes_with_a_table_beside_them(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("well")
    (tmp_path / "index.csv").write_text("id,text\n1,x\n")
    assert format_of(tmp_path) == "text"
    reading = Reading()
    assert read_documents(tmp_path, reading=reading) == [Document("note", "well")]
    assert reading.passed_over == {".csv file": 1}


def test_evidence_inference_reads_by_itself(data_folder: Path) -> None:
    splits = read_splits(data_folder / "evidence_inference")
    assert {name: len(documents) for name, documents in splits.items()} == {
        "train": 729,
        "dev": 90,
        "test": 93,
    }
    documents = [document for documents in splits.values() for document in documents]
    assert all(d.query is not None and d.query.count(" | ") >= 2 and len(d.text) > 1_000 for d in documents)
    assert {d.labels for d in documents} == {("decreased",), ("no difference",), ("increased",)}
