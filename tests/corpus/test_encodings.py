"""The same documents with CRLF, a byte-order mark, and in other encodings, from every text format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from longbio.corpus.readers import READERS, format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.errors import LongbioError

I2B2 = "<{0}><TEXT><![CDATA[é µg]]></TEXT>\n<TAGS>\n{1}\n</TAGS></{0}>\n"

# By format, and what of it: files by name. Offsets are right with any line ends.
FILES: dict[str, dict[str, str]] = {
    "brat": {"a.ann": "T1\tUnit 2 4\tµg\nA1\tKind T1 ç\n", "a.txt": "é µg 7"},
    "i2b2_2010": {
        "a.con": 'c="µg" 1:1 1:1||t="ç"\n',
        "a.ast": 'c="µg" 1:1 1:1||t="ç"||a="présent"\n',
        "a.rel": 'c="µg" 1:1 1:1||r="ç"||c="µg" 1:1 1:1\n',
        "a.txt": "é µg 7",
    },
    "i2b2_2012": {
        "a.xml": I2B2.format(
            "ClinicalNarrativeTemporalAnnotation", '<EVENT id="E0" start="2" end="4" text="µg" type="ç" />'
        )
    },
    "i2b2_2014": {"1-1.xml": I2B2.format("deIdi2b2", '<ID id="P0" start="2" end="4" text="µg" TYPE="ç" />')},
    "i2b2_2006": {
        "a.xml": '<ROOT>\n<RECORD ID="1">\n<TEXT>é <PHI TYPE="ç">µg</PHI></TEXT>\n</RECORD>\n</ROOT>\n'
    },
    "bioc": {
        "a.json": '{"documents": [{"id": "1", "passages":\n [{"offset": 0, "text": "é µg", "annotations": [{'
        '"id": "1", "infons": {"type": "ç"}, "text": "µg", "locations": [{"offset": 2, "length": 2}]}]}]}]}\n'
    },
    "bioc lines": {
        "a.jsonl": "".join(
            f'{{"id": "{name}", "passages": [{{"offset": 0, "text": "é µg"}}]}}\n' for name in ("ç", "2")
        )
    },
    "pubtator": {"a.txt": "1|t|é µg\n1|a|ç\n1\t2\t4\tµg\tUnité\tD1\n\n2|t|x\n2|a|\n"},
    "squad": {
        "a.json": '{"data": [{"paragraphs":\n [{"context": "é µg 7", "qas": [{"id": "1",'
        ' "question": "ç?", "answers": [{"text": "µg", "answer_start": 2}]}]}]}]}\n'
    },
    "emrqa": {
        "a.json": '{"data": [{"paragraphs":\n [{"note_id": "1", "context": ["é µg 7"], "qas": [{'
        '"id": "1", "question": ["ç?"], "answers": [{"text": "µg", "answer_start": [1, 1]}]}]}]}]}\n'
    },
    "pubmedqa": {
        "a.json": '{"1": {"QUESTION": "ç?", "CONTEXTS": ["é µg", "7"],\n "final_decision": "yes"}}\n'
    },
    "blurb": {"a.tsv": "index\tsentence\tlabel\n0\té µg\t1\n1\tç\t0\n"},
    "iob": {"a.tsv": "é\tO\nµg\tB-Unit\n\nç\tO\n"},
    "jsonl": {
        "a.jsonl": '{"id": "é", "text": "é µg", "spans": [{"fragments": [[2, 4]],'
        ' "label": "U", "text": "µg"}]}\n'
    },
    "json": {"a.json": '[{"text": "é µg", "entities": [\n [2, 4, "ç"]]},\n {"text": "ç"}]\n'},
    "label_studio": {
        "a.json": '[{"data": {"text": "é µg"}, "annotations": [\n {"result": [{"type": "labels",'
        ' "value": {"start": 2, "end": 4, "labels": ["ç"], "text": "µg"}}]}]}]\n'
    },
    "text": {"a.txt": "é µg"},
    "table": {"a.csv": 'id,text,label\n1,é µg,ç\n2,"é, ""µg""",ç\n'},
    "table tsv": {"a.tsv": "id\ttext\tlabel\n1\té µg\tç\n"},
    "table jsonl": {"a.jsonl": '{"text": "é µg", "label": "ç"}\n\n{"text": "é"}\n'},
}

NOTES = {"brat": "a.txt", "i2b2_2010": "a.txt", "text": "a.txt"}
"""Files whose characters are kept as they are, a byte-order mark among them."""


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_every_format_is_here() -> None:
    assert {name.split()[0] for name in FILES} == set(READERS)


def crlf(content: str) -> bytes:
    return content.replace("\n", "\r\n").encode()


def marked(content: str) -> bytes:
    return content.encode("utf-8-sig")


def in_latin_1(content: str) -> bytes:
    return content.encode("latin-1")


def in_utf_16(content: str) -> bytes:
    return content.encode("utf-16")


def in_utf_16_marked(content: str) -> bytes:
    return marked(content).decode().encode("utf-16-le")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("utf-8", crlf),
        ("utf-8", marked),
        ("latin-1", in_latin_1),
        ("utf-16", in_utf_16),
        ("utf-16-le", in_utf_16_marked),
    ],
    ids=["CRLF", "byte-order mark", "Latin-1", "UTF-16", "UTF-16 by its order"],
)
def test_the_same_documents(
    name: str, encoding: str, encoded: Callable[[str], bytes], tmp_path: Path
) -> None:
    format_name, files = name.split()[0], FILES[name]
    plain = laid(tmp_path / "plain", {file: content.encode() for file, content in files.items()})
    folder = laid(
        tmp_path / "encoded",
        {
            file: content.encode(encoding) if file == NOTES.get(name) else encoded(content)
            for file, content in files.items()
        },
    )
    expected = read_documents(plain, format_name)
    assert any("é" in document.text for document in expected)
    assert read_documents(folder, format_name, reading=Reading(encoding)) == expected
    if not encoding.startswith("utf-16"):
        assert format_of(folder) == format_name


@pytest.mark.parametrize("name", FILES)
def test_another_encoding_is_said(name: str, tmp_path: Path) -> None:
    format_name, files = name.split()[0], FILES[name]
    for broken in files:
        folder = laid(
            tmp_path / f"broken {broken}",
            {
                file: content.encode("latin-1" if file == broken else "utf-8")
                for file, content in files.items()
            },
        )
        with pytest.raises(LongbioError, match="not UTF-8") as caught:
            read_documents(folder, format_name)
        assert str(folder / broken) in str(caught.value)
    with pytest.raises(LongbioError, match="encoding: there is no encoding 'no such'"):
        read_documents(folder, format_name, reading=Reading("no such"))


def test_line_ends_inside_a_text_are_kept(tmp_path: Path) -> None:
    text = "one\r\ntwo\rthree\n"
    (tmp_path / "a.csv").write_bytes(f'text\r\n"{text}"\r\n'.encode())
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}))
    assert [d.text for d in read_documents(tmp_path, "table")] == [text, text]


def test_cp1252_is_recommended_where_a_note_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("the patient’s pain".encode("cp1252"))
    with pytest.raises(LongbioError, match=r"byte 11 is not UTF-8; .*: cp1252, most often \(not latin-1\)"):
        read_documents(tmp_path)
    assert read_documents(tmp_path, reading=Reading("cp1252"))[0].text == "the patient’s pain"
