"""Files of questions: lines, JSON lines, tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.errors import LongbioError
from longbio.prediction.questions import read_questions


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("q.txt", "\ufeffWhich drug?\r\n\r\n  Why? \n", [("q1", "Which drug?"), ("q2", "Why?")]),
        ("q", "Why?", [("q1", "Why?")]),
        ("q.jsonl", '{"id": 7, "text": "Why?"}\n{"question": "When?"}\n', [("7", "Why?"), ("q2", "When?")]),
        ("q.csv", 'ID,Question\na,"Why, then?"\n,When?\n', [("a", "Why, then?"), ("q2", "When?")]),
        ("q.tsv", "query\nWhy?\n", [("q1", "Why?")]),
    ],
)
def test_questions(name: str, content: str, wanted: list[tuple[str, str]], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert [(each.id, each.text) for each in read_questions(tmp_path / name)] == wanted


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.txt", "\n \n", "holds no question"),
        ("q.csv", "id,words\n1,x\n", "ends in line 2 holds no question; name its column 'question'"),
        ("q.jsonl", '{"text": 7}\n', "line 1 holds no question"),
        ("q.jsonl", '{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n', "'1' is there twice"),
    ],
)
def test_wrong_questions(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(LongbioError, match=words):
        read_questions(tmp_path / name)


def test_no_file_of_questions(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="no such file"):
        read_questions(tmp_path / "q.txt")
