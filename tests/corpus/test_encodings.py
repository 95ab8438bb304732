"""The same documents with CRLF, a byte-order mark, and in other encodings, from every text format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.errors import LongbioError

FILES = {
    "squad": ("a.json", '{"data": [{"paragraphs":\n [{"context": "é µg 7", "qas": [{"id": "1",'
              ' "question": "ç?", "answers": [{"text": "µg", "answer_start": 2}]}]}]}]}\n'),
    "emrqa": ("a.json", '{"data": [{"paragraphs":\n [{"note_id": "1", "context": ["é µg 7"], "qas": [{'
              '"id": "1", "question": ["ç?"], "answers": [{"text": "µg", "answer_start": [1, 1]}]}]}]}]}\n'),
    "pubmedqa": ("a.json", '{"1": {"QUESTION": "ç?", "CONTEXTS": ["é µg", "7"],\n'
                 ' "final_decision": "yes"}}\n'),
    "blurb": ("a.tsv", "index\tsentence\tlabel\n0\té µg\t1\n1\tç\t0\n"),
    "iob": ("a.tsv", "é\tO\nµg\tB-Unit\n\nç\tO\n"),
    "jsonl": ("a.jsonl", '{"id": "é", "text": "é µg", "spans": [{"fragments": [[2, 4]],'
              ' "label": "U", "text": "µg"}]}\n'),
    "table": ("a.csv", 'id,text,label\n1,é µg,ç\n2,"é, ""µg""",ç\n'),
    "table tsv": ("a.tsv", "id\ttext\tlabel\n1\té µg\tç\n"),
    "table jsonl": ("a.jsonl", '{"text": "é µg", "label": "ç"}\n\n{"text": "é"}\n'),
}  # fmt: skip


def crlf(content: str) -> bytes:
    return content.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("utf-8", crlf),
        ("utf-8", lambda content: content.encode("utf-8-sig")),
        ("latin-1", None),
        ("utf-16", None),
    ],
    ids=["CRLF", "byte-order mark", "Latin-1", "UTF-16"],
)
def test_the_same_documents(name: str, encoding: str, encoded: object, tmp_path: Path) -> None:
    format_name, (file_name, content) = name.split()[0], FILES[name]
    (tmp_path / "plain").mkdir()
    plain, file = tmp_path / "plain" / file_name, tmp_path / file_name
    plain.write_bytes(content.encode())
    file.write_bytes(encoded(content) if callable(encoded) else content.encode(encoding))
    expected = read_documents(plain, format_name)
    assert any("é" in document.text for document in expected)
    assert read_documents(file, format_name, reading=Reading(encoding)) == expected
    if encoding != "utf-16":
        assert format_of(file) == format_name


@pytest.mark.parametrize("name", FILES)
def test_another_encoding_is_said(name: str, tmp_path: Path) -> None:
    format_name, (file_name, content) = name.split()[0], FILES[name]
    file = tmp_path / file_name
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(LongbioError, match="not UTF-8") as caught:
        read_documents(file, format_name)
    assert str(file) in str(caught.value)
    with pytest.raises(LongbioError, match="encoding: there is no encoding 'no such'"):
        read_documents(file, format_name, reading=Reading("no such"))


def test_line_ends_inside_a_text_are_kept(tmp_path: Path) -> None:
    text = "one\r\ntwo\rthree\n"
    (tmp_path / "a.csv").write_bytes(f'text\r\n"{text}"\r\n'.encode())
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}))
    assert [d.text for d in read_documents(tmp_path, "table")] == [text, text]
