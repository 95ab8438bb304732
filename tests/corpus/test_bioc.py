"""BioC: passages laid at their offsets, XML and JSON of every dialect, and back to XML again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longbio.corpus.readers import format_of, read_documents, stream_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.corpus.writers import WRITERS
from longbio.errors import LongbioError

write = WRITERS["bioc"]

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
    "<collection><source>PubTator</source><date>2026</date><key>BioC.key</key>\n"
)

# "Tarva & hips." is characters 0 to 12, "Left or right hip." 15 to 32: two characters lie between.
XML = (
    HEAD
    + """<document><id>7</id><infon key="license">CC0</infon>
<passage><infon key="type">title</infon><offset>0</offset><text>Tarva &amp; hips.</text>
<annotation id="1"><infon key="type">Chemical</infon><infon key="MESH">D01</infon>
<location offset="0" length="5"/><text>Tarva</text></annotation></passage>
<passage><infon key="type">abstract</infon><offset>15</offset><text>Left or right hip.</text>
<annotation id="2"><infon key="type">Site</infon>
<location offset="15" length="4"/><location offset="29" length="3"/><text>Left hip</text></annotation>
</passage>
<relation id="R1"><infon key="type">Acts</infon><node refid="1" role="what"/><node refid="2" role="where"/>
</relation></document>
</collection>
"""
)
TARVA, HIP = Span.of(0, 5, "Chemical"), Span(((15, 19), (29, 32)), "Site")
DOCUMENT = Document(
    "7",
    "Tarva & hips.\n Left or right hip.",
    (TARVA, HIP),
    relations=(Relation("Acts", TARVA, HIP),),
    attributes=(Attribute(TARVA, "MESH", "D01"),),
)


def written(folder: Path, content: str | bytes, name: str = "notes.xml") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def as_json() -> dict[str, Any]:
    """The document of `XML`, as BioC JSON."""

    def annotation(name: str, text: str, places: list[tuple[int, int]], **infons: str) -> dict[str, Any]:
        locations = [{"offset": offset, "length": length} for offset, length in places]
        return {"id": name, "infons": infons, "text": text, "locations": locations}

    def passage(offset: int, text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
        lists = {"sentences": [], "annotations": list(annotations), "relations": []}
        return {"offset": offset, "infons": {}, "text": text, **lists}

    nodes = [{"refid": "1", "role": "what"}, {"refid": "2", "role": "where"}]
    return {
        "id": "7",
        "infons": {},
        "passages": [
            passage(0, "Tarva & hips.", annotation("1", "Tarva", [(0, 5)], type="Chemical", MESH="D01")),
            passage(15, "Left or right hip.", annotation("2", "Left hip", [(15, 4), (29, 3)], type="Site")),
        ],
        "annotations": [],
        "relations": [{"id": "R1", "infons": {"type": "Acts"}, "nodes": nodes}],
    }


def lean(document: dict[str, Any]) -> dict[str, Any]:
    """As PubTator's JSON lines: `_id`, ids that are numbers, and lists left out where they are empty."""

    def less(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: less(each) for key, each in value.items() if each not in ([], {})}
        return [less(each) for each in value] if isinstance(value, list) else value

    return {"_id": 7, **{key: value for key, value in less(document).items() if key != "id"}}


COLLECTION = {"source": "", "date": "", "key": "", "infons": {}}

DIALECTS = {
    "BioC JSON": json.dumps({**COLLECTION, "documents": [as_json()]}),
    "BioC JSON, over lines": json.dumps({**COLLECTION, "documents": [as_json()]}, indent=1),
    "a list of collections": json.dumps([{**COLLECTION, "bioctype": "x", "documents": [as_json()]}]),
    "PubTator3": json.dumps({"PubTator3": [as_json() | {"_id": "7|None", "pmid": 7}]}),
    "a list of documents": json.dumps([as_json()]),
    "one document": json.dumps(as_json()),
    "one document, lean": json.dumps(lean(as_json())) + "\n",
}


