"""A broken note stops the reading, or is listed and passed; never is its text told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from longbio.corpus.readers import stream_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Question
from longbio.errors import LongbioError
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.predictor import Model

Reader = Callable[..., Model]

SECRET = "SECRETNOTE"


def read(path: Path, columns: dict[str, str] | None = None) -> tuple[list[str], list[str]]:
    """Texts of the notes, and what was told of the others."""
    told: list[str] = []
    reading = Reading(columns=columns or {}, failed=lambda error: told.append(str(error)))
    texts = [document.text for document in stream_documents(path, reading=reading)]
    assert SECRET not in "".join(told)
    return texts, told


def assert_stops(path: Path) -> None:
    with pytest.raises(LongbioError) as caught:
        list(stream_documents(path))
    assert SECRET not in str(caught.value)


def test_a_text_that_cant_be_decoded(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", SECRET.encode() + b"\xff"), ("c", b"two")):
        (tmp_path / f"{name}.txt").write_bytes(content)
    assert_stops(tmp_path)
    texts, told = read(tmp_path)
    assert texts == ["one", "two"]
    assert len(told) == 1
    assert "b.txt: byte 10 is not UTF-8" in told[0]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "broken",
    [
        SECRET.encode(),
        b"[1]",
        b'{"id": "x", "text": 7, "spans": []}',
        b'{"id": "x", "spans": []}',
        b'{"id": "x", "text": "' + SECRET.encode() + b'\xff", "spans": []}',
        b'{"id": "x", "text": "' + SECRET.encode() + b'\\ud800", "spans": []}',
        b'{"id": "x", "text": "' + SECRET.encode() + b'\0", "spans": []}',
        b'{"id": "x", "text": "ab", "spans": [{"fragments": [[0, 9]], "label": "l"}]}',
    ],
    ids=range(8),
)
def test_a_broken_line(broken: bytes, zipped: bool, tmp_path: Path) -> None:
    good = [json.dumps({"id": str(n), "text": f"text {n}", "spans": []}).encode() for n in range(3)]
    content = b"\n".join([good[0], broken, good[1], b"", good[2], b""])
    file = tmp_path / ("a.jsonl.gz" if zipped else "a.jsonl")
    file.write_bytes(gzip.compress(content) if zipped else content)
    assert_stops(file)
    texts, told = read(file)
    assert texts == ["text 0", "text 1", "text 2"]
    assert len(told) == 1
    assert "line 2" in told[0]


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (SECRET.encode(), "line 3"),
        (f"2,{SECRET},3".encode(), "line 3"),
        (b'2,"' + SECRET.encode() + b'" x"', "line 3"),
        (b'2,"' + SECRET.encode() + b'\n\xff"', "line 4"),
        (b'2,"' + SECRET.encode() + b'\n\0"', "line 4"),
    ],
    ids=range(5),
)
def test_a_broken_row(broken: bytes, where: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'n,text\n1,"one\nline"\n'.replace(b"\nl", b" l") + broken + b"\n3,two\n"
    )
    assert_stops(tmp_path / "a.csv")
    texts, told = read(tmp_path / "a.csv")
    assert texts == ["one line", "two"]
    assert len(told) == 1
    assert where in told[0]


def test_a_cell_that_holds_no_text(tmp_path: Path) -> None:
    rows = [{"text": "one"}, {"text": 7}, {"note": "two"}, {"other": SECRET}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    texts, told = read(tmp_path / "a.jsonl")
    assert texts == ["one", "two"]
    assert ["line 2" in told[0], "line 4" in told[1]] == [True, True]


def test_names_of_rows_dont_move_with_what_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\none\na,b\ntwo\n")
    reading = Reading(failed=lambda error: None)
    assert [d.id for d in stream_documents(tmp_path / "a.csv", reading=reading)] == ["a-000001", "a-000003"]


def test_a_column_that_isnt_there_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,words\n" + f"1,{SECRET}\n" * 50)
    (tmp_path / "b.csv").write_text("id,text\n1,one\n")
    texts, told = read(tmp_path)
    assert texts == ["one"]
    assert len(told) == 1
    assert "no column 'text'" in told[0]


def test_a_file_that_ends_in_the_middle_gives_what_it_has(tmp_path: Path) -> None:
    content = gzip.compress(b"".join(b'{"id": "%d", "text": "one", "spans": []}\n' % n for n in range(9)), 0)
    (tmp_path / "a.jsonl.gz").write_bytes(content[:-20])
    (tmp_path / "b.jsonl").write_text('{"id": "x", "text": "two", "spans": []}\n')
    texts, told = read(tmp_path)
    assert texts[-1] == "two"
    assert len(told) == 1
    assert "can't be read to its end" in told[0]


def test_a_damaged_parquet_file_is_passed(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nonsense PAR1")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["one"]}), tmp_path / "b.parquet")
    texts, told = read(tmp_path)
    assert texts == ["one"]
    assert "a.parquet" in told[0]


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_skipped_notes_are_listed_in_their_order(reader_of: Reader, tmp_path: Path) -> None:
    """One that can't be read, and one whose question leaves no room for its text."""
    folder = tmp_path / "in"
    folder.mkdir()
    long = " ".join(["patient"] * 60)
    rows: list[Any] = [{"id": n, "text": f"the {SECRET} drug", "spans": [], "query": "the"} for n in "abcd"]
    rows[1] = SECRET
    rows[2]["query"] = f"{SECRET} {long}"
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    notes, model, out = Notes(folder), reader_of("classification"), tmp_path / "out"

    found = annotate(model, notes, out, on_error="skip")
    assert (found["notes"], found["failed"]) == (4, 2)
    assert [row["id"] for row in rows_of(out / "predictions.jsonl")] == ["a", "d"]
    failed = rows_of(out / "failed.jsonl")
    assert [(row["id"], row["where"]) for row in failed] == [
        (None, str(folder / "a.jsonl")),
        ("c", "document c"),
    ]
    assert [*failed[0]] == ["id", "what", "where", "remedy"]
    assert "question or first text" in failed[1]["what"]
    assert SECRET not in (out / "failed.jsonl").read_text()
    again = annotate(model, notes, out, on_error="skip")
    assert again == found | {"finished_before": True}

    with pytest.raises(LongbioError, match="line 2 is no JSON object"):
        annotate(model, notes, tmp_path / "stops")
    went_on = annotate(model, notes, tmp_path / "stops", on_error="skip")
    assert went_on == found
    assert (tmp_path / "stops" / "predictions.jsonl").read_bytes() == (out / "predictions.jsonl").read_bytes()


