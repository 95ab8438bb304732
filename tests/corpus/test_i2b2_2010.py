"""i2b2 2010: concepts by line and token, in the layouts of the releases, and what tokens are."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.errors import LongbioError

TEXT = """Admission Date :
2015-03-01
He was given Aspirin 81 mg for
Chest Pain .
"""
CON = """c="aspirin 81 mg" 3:3 3:5||t="treatment"
c="chest pain" 4:0 4:1||t="problem"
"""
AST = 'c="chest pain" 4:0 4:1||t="problem"||a="present"\n'
REL = 'c="aspirin 81 mg" 3:3 3:5||r="TrAP"||c="chest pain" 4:0 4:1\n'

ASPIRIN = Span.of(TEXT.index("Aspirin"), TEXT.index(" for"), "treatment")
PAIN = Span.of(TEXT.index("Chest"), TEXT.index(" ."), "problem")
NOTE = Document(
    "record-13",
    TEXT,
    (ASPIRIN, PAIN),
    relations=(Relation("TrAP", ASPIRIN, PAIN),),
    attributes=(Attribute(PAIN, "assertion", "present"),),
)

ALL = {".txt": TEXT, ".con": CON, ".ast": AST, ".rel": REL}


def written(folder: Path, files: dict[str, str], where: str = "{suffix}", stem: str = "record-13") -> Path:
    """Files by ending, each in the folder that `where` makes of its ending."""
    for suffix, content in files.items():
        place = folder / where.format(suffix={"con": "concept"}.get(suffix[1:], suffix[1:]))
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{stem}{suffix}").write_bytes(content.encode())
    return folder


def spans(folder: Path, text: str, con: str, reading: Reading | None = None) -> tuple[Span, ...]:
    """Of one note, those that aren't where they say left out."""
    written(folder, {".txt": text, ".con": con}, ".")
    (document,) = read_documents(folder, "i2b2_2010", reading=reading, max_misaligned=1.0)
    return document.spans


@pytest.mark.parametrize("where", [".", "{suffix}", "beth/{suffix}", "training_data/beth/{suffix}"])
def test_layouts_as_released_and_all_in_one_folder(where: str, tmp_path: Path) -> None:
    written(tmp_path, ALL, where)
    assert format_of(tmp_path) == "i2b2_2010"
    reading = Reading()
    assert read_documents(tmp_path, reading=reading) == [NOTE]
    assert (reading.alignment.mentions, reading.alignment.faults, reading.passed_over) == (2, [], {})


def test_the_texts_may_lie_apart_as_in_the_test_release(tmp_path: Path) -> None:
    written(tmp_path, {".con": CON}, "reference/concepts")
    written(tmp_path, {".ast": AST, ".rel": REL}, "reference/{suffix}")
    written(tmp_path, {".txt": TEXT}, "test_data")
    assert read_documents(tmp_path) == [NOTE]


def test_the_root_of_the_release_holds_its_training_and_its_test_part(tmp_path: Path) -> None:
    """As it was given out: a folder of two hospitals, one of answers, and one of their texts."""
    written(tmp_path, ALL, "training_data/beth/{suffix}")
    written(tmp_path, {".txt": TEXT}, "training_data/partners/unannotated", "note")
    written(tmp_path, ALL, "training_data/partners/{suffix}", "018636330_DH")
    written(tmp_path, {".con": CON, ".ast": AST, ".rel": REL}, "reference_standard/{suffix}", "0001")
    written(tmp_path, {".txt": TEXT}, "test_data", "0001")
    assert format_of(tmp_path) == "i2b2_2010"
    reading = Reading()
    documents = read_documents(tmp_path, reading=reading)
    assert [document.id for document in documents] == ["0001", "018636330_DH", "record-13"]
    assert reading.passed_over == {"notes without concepts": 1}
    assert reading.passed_over.places["notes without concepts"].endswith("unannotated/note.txt")


def test_lines_count_from_1_tokens_from_0_and_the_end_token_belongs_to_it(tmp_path: Path) -> None:
    assert spans(tmp_path, "one two three\nfour", 'c="two three" 1:1 1:2||t="test"') == (
        Span.of(4, 13, "test"),
    )