def test_xml_is_read_and_offsets_count_what_lies_between_passages(tmp_path: Path) -> None:
    file = written(tmp_path, XML)
    assert format_of(file) == format_of(tmp_path) == "bioc"
    reading = Reading()
    assert read_documents(file, reading=reading) == [DOCUMENT]
    assert (reading.alignment.mentions, reading.alignment.faults, reading.passed_over) == (2, [], {})


@pytest.mark.parametrize("content", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_of_json_is_read_by_one_rule(content: str, tmp_path: Path) -> None:
    file = written(tmp_path, content, "notes.json")
    assert format_of(file) == "bioc"
    assert read_documents(file) == [DOCUMENT]


def test_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps(lean(as_json())), "", json.dumps(as_json() | {"id": "8"}), ""]
    file = written(tmp_path, "\ufeff" + "\r\n".join(lines), "notes.jsonl")
    assert format_of(file) == "bioc"
    assert [d.id for d in read_documents(file)] == ["7", "8"]


@pytest.mark.parametrize(("offset", "between"), [(13, ""), (14, "\n"), (15, "\n "), (20, "\n" + 6 * " ")])
def test_passages_may_be_none_one_or_more_characters_apart(offset: int, between: str, tmp_path: Path) -> None:
    document = as_json()
    document["passages"] = [document["passages"][0], {"offset": offset, "text": "Hip."}]
    location = [{"offset": offset, "length": 3}]
    document["annotations"] = [{"id": 3, "infons": {"type": "Site"}, "text": "Hip", "locations": location}]
    document["relations"] = []
    (read,) = read_documents(written(tmp_path, json.dumps(document), "a.json"))
    assert read.text == f"Tarva & hips.{between}Hip."
    assert read.spans[1].text_in(read.text) == "Hip"


def test_offsets_may_begin_later_and_passages_come_in_any_order(tmp_path: Path) -> None:
    passages = [{"offset": 8, "text": "two"}, {"offset": 2, "text": "one"}, {"offset": 5}]
    (read,) = read_documents(written(tmp_path, json.dumps({"id": "a", "passages": passages}), "a.json"))
    assert read.text == "\n one\n  two"


@pytest.mark.parametrize("offset", [12, 0, -1, 200_000, 10**12])
def test_passages_that_overlap_or_lie_far_apart_are_refused(offset: int, tmp_path: Path) -> None:
    file = written(tmp_path, XML.replace("<offset>15<", f"<offset>{offset}<"))
    with pytest.raises(LongbioError, match=r"line 4: a passage begins at .* ends at ") as caught:
        read_documents(file)
    assert "Tarva" not in str(caught.value)


def test_annotations_and_texts_may_stand_on_sentences(tmp_path: Path) -> None:
    sentences = """<passage><offset>0</offset>
<sentence><offset>0</offset><text>Tarva helps.</text>
<annotation id="1"><infon key="type">Drug</infon><location offset="0" length="5"/><text>Tarva</text>
</annotation></sentence>
<sentence><offset>13</offset><text>Hips hurt.</text>
<annotation id="2"><infon key="type">Site</infon><location offset="13" length="4"/><text>Hips</text>
</annotation>
<relation id="R"><infon key="relation">Acts</infon><node refid="2" role="tail"/><node refid="1" role="x"/>
</relation></sentence></passage>"""
    content = f"{HEAD}<document><id>7</id>{sentences}</document></collection>"
    drug, site = Span.of(0, 5, "Drug"), Span.of(13, 17, "Site")
    expected = Document(
        "7", "Tarva helps.\nHips hurt.", (drug, site), relations=(Relation("Acts", drug, site),)
    )
    assert read_documents(written(tmp_path, content)) == [expected]
    whole = content.replace(
        "</offset>\n<sentence>", "</offset><text>Tarva helps.\nHips hurt.</text><sentence>", 1
    )
    assert read_documents(written(tmp_path, whole)) == [expected]


