"""Whatever the bytes, a reader gives documents or one error that names the file and quotes nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longbio.corpus.readers import format_of, stream_documents
from longbio.corpus.records import Document, Question, Span
from longbio.corpus.writers import WRITERS
from longbio.errors import LongbioError

SECRET = "SECRETNOTE"
ANSWER = {"text": SECRET, "answer_start": 2}
EMR_ANSWER = {"text": SECRET, "answer_start": [1, 1], "evidence": SECRET, "evidence_start": 1}


def article(context: object, answer: object, question: object) -> bytes:
    qas = [{"id": "q", "question": question, "answers": [answer], "is_impossible": False}]
    data = [{"title": "t", "paragraphs": [{"context": context, "qas": qas, "document_id": 7}]}]
    return json.dumps({"data": data}).encode()


def parquet_bytes() -> bytes:
    stream = pyarrow.BufferOutputStream()
    table = pyarrow.table({"text": [SECRET, None], "label": ["a", "b"], "score": [0.5, None]})
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue().to_pybytes()


def jsonl_bytes(folder: Path) -> bytes:
    question = Question("q", SECRET, ((0, 6),))
    document = Document("1", SECRET, (Span.of(0, 6, "x"),), ((0, 6),), questions=(question,))
    WRITERS["jsonl"]([document], folder)
    return (folder / "documents.jsonl").read_bytes()


FLAGS = ",".join(f"{number}_1" for number in range(10))

ROWS: list[dict[str, object]] = [
    {"text": SECRET, "entities": [{"id": 1, "start": 0, "end": 6, "label": "x", "text": SECRET[:6]}]},
    {"text": SECRET, "spans": [[0, 6, "x"]], "relations": [{"from_id": 1, "to_id": 1, "type": "r"}]},
    {"tokens": [SECRET, "b"], "ner_tags": ["B-x", "O"]},
    {"context": SECRET, "question": "?", "answers": {"text": [SECRET], "answer_start": [0]}},
    {"text": SECRET, "labels": "['a', 'b']", "meta": {"a": [1]}},
]
MARK = {"start": 0, "end": 6, "text": SECRET[:6], "labels": ["x"]}
RESULT = [
    {"id": "a", "type": "labels", "value": MARK},
    {"type": "choices", "value": {"choices": ["a"]}},
    {"type": "relation", "from_id": "a", "to_id": "a", "labels": ["r"]},
]
TASK = {"id": 1, "annotations": [{"was_cancelled": False, "result": RESULT}], "data": {"text": SECRET}}

FILES = {
    "text": ("a.txt", f"a {SECRET}\r\nb µg\n".encode()),
    "squad": ("a.json", article(f"a {SECRET}", ANSWER, SECRET)),
    "emrqa": ("a.json", article([f"a {SECRET}", "b"], EMR_ANSWER, [SECRET, "?"])),
    "pubmedqa": (
        "a.json",
        json.dumps({"7": {"QUESTION": SECRET, "CONTEXTS": [SECRET], "final_decision": "no"}}).encode(),
    ),
    "blurb": ("a.tsv", f"index\tsentence\tlabel\n0\t{SECRET}\t1\n1\t{SECRET}\t0\n".encode()),
    "blurb hoc": ("a.tsv", f"{FLAGS}\t{SECRET}\t7_s0\n{FLAGS}\t{SECRET}\t7_s1\n".encode()),
    "blurb biosses": ("a.tsv", f"0\tb\t{SECRET}\t1.5\n1\tb\t{SECRET}\t2\n".encode()),
    "jsonl": ("a.jsonl", b""),
    "table csv": ("a.csv", f'id,text,score,labels\n1,"{SECRET}\n""x""",0.5,a\n2,{SECRET},,\n'.encode()),
    "table tsv": ("a.tsv", f"id\ttext\tscore\n1\t{SECRET}\t0.5\n".encode()),
    "table jsonl": ("a.jsonl", json.dumps({"text": SECRET, "score": 1, "labels": ["a"]}).encode()),
    "table parquet": ("a.parquet", parquet_bytes()),
    "table rows": ("a.jsonl", "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()),
    "json": ("a.json", json.dumps(ROWS).encode()),
    "json pairs": ("a.json", json.dumps([[SECRET, {"entities": [[0, 6, "x"]]}]]).encode()),
    "label_studio": ("a.json", json.dumps([TASK]).encode()),
    "table csv.gz": ("a.csv.gz", b""),
}

PIECES = [
    b"\xff",
    b"\0",
    b"\n",
    b"\t",
    b'"',
    b"\\ud800",
    b"[",
    b"{",
    b"null",
    b"-1",
    b"1e999",
    b"9" * 5_000,
    b"[" * 9_000,
]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A valid file with a few places cut, doubled or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        end = min(end, start + draw(st.sampled_from([0, 1, 4, 1_000])))
        piece = draw(st.sampled_from([b"", content[start:end] * 2, *PIECES]) | st.binary(max_size=3))
        content = content[:start] + piece + content[end:]
    return content


def checked(file: Path, format_name: str) -> None:
    for document in stream_documents(file, format_name, max_misaligned=1.0):
        length = len(document.text)
        assert all(0 <= start < end <= length for start, end in document.units)
        assert all(span.end_char <= length for span in document.spans)
        assert all(0 <= a < b <= length for each in document.questions for a, b in each.answers)
        json.dumps([document.id, document.text, document.query], ensure_ascii=False).encode()


def read_or_refused(file: Path, format_name: str) -> None:
    """Asserts that one or the other happens, when the format is found out and when it is read."""
    for attempt in (lambda: format_of(file), lambda: checked(file, format_name)):
        said = None
        try:
            attempt()
        except LongbioError as error:
            said = str(error)
        assert said is None or (str(file) in said and "\n" not in said and SECRET not in said)


def contents(name: str, folder: Path) -> bytes:
    if name == "jsonl":
        return jsonl_bytes(folder)
    if name == "table csv.gz":
        return gzip.compress(FILES["table csv"][1])
    return FILES[name][1]


@pytest.mark.parametrize("name", FILES)
def test_the_whole_file_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / FILES[name][0]
    file.write_bytes(contents(name, tmp_path))
    assert format_of(file) == name.split()[0]
    documents = list(stream_documents(file))
    assert documents
    assert any(SECRET in document.text for document in documents)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    file, content = tmp_path / FILES[name][0], contents(name, tmp_path)

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(damaged(content) | st.binary(max_size=40))
    def check(damage: bytes) -> None:
        file.write_bytes(damage)
        read_or_refused(file, name.split()[0])

    check()