def test_the_words_are_in_lower_case_and_the_text_is_not(tmp_path: Path) -> None:
    assert spans(tmp_path, "CT Scan", 'c="ct scan" 1:0 1:1||t="test"') == (Span.of(0, 7, "test"),)


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n  "])
def test_spans_over_several_lines(end: str, tmp_path: Path) -> None:
    text = f"chronic renal{end}failure and{end}more"
    con = 'c="chronic renal failure" 1:0 2:0||t="problem"'
    assert spans(tmp_path, text, con) == (Span.of(0, text.index(" and"), "problem"),)


def test_duplicates_are_kept_once(tmp_path: Path) -> None:
    written(tmp_path, ALL | {".con": CON + CON, ".ast": AST + AST, ".rel": REL + REL})
    assert read_documents(tmp_path) == [NOTE]


# The line is "  3 hip  pain": a token is what stands between white space; that, and an empty one before
# the white space that begins the line; or what stands between single spaces.
@pytest.mark.parametrize(
    ("hip", "pain"), [("1", "2"), ("2", "3"), ("3", "5")], ids=["words", "empty first word", "single spaces"]
)
def test_leading_spaces_on_a_line_shift_tokens(hip: str, pain: str, tmp_path: Path) -> None:
    reading = Reading()
    con = f"""c="one" 1:0 1:0||t="test"
c="hip" 2:{hip} 2:{hip}||t="test"
c="pain" 2:{pain} 2:{pain}||t="problem"
"""
    found = spans(tmp_path, "one two\n  3 hip  pain", con, reading)
    assert found == (Span.of(0, 3, "test"), Span.of(12, 15, "test"), Span.of(17, 21, "problem"))
    assert reading.alignment.faults == []


def test_the_counting_is_that_of_most_concepts_and_words_come_first(tmp_path: Path) -> None:
    # One is right with words, two with an empty one before: the one is left out.
    text = " a b\n a b\n a b"
    con = 'c="b" 1:1 1:1||t="x"\nc="b" 2:2 2:2||t="x"\nc="b" 3:2 3:2||t="x"'
    reading = Reading()
    assert spans(tmp_path, text, con, reading) == (Span.of(8, 9, "x"), Span.of(13, 14, "x"))
    assert [where for _, where in reading.alignment.faults] == [f"{tmp_path / 'record-13.con'}, line 1"]
    # "a a" is right under both: the first counting is taken.
    assert spans(tmp_path, " a a a", 'c="a" 1:1 1:1||t="x"') == (Span.of(3, 4, "x"),)


def test_quotes_and_bars_inside_the_words(tmp_path: Path) -> None:
    con = 'c="the "big"||t= mass" 1:0 1:2||t="problem"\r\n'
    assert spans(tmp_path, 'The "big"||t= mass', con) == (Span.of(0, 18, "problem"),)


def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path: Path) -> None:
    con = 'c="fever" 1:0 1:0||t="x"\nc="pain" 1:2 1:2||t="x"\nc="more" 2:0 2:0||t="x"\n'
    expected = (Span.of(1, 6, "x"), Span.of(11, 15, "x"), Span.of(16, 20, "x"))
    assert spans(tmp_path, "\ufefffever and pain\nmore", con) == expected


def test_no_break_spaces_belong_to_their_words(tmp_path: Path) -> None:
    assert spans(tmp_path, "5\u00a0mg  daily", 'c="daily" 1:1 1:1||t="x"') == (Span.of(6, 11, "x"),)


def test_the_carriage_return_of_a_line_end_is_no_word(tmp_path: Path) -> None:
    assert spans(tmp_path, "a  hip\r\nb", 'c="hip" 1:2 1:2||t="x"') == (Span.of(3, 6, "x"),)