@pytest.mark.parametrize(
    ("roles", "turned"),
    [
        ("ab", False),
        (("Arg1", "Arg2"), False),
        (("Arg2", "Arg1"), True),
        (("tail", "x"), True),
        (("", ""), False),
    ],
)
def test_heads_and_tails_by_role_and_else_by_order(
    roles: tuple[str, str], turned: bool, tmp_path: Path
) -> None:
    content = XML.replace('"what"', f'"{roles[0]}"').replace('"where"', f'"{roles[1]}"')
    (document,) = read_documents(written(tmp_path, content))
    assert document.relations == (Relation("Acts", HIP, TARVA) if turned else Relation("Acts", TARVA, HIP),)


def test_what_has_no_place_in_the_records_is_counted(tmp_path: Path) -> None:
    document = as_json()
    first = document["passages"][0]["annotations"][0]
    first["infons"] |= {"score": 0.5, "valid": True, "none": None, "ids": ["D01"], "database": {"a": 1}}
    document["passages"][0]["annotations"] += [
        {"id": "8", "infons": {"type": "Chemical"}, "text": "", "locations": []},
        {"id": "9", "infons": {"identifier": "D01"}, "text": "Tarva", "locations": first["locations"]},
    ]
    nodes = document["relations"][0]["nodes"]
    document["relations"] += [
        {"id": "R2", "infons": {"relation": "CID", "Chemical": "D01"}, "nodes": []},
        {"id": "R3", "infons": {"type": "Acts"}, "nodes": nodes + nodes},
        {"id": "R4", "infons": {}, "nodes": nodes},
        {"id": "R5", "infons": {"type": "Acts"}, "nodes": [nodes[0], {"refid": "R1", "role": ""}]},
    ]
    reading = Reading()
    (read,) = read_documents(written(tmp_path, json.dumps(document), "a.json"), reading=reading)
    assert (read.spans, read.relations) == (DOCUMENT.spans, DOCUMENT.relations)
    assert {(a.name, a.value) for a in read.attributes} == {
        ("MESH", "D01"),
        ("score", "0.5"),
        ("valid", "True"),
    }
    assert reading.passed_over == {
        "annotations without a place": 1,
        "annotations without a type": 1,
        "infons that hold more than a word": 2,
        "relations between concepts": 1,
        "relations of other than two mentions": 1,
        "relations without a type": 1,
        "relations of what was not read": 1,
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<text>Tarva</text>", "<text>Zarva</text>"),
        ('offset="0" length="5"', 'offset="0" length="4"'),
        ('offset="0" length="5"', 'offset="0" length="0"'),
        ('offset="0" length="5"', 'offset="0" length="99"'),
        ('offset="0" length="5"', 'offset="-5" length="5"'),
        ('offset="0" length="5"', f'offset="0" length="{"9" * 4300}"'),
        ("<text>Left hip</text>", "<text>Left  or hip</text>"),
    ],
)
def test_annotations_that_are_not_where_they_say_are_left_out_and_counted(
    old: str, new: str, tmp_path: Path
) -> None:
    reading = Reading()
    file = written(tmp_path, XML.replace(old, new))
    (document,) = read_documents(file, reading=reading, max_misaligned=0.5)
    assert (len(document.spans), document.relations) == (1, ())
    assert [where for _, where in reading.alignment.faults] == [f"{file}, line 4"]
    assert reading.passed_over == {"relations of what was not read": 1}
    with pytest.raises(LongbioError, match="1 of 2 mentions") as caught:
        read_documents(file)
    for words in ("Tarva", "Zarva", "Left"):
        assert words not in str(caught.value)


def test_mentions_are_compared_with_white_space_alike(tmp_path: Path) -> None:
    content = XML.replace("<text>Left hip</text>", "<text> Left\n hip </text>")
    assert read_documents(written(tmp_path, content)) == [DOCUMENT]


