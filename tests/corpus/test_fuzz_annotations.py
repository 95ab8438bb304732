"""Whatever the bytes: documents whose spans lie in their texts, or one error that names the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document
from longbio.errors import LongbioError

TEXT = "Tarva 5 mg\n  for hip pain.\n"
BIOC_JSON = {
    "id": "1",
    "passages": [
        {
            "offset": 0,
            "text": "Tarva",
            "sentences": [{"offset": 0, "text": "Tarva"}],
            "annotations": [
                {
                    "id": "1",
                    "infons": {"type": "Drug", "id": "D1"},
                    "text": "Tarva",
                    "locations": [{"offset": 0, "length": 5}],
                }
            ],
        }
    ],
    "relations": [{"infons": {"type": "Is"}, "nodes": [{"refid": "1"}, {"refid": "1"}]}],
}

# By format: valid files. The first is the one that is mutated most.
VALID: dict[str, dict[str, str]] = {
    "brat": {
        "a.ann": "T1\tDrug 0 5\tTarva\nT2\tSite 17 20;21 25\thip pain\nR1\tHas Arg1:T1 Arg2:T2\nA1\tNeg T1\n"
        "A2\tStatus T2 on hold\nE1\tDrug:T1\n#1\tNote T1\tx\n",
        "a.txt": TEXT,
    },
    "pubtator": {
        "a.txt": "1|t|Tarva\n1|a|hip\n1\t0\t5\tTarva\tDrug\tD1\n1\t6\t9\thip\tSite\t\n1\tCID\tD1\tD2\n"
        "\n2|t|x\n2|a|\n"
    },
    "i2b2_2010": {
        "a.con": 'c="tarva" 1:0 1:0||t="treatment"\nc="hip pain." 2:1 2:2||t="problem"\n',
        "a.ast": 'c="hip pain." 2:1 2:2||t="problem"||a="present"\n',
        "a.rel": 'c="tarva" 1:0 1:0||r="TrAP"||c="hip pain." 2:1 2:2\n',
        "a.txt": TEXT,
    },
    "i2b2_2012": {
        "a.xml": f"<C><TEXT><![CDATA[\n{TEXT}]]></TEXT>\n<TAGS>\n"
        '<EVENT id="E0" start="1" end="6" text="Tarva" polarity="POS" type="" />\n'
        '<TIMEX3 id="T0" start="7" end="8" text="5" type="DATE" val="1" />\n'
        '<TLINK id="L" fromID="E0" toID="T0" type="AFTER" />\n<SECTIME id="S" />\n</TAGS></C>\n'
    },
    "i2b2_2014": {
        "110-01.xml": f"<deIdi2b2><TEXT><![CDATA[\n{TEXT}]]></TEXT>\n<TAGS>\n"
        '<NAME id="P0" start="1" end="6" text="Tarva" TYPE="DOCTOR" />\n</TAGS></deIdi2b2>\n'
    },
    "i2b2_2006": {
        "a.xml": '<ROOT>\n<RECORD ID="1">\n<TEXT>Dr <PHI TYPE="DOCTOR">Ana</PHI>x &amp; '
        '<PHI TYPE="ID">7</PHI>'
        "</TEXT>\n</RECORD>\n</ROOT>\n"
    },
    "bioc": {
        "a.xml": "<collection><document><id>1</id><passage><offset>0</offset><text>Tarva &amp; hip</text>\n"
        '<annotation id="1"><infon key="type">Drug</infon><location offset="0" length="5"/><text>Tarva</text>'
        '</annotation>\n<annotation id="2"><infon key="type">Site</infon><infon key="id">D2</infon>'
        '<location offset="8" length="3"/><text>hip</text></annotation></passage>\n'
        '<relation id="R"><infon key="type">Has</infon><node refid="1" role="a"/><node refid="2" role="b"/>'
        "</relation></document></collection>\n"
    },
    "bioc, JSON": {"a.json": json.dumps(BIOC_JSON)},
    "bioc, JSON lines": {"a.json": 2 * (json.dumps(BIOC_JSON) + "\n")},
}

# What mutations put in: pieces that mean something in one of the formats, and others that mean nothing.
PIECES = [
    *(b"", b"\n", b"\r", b"\t", b" ", b";", b"|", b'"', b"&", b"<", b">", b"\\ud83d", b"\xff", b"\0"),
    *(b"-1", b"0", b"7", b"99", b"9" * 5000, b"null", b"[]", b"{}", b"]]>", b"&x;", b"<!--", b"\xef\xbb\xbf"),
    *(
        b"<PHI",
        b"</PHI>",
        b'<PHI TYPE="X">',
        b"</TEXT>",
        b"<TAGS>",
        b"<document>",
        b"T1",
        b"1|t|",
        b"\xc3\xa9",
    ),
]

settled = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
each_format = pytest.mark.parametrize("name", VALID)


def well_read(folder: Path, name: str) -> list[Document]:
    """The documents of a folder, checked; none where one error says which file is broken."""
    try:
        documents = read_documents(folder, name.split(",")[0], max_misaligned=1.0)
    except LongbioError as error:
        line = str(error)
        assert line.startswith(str(folder))
        assert "\n" not in line
        return []
    for document in documents:
        document.text.encode()
        spans = set(document.spans)
        assert len(spans) == len(document.spans)
        assert all(span.end_char <= len(document.text) for span in spans)
        assert all({relation.head, relation.tail} <= spans for relation in document.relations)
        assert all(attribute.span in spans for attribute in document.attributes)
    return documents


def lay(folder: Path, files: dict[str, bytes]) -> None:
    for file, content in files.items():
        (folder / file).write_bytes(content)


@each_format
def test_the_valid_files_are_read_whole(name: str, tmp_path: Path) -> None:
    lay(tmp_path, {file: content.encode() for file, content in VALID[name].items()})
    documents = well_read(tmp_path, name)
    assert documents
    assert documents[0].spans


@each_format
@settled
@given(data=st.data())
def test_arbitrary_bytes(name: str, tmp_path: Path, data: st.DataObject) -> None:
    files = list(VALID[name])
    broken = data.draw(st.sampled_from(files))
    lay(tmp_path, {file: VALID[name][file].encode() for file in files})
    lay(tmp_path, {broken: data.draw(st.binary(max_size=60))})
    well_read(tmp_path, name)


@st.composite
def mutations(draw: Callable[..., int], length: int) -> tuple[int, int, bytes]:
    """Where a cut starts and ends, and what comes in its place."""
    start = draw(st.integers(0, length))
    return start, start + draw(st.integers(0, 12)), draw(st.sampled_from(PIECES))


@each_format
@settled
@given(data=st.data())
def test_mutated_valid_files(name: str, tmp_path: Path, data: st.DataObject) -> None:
    files = {file: content.encode() for file, content in VALID[name].items()}
    broken = data.draw(st.sampled_from([next(iter(files)), *files]))
    content = files[broken]
    for start, end, piece in data.draw(st.lists(mutations(len(content)), min_size=1, max_size=3)):
        content = content[:start] + piece + content[end:]
    lay(tmp_path, files | {broken: content})
    well_read(tmp_path, name)
