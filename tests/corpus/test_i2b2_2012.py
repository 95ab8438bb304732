"""i2b2 2012: offsets from just behind CDATA, broken XML met by rule, links between mentions."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.errors import LongbioError

TEXT = """
Admission Date :
09/29/1993
HISTORY OF PRESENT ILLNESS :
Found to be HIV+ two years ago , B & C negative .
"""

TAGS = """<EVENT id="E0" start="{0}" end="{9}" text="Admission" modality="FACTUAL" polarity="POS" \
type="OCCURRENCE" />
<EVENT id="E1" start="{69}" end="{73}" text="HIV+" modality="POSSIBLE" polarity="NEG" type="PROBLEM" />
<TIMEX3 id="T0" start="{17}" end="{27}" text="09/29/1993" type="DATE" val="1993-09-29" mod="NA" />
<TLINK id="TL0" fromID="E0" fromText="Admission" toID="T0" toText="09/29/1993" type="OVERLAP" />
<SECTIME id="S0" start="{17}" end="{27}" text="09/29/1993" type="ADMISSION" dvalue="1993-09-29" />
"""

ADMISSION, HIV, DATE = Span.of(1, 10, "OCCURRENCE"), Span.of(70, 74, "PROBLEM"), Span.of(18, 28, "DATE")


def note(tags: str, text: str = TEXT, *, first: int = 1) -> str:
    """A note as it was given out.

    Args:
        tags: with offsets in braces, counted from 0 in the text without its first line feed.
        text: of the note.
        first: the number of the character behind that line feed.
    """
    places = [str(number + first) for number in range(len(text) + 20)]
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<ClinicalNarrativeTemporalAnnotation>\n'
        f"<TEXT><![CDATA[{text}]]></TEXT>\n<TAGS>\n{tags.format(*places)}</TAGS>\n"
        "</ClinicalNarrativeTemporalAnnotation>\n"
    )


def written(folder: Path, content: str, name: str = "1.xml") -> Path:
    file = folder / name
    file.write_bytes(content.encode())
    return file


NOTE = Document(
    "1",
    TEXT,
    (ADMISSION, DATE, HIV),
    relations=(Relation("OVERLAP", ADMISSION, DATE),),
    attributes=(
        Attribute(ADMISSION, "modality", "FACTUAL"),
        Attribute(ADMISSION, "polarity", "POS"),
        Attribute(DATE, "mod", "NA"),
        Attribute(DATE, "val", "1993-09-29"),
        Attribute(HIV, "modality", "POSSIBLE"),
        Attribute(HIV, "polarity", "NEG"),
    ),
)


def test_offsets_count_from_just_behind_cdata_its_line_feed_included(tmp_path: Path) -> None:
    file = written(tmp_path, note(TAGS))
    assert 'start="1" end="10" text="Admission"' in file.read_text()
    assert format_of(file) == format_of(tmp_path) == "i2b2_2012"
    reading = Reading()
    assert read_documents(file, reading=reading) == [NOTE]
    assert (reading.alignment.mentions, reading.alignment.faults) == (3, [])
    assert reading.passed_over == {"section times": 1}
    assert reading.passed_over.places["section times"].endswith("1.xml, line 14")


@pytest.mark.parametrize(
    "first", [pytest.param(2, id="counted from 1"), pytest.param(0, id="without the line feed")]
)
def test_a_file_whose_offsets_are_all_one_off_is_read(first: int, tmp_path: Path) -> None:
    file, reading = written(tmp_path, note(TAGS, first=first)), Reading()
    assert read_documents(file, reading=reading) == [NOTE]
    what = "files whose offsets are one off, and were read so"
    assert reading.remarks.lines() == [f"1 {what} (the first: {file}, line 10)"]


def test_each_file_has_a_shift_of_its_own_that_of_most_mentions(tmp_path: Path) -> None:
    written(tmp_path, note(TAGS))
    written(tmp_path, note(TAGS.replace('{69}" end="{73}', '{68}" end="{72}'), first=2), "2.xml")
    reading = Reading()
    first, second = read_documents(tmp_path, reading=reading, max_misaligned=0.2)
    assert first == NOTE
    assert second.spans == (ADMISSION, DATE)
    assert [where for _, where in reading.alignment.faults] == [f"{tmp_path / '2.xml'}, line 11"]


def test_of_two_shifts_that_agree_as_often_none_is_taken(tmp_path: Path) -> None:
    tag = '<EVENT id="E0" start="2" end="3" text="a" type="X" />\n'
    (document,) = read_documents(written(tmp_path, note(tag, "aaaa")))
    assert document.spans == (Span.of(2, 3, "X"),)


def test_raw_ampersands_make_a_file_ill_formed_and_it_is_read(tmp_path: Path) -> None:
    start = TEXT.index("B & C") - 1
    tag = f'<EVENT id="E9" start="{{{start}}}" end="{{{start + 5}}}" text="B & C" type="TEST" />\n'
    (raw,) = read_documents(written(tmp_path, note(TAGS + tag)))
    assert Span.of(start + 1, start + 6, "TEST") in raw.spans
    assert raw.text == TEXT
    # As it should have been written, and with a reference that XML doesn't know.
    assert read_documents(written(tmp_path, note(TAGS + tag.replace("&", "&amp;")))) == [raw]
    assert read_documents(written(tmp_path, note(TAGS + tag.replace("&", "&#38;")))) == [raw]
    (other,) = read_documents(written(tmp_path, note(tag.replace("B & C", "B&nbsp;C"))), max_misaligned=1.0)
    assert other.spans == ()


@pytest.mark.parametrize(
    "said", ["patient&apos;s &quot;pain&quot;", "patient&amp;apos;s &amp;quot;pain&amp;quot;"]
)
@pytest.mark.parametrize("stands", ['patient\'s "pain"', "patient&apos;s &quot;pain&quot;"])
def test_references_are_alike_in_attributes_and_in_the_text(said: str, stands: str, tmp_path: Path) -> None:
    text = f"\nThe {stands} .\n"
    tag = f'<EVENT id="E0" start="5" end="{5 + len(stands)}" text="{said}" type="PROBLEM" />\n'
    reading = Reading()
    (document,) = read_documents(
        written(tmp_path, note("", text).replace("<TAGS>\n", "<TAGS>\n" + tag)), reading=reading
    )
    assert document.text == text
    assert [span.text_in(text) for span in document.spans] == [stands]
    assert reading.alignment.faults == []


def test_references_inside_cdata_are_text(tmp_path: Path) -> None:
    (document,) = read_documents(written(tmp_path, note("", "R&amp;D &lt; & &#38;")))
    assert document.text == "R&amp;D &lt; & &#38;"


@pytest.mark.parametrize("kind", ['type=""', 'type=" "', ""], ids=["empty", "a space", "missing"])
def test_an_empty_type_is_the_name_of_the_element(kind: str, tmp_path: Path) -> None:
    tags = (
        TAGS.replace('type="OCCURRENCE"', kind).replace('type="DATE"', kind).replace('type="OVERLAP"', kind)
    )
    (document,) = read_documents(written(tmp_path, note(tags)))
    event, time = Span.of(1, 10, "EVENT"), Span.of(18, 28, "TIMEX3")
    assert document.spans == (event, time, HIV)
    assert document.relations == (Relation("TLINK", event, time),)


def test_links_to_what_was_not_read_are_counted(tmp_path: Path) -> None:
    links = "".join(
        f'<TLINK id="TL{n}" fromID="{a}" toID="{b}" type="AFTER" />\n'
        for n, (a, b) in enumerate([("E0", "S0"), ("E0", "E7"), ("", "T0"), ("E1", "T0")])
    )
    reading = Reading()
    tags = TAGS.replace('text="HIV+"', 'text="HIV"') + links
    (document,) = read_documents(written(tmp_path, note(tags)), reading=reading, max_misaligned=0.5)
    assert document.relations == NOTE.relations
    assert {a.span for a in document.attributes} == {ADMISSION, DATE}
    assert reading.passed_over == {"section times": 1, "relations of what was not read": 4}


def test_mentions_over_line_ends_and_files_with_crlf(tmp_path: Path) -> None:
    text = "\nshortness of\nbreath\n"
    tag = '<EVENT id="E0" start="{0}" end="{19}" text="shortness of breath" type="PROBLEM" />\n'
    (document,) = read_documents(written(tmp_path, note(tag, text).replace("\n", "\r\n")))
    assert document == Document("1", text, (Span.of(1, 20, "PROBLEM"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (note(TAGS).replace("</TAGS>", ""), "line 16: this is no well-formed XML"),
        (note(TAGS).replace('text="HIV+"', 'text="<HIV"'), "line 11: this is no well-formed XML"),
        (note(TAGS).replace('start="1"', 'start="SECRET"'), "line 10: the attribute 'start' is no number"),
        (note(TAGS).replace('start="1"', ""), "line 10: the attribute 'start' is no number"),
        (note(TAGS).replace("TEXT>", "BODY>"), "has no TEXT"),
        ("", "no well-formed XML"),
    ],
)
def test_broken_files_are_named_and_never_quoted(content: str, message: str, tmp_path: Path) -> None:
    file = written(tmp_path, content)
    with pytest.raises(LongbioError, match=message) as caught:
        read_documents(file, "i2b2_2012")
    assert str(file) in str(caught.value)
    assert caught.value.__context__ is None
    for words in ("HIV", "SECRET"):
        assert words not in str(caught.value)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 20}">' for n in range(1, 20))
    doctype = f'<!DOCTYPE ClinicalNarrativeTemporalAnnotation [<!ENTITY e0 "ha">{bomb}]>'
    tag = '<EVENT id="E0" start="1" end="10" text="&e19;" type="X" />\n'
    content = note(tag).replace("?>\n", f"?>\n{doctype}", 1)
    (document,) = read_documents(written(tmp_path, content), "i2b2_2012", max_misaligned=1.0)
    assert document == Document("1", TEXT)
