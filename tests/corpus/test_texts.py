"""Texts out of every kind of file, and one clear line for those that can't be read."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from longbio.corpus.texts import Columns, Text, read_texts
from longbio.errors import LongbioError

NOTE = 'Pt. c/o pain,\r\n"8/10".\n\nPlan:\tµg dosing; [**2101-1-1**] 🙂'


def texts(path: Path, **columns: str) -> list[str]:
    return [text.text for text in read_texts([path], Columns(**columns))]


def compressed(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zst":
        with pyarrow.output_stream(str(path), compression="zstd") as stream:
            stream.write(data)
    return path


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_plain_text_json_lines_and_tables(ending: str, tmp_path: Path) -> None:
    assert texts(compressed(tmp_path / f"a.txt{ending}", NOTE.encode())) == [NOTE]
    rows = "".join(json.dumps({"id": n, "text": f"{n} {NOTE}"}) + "\n\n" for n in range(3))
    expected = [f"{n} {NOTE}" for n in range(3)]
    assert texts(compressed(tmp_path / f"a.jsonl{ending}", rows.encode())) == expected
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
        with (tmp_path / "plain").open("w", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerows([["id", "Text"], *([n, text] for n, text in enumerate(expected))])
        data = (tmp_path / "plain").read_bytes()
        assert texts(compressed(tmp_path / f"a{suffix}{ending}", data)) == expected


def test_parquet(tmp_path: Path) -> None:
    table = pyarrow.table({"NOTE": [NOTE, None], "other": [1, 2], "patient": ["p1", "p2"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found = list(read_texts([tmp_path / "a.parquet"], Columns(group="Patient")))
    assert found == [Text(NOTE, "p1"), Text("", "p2")]


@pytest.mark.parametrize("header", ["ROW_ID,SUBJECT_ID,ISERROR,TEXT", "row_id,subject_id,iserror,text"])
def test_mimic_notes_less_those_marked_as_errors(header: str, tmp_path: Path) -> None:
    file = tmp_path / "NOTEEVENTS.csv"
    file.write_text(
        f'{header}\n1,7,,"Admitted\non ""Monday"", stable"\n2,7,1,"wrong patient"\n3,8,0,"well"\n'
    )
    found = list(read_texts([file], Columns(group="SUBJECT_ID")))
    assert found == [Text('Admitted\non "Monday", stable', "7"), Text("well", "8")]


def test_a_long_note_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000 + "\n")
    assert len(texts(tmp_path / "a.csv")[0]) == 200_000


def test_folders_are_read_in_order_and_other_files_left_out(tmp_path: Path) -> None:
    for name in ("b/2.txt", "a/1.txt", "a/1.ann", "c.md", "a/._1.txt", ".trash/3.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts(tmp_path) == ["a/1.txt", "b/2.txt"]


def test_lists_of_json_are_read_and_what_describes_a_corpus_isnt(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "one"}, {"text": "two"}]')
    (tmp_path / "dataset_info.json").write_text('{"features": {"label": 1}}')
    assert texts(tmp_path) == texts(tmp_path / "a.json") == ["one", "two"]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext\nhello\n")
    assert texts(tmp_path / "a.csv") == ["hello"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.txt", b"ab\xffsecret", "not UTF-8"),
        ("a.txt", b"line\nab\0secret", "line 2 holds a zero byte"),
        ("a.jsonl", b'{"text": "x"}\n{secret\n', "line 2 is no JSON object"),
        ("a.jsonl", b'{"text": ["secret"]}\n', "line 1 holds no text"),
        ("a.jsonl", b'{"body": "secret"}\n', "no column 'text'; there are body"),
        ("a.csv", b"7,the secret of no header\n8,more\n", "its first line names 2 others"),
        ("a.csv", b"a,text\n1,2,secret\n", "not as many cells"),
        ("a.csv", b"a,text\n1\n", "not as many cells"),
        ("a.csv", b'text\n"secret\n', "can't be read"),
        ("a.txt.gz", gzip.compress(b"secret" * 999)[:-20], "can't be read to its end"),
        ("a.txt.gz", b"secret", "can't be read to its end"),
        ("a.parquet", b"secret", "Parquet"),
        ("a.pdf", b"secret", "'.pdf' aren't read"),
    ],
)
def test_what_cannot_be_read_is_named_and_never_quoted(
    name: str, data: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LongbioError, match=words) as caught:
        texts(tmp_path / name)
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None or "secret" not in str(caught.value.__cause__)


def test_missing_paths_empty_folders_and_unknown_columns(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="no such file"):
        texts(tmp_path / "nowhere")
    with pytest.raises(LongbioError, match="the folder is empty"):
        texts(tmp_path)
    (tmp_path / "a.csv").write_text("text\nx\n")
    with pytest.raises(LongbioError, match="no column 'patient'"):
        texts(tmp_path / "a.csv", group="patient")


def test_rows_without_a_group_are_apart_and_ids_are_alike_in_all_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,patient\na,7\nb,\nc, 8 \n")
    pyarrow.parquet.write_table(
        pyarrow.table({"text": ["a", "b", "c"], "patient": [7.0, None, 8.0]}), tmp_path / "a.parquet"
    )
    for name in ("a.csv", "a.parquet"):
        found = list(read_texts([tmp_path / name], Columns(group="patient")))
        assert [text.group for text in found] == ["7", None, "8"]


@pytest.mark.parametrize("mark", ["1", "true", "TRUE", "Y", "t"])
def test_marks_of_withdrawn_notes(mark: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"text,iserror\nwithdrawn,{mark}\nkept,0\nkept,\n")
    assert [text.text for text in read_texts([tmp_path / "a.csv"])] == ["kept", "kept"]


def test_half_a_character_and_a_table_without_text_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "whole"}\n{"text": "half \\ud83d"}\n')
    with pytest.raises(LongbioError, match="line 2 holds half a character"):
        list(read_texts([tmp_path / "a.jsonl"]))
    pyarrow.parquet.write_table(pyarrow.table({"words": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(LongbioError, match="there are words"):
        list(read_texts([tmp_path / "a.parquet"]))