def test_an_id_that_comes_again_is_another_document(tmp_path: Path) -> None:
    written(tmp_path, XML, "a.xml")
    written(tmp_path, json.dumps(as_json()), "b.json")
    assert [d.id for d in read_documents(tmp_path)] == ["7", "7.2"]


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 20}">' for n in range(1, 20))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            XML.replace(' SYSTEM "BioC.dtd"', f' [<!ENTITY e0 "ha">{BOMB}]').replace("Left", "&e19;"),
            "entities",
        ),
        (XML.replace(' SYSTEM "BioC.dtd"', ' [<!ENTITY e SYSTEM "file:///etc/passwd">]'), "entities"),
        (XML.replace("Left", "&e19;"), "line 4: this is no BioC document"),
        (XML[:-20], "no well-formed XML"),
        ("", "no well-formed XML"),
        ("<documents/>", "no BioC collection"),
        (XML.replace("<id>7</id>", ""), "line 4: the document has no id"),
        (XML.replace("<id>7</id>", "<id/>"), "line 4: the document has no id"),
        (XML.replace("<offset>15</offset>", ""), "line 4: this is no BioC document"),
        (XML.replace("<offset>15<", "<offset>SECRET<"), "line 4: this is no BioC document"),
        (XML.replace('<annotation id="1">', "<annotation>"), "line 4: this is no BioC document"),
        (XML.replace('length="5"', ""), "line 4: this is no BioC document"),
    ],
)
def test_broken_xml_is_named_and_never_quoted(content: str, message: str, tmp_path: Path) -> None:
    file = written(tmp_path, content)
    with pytest.raises(LongbioError, match=message) as caught:
        read_documents(file, "bioc")
    assert str(file) in str(caught.value)
    assert caught.value.__context__ is None
    for words in ("SECRET", "Tarva", "Left"):
        assert words not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("SECRET", "line 1: this is no JSON"),
        ('{\n"passages": SECRET', "line 2: this is no JSON"),
        ('{"id": 1, "passages": []}\nSECRET', "line 2: this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        (f'{{"id": {"9" * 5000}}}', "this is no JSON"),
        ('"SECRET"', "something else than BioC"),
        ('{"text": "SECRET"}', "something else than BioC"),
        ('{"documents": [7]}', "something else than BioC"),
        ('[{"passages": []}]', "document 1: the document has no id"),
        ('[{"id": "a", "passages": []}, {"id": "b", "passages": 7}]', "document 2: this is no BioC"),
        ('{"id": "a", "passages": ["SECRET"]}', "this is no BioC"),
        ('{"id": "a", "passages": [{"text": "SECRET"}]}', "this is no BioC"),
        ('{"id": "a", "passages": [{"offset": "0", "text": "SECRET"}]}', "this is no BioC"),
        ('{"id": "a", "passages": [{"offset": 0, "text": ["SECRET"]}]}', "this is no BioC"),
        ('{"id": "a", "passages": [{"offset": 0, "text": "SECRET \\ud83d"}]}', "this is no BioC"),
        ('{"id": {}, "passages": []}', "has no id"),
    ],
)
def test_broken_json_is_named_and_never_quoted(content: str, message: str, tmp_path: Path) -> None:
    file = written(tmp_path, content, "notes.json")
    with pytest.raises(LongbioError, match=message) as caught:
        read_documents(file, "bioc")
    assert str(file) in str(caught.value)
    assert caught.value.__context__ is None
    assert "SECRET" not in str(caught.value)


def test_xml_says_its_own_encoding(tmp_path: Path) -> None:
    content = XML.replace("UTF-8", "ISO-8859-1").replace("hips", "hüps").encode("latin-1")
    (document,) = read_documents(written(tmp_path, content))
    assert document.text.startswith("Tarva & hüps.\n")


def test_documents_inside_documents_are_none(tmp_path: Path) -> None:
    inner = "<x/><document><id>8</id></document>"
    content = XML.replace("<passage>", f"{inner}<passage>", 1)
    assert read_documents(written(tmp_path, content)) == [DOCUMENT]


def test_documents_are_given_before_the_rest_is_read(tmp_path: Path) -> None:
    second = f"<document><id>8</id><infon key='a'>{'x' * 200_000}</infon></document>"
    content = XML.replace("\n</collection>", f"{second}<document><id>9</broken>")
    documents = stream_documents(written(tmp_path, content))
    assert next(documents) == DOCUMENT
    assert next(documents).id == "8"
    with pytest.raises(LongbioError, match="no well-formed XML"):
        next(documents)