@pytest.mark.parametrize(
    "place", ["1:0 1:0", "3:3 3:9", "9:0 9:0", "0:0 0:0", "3:5 3:3", "4:0 3:3"], ids=lambda place: place
)
def test_words_that_are_not_where_they_say_are_left_out_with_what_is_about_them(
    place: str, tmp_path: Path
) -> None:
    con = CON.replace("3:3 3:5", place)
    written(tmp_path, ALL | {".con": con, ".ast": AST + f'c="x" {place}||t="problem"||a="absent"\n'})
    reading = Reading()
    (document,) = read_documents(tmp_path, reading=reading, max_misaligned=0.5)
    assert (document.spans, document.relations, document.attributes) == ((PAIN,), (), NOTE.attributes)
    assert [where for _, where in reading.alignment.faults] == [f"{tmp_path}/concept/record-13.con, line 1"]
    assert reading.passed_over == {
        "relations of what was not read": 1,
        "attributes of what was not read": 1,
    }
    with pytest.raises(LongbioError, match=r"line 1: .*1 of 2 mentions") as caught:
        read_documents(tmp_path)
    assert "aspirin" not in str(caught.value).lower()


def test_a_relation_of_a_place_with_two_concepts_says_not_which(tmp_path: Path) -> None:
    written(tmp_path, ALL | {".con": CON + CON.replace('"problem"', '"test"')})
    reading = Reading()
    (document,) = read_documents(tmp_path, reading=reading)
    assert len(document.spans) == 4 - 1
    assert document.attributes == NOTE.attributes
    assert (document.relations, reading.passed_over) == ((), {"relations of what was not read": 1})


def test_notes_that_nobody_annotated_are_counted(tmp_path: Path) -> None:
    written(tmp_path, ALL)
    written(tmp_path, {".txt": "bare"}, "unannotated", "record-14")
    written(tmp_path, {".txt": "hidden"}, ".", "._record-13")
    reading = Reading()
    assert read_documents(tmp_path, reading=reading) == [NOTE]
    assert reading.passed_over == {"notes without concepts": 1}


@pytest.mark.parametrize(
    ("suffix", "line"),
    [
        (".con", 'c="aspirin" 3:3||t="treatment"'),
        (".con", 'c="aspirin" 3:3 3:3'),
        (".con", f'c="aspirin" 3:3 3:{"5" * 5000}||t="treatment"'),
        (".con", "aspirin"),
        (".ast", 'c="aspirin" 3:3 3:3||t="treatment"'),
        (".rel", 'c="aspirin" 3:3 3:3||r="TrAP"'),
    ],
)
def test_malformed_lines_are_named(suffix: str, line: str, tmp_path: Path) -> None:
    written(tmp_path, ALL | {suffix: f"\n{line}\n"}, ".")
    with pytest.raises(LongbioError, match="line 2: this is no line of i2b2 2010") as caught:
        read_documents(tmp_path)
    assert str(tmp_path / f"record-13{suffix}") in str(caught.value)
    assert "aspirin" not in str(caught.value)


@pytest.mark.parametrize(("missing", "named"), [(".txt", ".con"), (".con", ".ast")])
def test_files_that_lack_another(missing: str, named: str, tmp_path: Path) -> None:
    written(tmp_path, {suffix: content for suffix, content in ALL.items() if suffix != missing})
    written(tmp_path, ALL, "whole/{suffix}", "record-14")
    with pytest.raises(LongbioError, match=f"annotations without their {missing} file") as caught:
        read_documents(tmp_path)
    assert f"record-13{named}" in str(caught.value.where)


def test_only_notes_with_concepts_need_a_name_of_their_own(tmp_path: Path) -> None:
    for where, stem in (("beth", "record-13"), ("partners", "record-14")):
        written(tmp_path, ALL, f"{where}/{{suffix}}", stem)
        written(tmp_path, {".txt": "read me"}, where, "README")
        written(tmp_path, {".txt": "bare"}, f"{where}/unannotated", "record-15")
    reading = Reading()
    assert [d.id for d in read_documents(tmp_path, reading=reading)] == ["record-13", "record-14"]
    assert reading.passed_over == {"notes without concepts": 2}


def test_a_note_that_is_there_twice(tmp_path: Path) -> None:
    written(tmp_path, ALL, "beth/{suffix}")
    written(tmp_path, ALL, "partners/{suffix}")
    with pytest.raises(LongbioError, match="another folder has a file of this name"):
        read_documents(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", ".", "note.con"])
def test_nothing_to_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "note.con").write_text("")
    with pytest.raises(LongbioError):
        read_documents(tmp_path / name, "i2b2_2010")