def test_notes_behind_a_quote_that_isnt_closed_are_done(reader_of: Reader, tmp_path: Path) -> None:
    rows = [f"{number},the drug {number}\n" for number in range(20)]
    rows[5] = f'5,"{SECRET}\n'
    file = tmp_path / "a.csv"
    file.write_text("id,text\n" + "".join(rows))
    found = annotate(reader_of("classification"), Notes(file), tmp_path / "out", on_error="skip")
    assert (found["notes"], found["failed"]) == (20, 1)
    done = [row["id"] for row in rows_of(tmp_path / "out" / "predictions.jsonl")]
    assert done == [str(number) for number in range(20) if number != 5]
    (failed,) = rows_of(tmp_path / "out" / "failed.jsonl")
    assert "begins in line 7" in failed["what"]
    # A table of texts alone doesn't tell which lines are rows: they are listed as lost.
    file.write_text("text\n" + "".join(row.partition(",")[2] for row in rows))
    found = annotate(reader_of("classification"), Notes(file), tmp_path / "lost", on_error="skip")
    assert (found["notes"], found["failed"]) == (6, 1)
    (failed,) = rows_of(tmp_path / "lost" / "failed.jsonl")
    assert "and 14 lines behind it are lost with it" in failed["what"]


def test_a_note_that_cant_be_predicted_stops_with_its_name(reader_of: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the drug")
    question = Question("q", " ".join(["patient"] * 60))
    with pytest.raises(LongbioError, match="question a/q: the question or first text has 60 tokens"):
        annotate(reader_of("qa"), Notes(tmp_path / "a.txt", questions=(question,)), tmp_path / "out")
    assert not (tmp_path / "out" / "predictions.jsonl").exists()