def test_json_lines_are_given_before_the_rest_is_read(tmp_path: Path) -> None:
    line = json.dumps(as_json()).encode() + b"\n"
    documents = stream_documents(written(tmp_path, line + b"\n" * 100_000 + b"\xff", "a.jsonl"))
    assert next(documents) == DOCUMENT
    with pytest.raises(LongbioError, match="not UTF-8"):
        next(documents)


ROUND_TRIPS = {
    "as read": DOCUMENT,
    "no spans": Document("a", "nothing here"),
    "empty text": Document("a", ""),
    "white space": Document("a", " \t a\r\nb\rc\n \n", (Span.of(3, 6, "X"),)),
    "unicode": Document("naïve & <1>", "µg \U0001f9ec & <b> \u2028\x85", (Span.of(3, 4, 'A "&" <b>'),)),
    "overlapping": Document("a", "left hip", (Span.of(0, 4, "A"), Span.of(0, 8, "A"), Span.of(0, 8, "B"))),
    "attributes": Document(
        "a",
        "tarva hip",
        (Span.of(0, 5, "Drug"), Span.of(6, 9, "Site")),
        attributes=(
            Attribute(Span.of(0, 5, "Drug"), "Negated"),
            Attribute(Span.of(0, 5, "Drug"), "of & \n", " two\r\nlines "),
            Attribute(Span.of(0, 5, "Drug"), "of & \n", "other"),
            Attribute(Span.of(6, 9, "Site"), "Negated"),
        ),
    ),
    "relations": Document(
        "a",
        "tarva hip",
        (Span.of(0, 5, "Drug"), Span.of(6, 9, "Site")),
        relations=(
            Relation("a b", Span.of(0, 5, "Drug"), Span.of(0, 5, "Drug")),
            Relation("a b", Span.of(6, 9, "Site"), Span.of(0, 5, "Drug")),
        ),
    ),
}


@pytest.mark.parametrize("document", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_round_trip(document: Document, tmp_path: Path) -> None:
    write([document, Document("another", "text")], tmp_path / "made")
    assert format_of(tmp_path / "made") == "bioc"
    assert read_documents(tmp_path / "made") == [document, Document("another", "text")]
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["documents.xml"]


X = Span.of(0, 5, "X")


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([Document("", "tarva")], "is empty"),
        ([Document("a", "one"), Document("a", "two")], "is there twice"),
        ([Document("a", "tarva\x0b")], r"U\+000B"),
        ([Document("a", "tarva \ud83d")], r"U\+D83D"),
        ([Document("a", "tarva", (Span.of(0, 6, "X"),))], "ends at 6 in a text of 5"),
        ([Document("a", "tarva", (Span.of(0, 5, ""),))], "a label is empty"),
        ([Document("a", "tarva", (X,), relations=(Relation("", X, X),))], "a label is empty"),
        ([Document("a", "tarva", relations=(Relation("r", X, X),))], "is no span"),
        ([Document("a", "tarva", attributes=(Attribute(X, "r"),))], "is no span"),
        ([Document("a", "tarva", (X,), attributes=(Attribute(X, "type", "r"),))], "called 'type'"),
    ],
)
def test_what_cannot_be_written(documents: list[Document], message: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=message) as caught:
        write(documents, tmp_path)
    assert "tarva" not in str(caught.value)
    assert not (tmp_path / "documents.xml").exists()


@pytest.mark.parametrize(
    "corpus", ["bc5cdr_pubtator/test.txt", "ncbi_disease_pubtator/test.txt", "craft/dev"]
)
def test_public_corpora_are_written_and_read_equal(corpus: str, data_folder: Path, tmp_path: Path) -> None:
    documents = read_documents(data_folder / corpus)
    assert sum(len(d.spans) for d in documents) > 900
    write(documents, tmp_path)
    assert read_documents(tmp_path) == documents
