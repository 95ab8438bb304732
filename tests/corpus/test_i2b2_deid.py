"""i2b2's de-identified notes, 2014 (a file a note, offsets) and 2006 (one file, tags inside the text)."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError

TEXT_2014 = "\n\n\nRecord date: 2067-05-03\n\nSeen by Ana Ruiz at Hill&Dale.\n"
DATE, DOCTOR = Span.of(16, 26, "DATE"), Span.of(36, 44, "DOCTOR")
HOSPITAL = Span.of(48, 57, "HOSPITAL")


def note(*, shift: int = 0, ampersand: str = "&amp;") -> str:
    """A note of 2014; `shift` is what its offsets are too large by."""
    tags = "".join(
        f'<{name} id="P{n}" start="{span.start_char + shift}" end="{span.end_char + shift}" '
        f'text="{span.text_in(TEXT_2014).replace("&", ampersand)}" TYPE="{span.label}" comment="" />\n'
        for n, (name, span) in enumerate([("DATE", DATE), ("NAME", DOCTOR), ("LOCATION", HOSPITAL)])
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8" ?>\n<deIdi2b2>\n<TEXT><![CDATA[{TEXT_2014}]]></TEXT>\n'
        f"<TAGS>\n{tags}</TAGS>\n</deIdi2b2>\n"
    )


def written(folder: Path, content: str, name: str) -> Path:
    file = folder / name
    file.write_bytes(content.encode())
    return file


def test_2014_labels_are_types_and_patients_are_groups(tmp_path: Path) -> None:
    for name in ("110-01.xml", "110-02.xml", "111-01.xml", "other.xml"):
        written(tmp_path, note(), name)
    assert format_of(tmp_path) == "i2b2_2014"
    reading = Reading()
    documents = read_documents(tmp_path, reading=reading)
    assert documents[0] == Document("110-01", TEXT_2014, (DATE, DOCTOR, HOSPITAL), group="110")
    assert [d.group for d in documents] == ["110", "110", "111", None]
    assert (reading.alignment.mentions, reading.alignment.faults) == (12, [])


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("ampersand", ["&", "&amp;"])
def test_2014_has_shifted_files_and_raw_ampersands(shift: int, ampersand: str, tmp_path: Path) -> None:
    (document,) = read_documents(written(tmp_path, note(shift=shift, ampersand=ampersand), "110-01.xml"))
    assert document.spans == (DATE, DOCTOR, HOSPITAL)


def test_2014_files_that_are_shifted_further_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, note(shift=7), "110-01.xml")
    with pytest.raises(LongbioError, match=r"line 11: .* 23 33; 3 of 3 mentions are not where") as caught:
        read_documents(file)
    assert "2067" not in str(caught.value)


def test_2014_a_tag_without_type_is_labelled_with_its_element(tmp_path: Path) -> None:
    (document,) = read_documents(written(tmp_path, note().replace('TYPE="DOCTOR"', ""), "1-1.xml"))
    assert document.spans[1] == Span.of(36, 44, "NAME")


def record(text: str, name: str = "7") -> str:
    return f'<RECORD ID="{name}">\n<TEXT>{text}</TEXT>\n</RECORD>\n'


def records(folder: Path, *parts: str) -> Path:
    content = '<?xml version="1.0" encoding="UTF-8"?>\n<ROOT>\n' + "".join(parts) + "</ROOT>\n"
    return written(folder, content, "deid_surrogate_train.xml")


def read_2006(folder: Path, text: str, reading: Reading | None = None) -> Document:
    file = records(folder, record(text))
    (document,) = read_documents(file, "i2b2_2006", reading=reading, max_misaligned=1.0)
    return document


def test_2006_the_text_is_what_remains_without_tags(tmp_path: Path) -> None:
    one = 'Seen by Dr. <PHI TYPE="DOCTOR">Ana\nRuiz</PHI> on <PHI TYPE="DATE">12/3</PHI>.\n'
    file = records(tmp_path, record("\n" + one, "412"), record("none", "413"))
    assert format_of(file) == format_of(tmp_path) == "i2b2_2006"
    reading = Reading()
    assert read_documents(tmp_path, reading=reading) == [
        Document(
            "412",
            "\nSeen by Dr. Ana\nRuiz on 12/3.\n",
            (Span.of(13, 21, "DOCTOR"), Span.of(25, 29, "DATE")),
        ),
        Document("413", "none"),
    ]
    assert (reading.alignment.mentions, reading.alignment.faults, reading.passed_over) == (2, [], {})


def test_2006_identifiers_glued_to_words_are_spans_inside_them(tmp_path: Path) -> None:
    document = read_2006(tmp_path, 'ID<PHI TYPE="ID">123</PHI>X<PHI TYPE="DATE">1/2</PHI>pm')
    assert document.text == "ID123X1/2pm"
    assert document.spans == (Span.of(2, 5, "ID"), Span.of(6, 9, "DATE"))


def test_2006_references_are_read_before_offsets_are_counted(tmp_path: Path) -> None:
    document = read_2006(
        tmp_path,
        'a &lt; b &amp; c &#38; d &#x26; &amp;lt; &nbsp; R&D &#0; <PHI TYPE="ID">&quot;7&apos;</PHI>',
    )
    assert document.text == "a < b & c & d & &lt; &nbsp; R&D &#0; \"7'"
    assert document.spans[0].text_in(document.text) == "\"7'"


def test_2006_line_ends_are_those_of_xml_and_small_signs_are_text(tmp_path: Path) -> None:
    document = read_2006(tmp_path, 'BP < 90 <PHILIP>\r\n<PHI TYPE="ID">7</PHI>\r8')
    assert (document.text, document.spans) == ("BP < 90 <PHILIP>\n7\n8", (Span.of(17, 18, "ID"),))


@pytest.mark.parametrize(
    ("tag", "label", "mended"),
    [
        ('<PHI TYPE="LOCATION-OTHER">', "LOCATION-OTHER", 0),
        ('<PHI TYPE="LOCATION OTHER">', "LOCATION OTHER", 0),
        ('<PHI TYPE="LOC" id="2">', "LOC", 0),
        ('<PHI ID="1" TYPE="LOC">', "LOC", 0),
        ('<PHI\nID="1" TYPE="LOC">', "LOC", 0),
        ("<PHI ID='1' TYPE='LOC' >", "LOC", 1),
        ("<PHI TYPE=LOC ID=2>", "LOC", 1),
        ('<PHI TYPE="LOCATION-OTHER>', "LOCATION-OTHER", 1),
    ],
)
def test_2006_attributes_of_any_value_and_number_are_no_text(
    tag: str, label: str, mended: int, tmp_path: Path
) -> None:
    reading = Reading()
    document = read_2006(tmp_path, f"in {tag}Rome</PHI>, BP > 9", reading)
    assert (document.text, document.spans) == ("in Rome, BP > 9", (Span.of(3, 7, label),))
    assert reading.passed_over["PHI tags that were mended"] == mended
    assert (reading.alignment.mentions, reading.alignment.faults) == (1, [])


@pytest.mark.parametrize(
    "tag",
    [
        '<PHI TYPE="DATE>',
        '<PHI TYPE=DATE">',
        '<PHI TYPE"DATE">',
        '<PHI TYPE="DATE"',
        "<PHI TYPE='DATE'>",
        '<PHITYPE="DATE">',
        '< PHI  TYPE = "DATE" >',
    ],
)
def test_2006_the_malformed_tag_is_mended(tag: str, tmp_path: Path) -> None:
    reading = Reading()
    document = read_2006(tmp_path, f'on {tag}12/3</PHI>, <PHI TYPE="ID">7</PHI>', reading)
    assert (document.text, document.spans) == ("on 12/3, 7", (Span.of(3, 7, "DATE"), Span.of(9, 10, "ID")))
    assert reading.passed_over == {"PHI tags that were mended": 1}
    assert reading.alignment.faults == []


@pytest.mark.parametrize("tag", ["<PHI>", "</PHI", "<//PHI>", "</ PHI>", "< /PHI>", '</PHI TYPE="DATE">'])
def test_2006_a_malformed_end_is_mended(tag: str, tmp_path: Path) -> None:
    reading = Reading()
    document = read_2006(tmp_path, f'on <PHI TYPE="DATE">12/3{tag}\n, <PHI TYPE="ID">7</PHI>', reading)
    assert document.spans == (Span.of(3, 7, "DATE"), Span.of(10, 11, "ID"))
    assert reading.passed_over == {"PHI tags that were mended": 1}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ('<PHI TYPE="ID">7</PHI> <PHI TYPE="DATE">12/3', 1),
        ('12/3</PHI> <PHI TYPE="ID">7</PHI>', 1),
        ('<PHI TYPE="DATE"></PHI> <PHI TYPE="ID">7</PHI>', 1),
        ('<PHI TYPE="">12/3</PHI> <PHI TYPE="ID">7</PHI>', 2),
    ],
    ids=["open at the end", "closes nothing", "empty", "no type"],
)
def test_2006_tags_that_make_no_pair_are_left_out_and_counted(text: str, faults: int, tmp_path: Path) -> None:
    reading = Reading()
    document = read_2006(tmp_path, "\n" + text, reading)
    assert [span.text_in(document.text) for span in document.spans] == ["7"]
    assert "PHI" not in document.text
    where = f"{tmp_path / 'deid_surrogate_train.xml'}, line 5"
    assert [fault[1] for fault in reading.alignment.faults] == [where] * faults
    assert reading.alignment.mentions == faults + 1


@pytest.mark.parametrize(
    ("text", "mentions", "mended"),
    [
        ('<PHI TYPE="DATE">12/3 <PHI TYPE="ID">7</PHI> a', ["12/3 DATE", "7 ID"], 1),
        ('<PHI TYPE="ID">12<PHI TYPE="ID">7</PHI> a', ["12 ID", "7 ID"], 1),
        ('<PHI TYPE="ID">12<PHI TYPE="ID"> a <PHI TYPE="ID">7</PHI>', ["12 ID", "7 ID"], 1),
        ('<PHI TYPE="ID">12<PHI TYPE="ID"> a', ["12 ID"], 1),
        ('<PHI TYPE="ID">1 <PHI TYPE="DATE">2\n<PHI TYPE="AGE">3</PHI>', ["1 ID", "2 DATE", "3 AGE"], 2),
    ],
)
def test_2006_a_second_opening_tag_closes_the_first(
    text: str, mentions: list[str], mended: int, tmp_path: Path
) -> None:
    reading = Reading()
    document = read_2006(tmp_path, text, reading)
    assert [f"{span.text_in(document.text)} {span.label}" for span in document.spans] == mentions
    assert (reading.alignment.mentions, reading.alignment.faults) == (len(mentions), [])
    assert reading.passed_over == {"PHI tags that were mended": mended}
    assert reading.passed_over.places["PHI tags that were mended"].endswith("train.xml, line 4")


def test_2006_a_second_opening_tag_closes_nothing_that_holds_no_character(tmp_path: Path) -> None:
    reading = Reading()
    document = read_2006(tmp_path, '<PHI TYPE="DATE"> <PHI TYPE="ID">7</PHI>', reading)
    assert document.spans == (Span.of(1, 2, "ID"),)
    assert [fault for fault, _ in reading.alignment.faults] == ["a PHI tag holds no character"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "holds no RECORD"),
        ([record("a"), record("b")], "line 6: the record has no ID of its own"),
        ([record("a").replace(' ID="7"', "")], "line 3: the record has no ID of its own"),
        ([record("a").replace("</TEXT>", ""), record("b", "8")], "line 3: the record has no TEXT"),
    ],
)
def test_2006_broken_records_are_named(parts: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=message):
        read_documents(records(tmp_path, *parts), "i2b2_2006")
