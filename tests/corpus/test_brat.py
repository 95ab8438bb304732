"""BRAT: what is written comes back equal, and what is broken is named without its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.corpus.writers import WRITERS
from longbio.errors import LongbioError
from tests.corpus_splits import read_splits

write = WRITERS["brat"]


def read(folder: Path) -> list[Document]:
    return read_documents(folder, "brat")


def written(folder: Path, text: str | bytes, annotations: str | bytes) -> Path:
    """A folder with one document, "note", of exactly these characters or bytes."""
    for suffix, content in ((".txt", text), (".ann", annotations)):
        data = content.encode() if isinstance(content, str) else content
        (folder / f"note{suffix}").write_bytes(data)
    return folder


def spans_of(folder: Path) -> tuple[Span, ...]:
    (document,) = read(folder)
    return document.spans


DRUG, DOSE = Span.of(0, 5, "Drug"), Span.of(6, 10, "Dose")

ROUND_TRIPS = {
    "plain": Document("a", "took tarva daily", (Span.of(5, 10, "Drug"),)),
    "no spans": Document("a", "nothing here"),
    "empty text": Document("a", ""),
    "discontinuous": Document("a", "left or right hip", (Span(((0, 4), (14, 17)), "Site"),)),
    "overlapping": Document(
        "a", "left hip pain", (Span.of(0, 8, "Site"), Span.of(0, 13, "Sign"), Span.of(5, 8, "Site"))
    ),
    "one place, two labels": Document("a", "hip", (Span.of(0, 3, "Sign"), Span.of(0, 3, "Site"))),
    "crlf": Document("a", "one\r\ntwo\r\nhip\r\n", (Span.of(10, 13, "Site"),)),
    "crlf inside": Document("a", "left\r\nhip", (Span.of(0, 9, "Site"),)),
    "newline inside": Document("a", "left\nhip\n", (Span.of(0, 8, "Site"),)),
    "lone carriage return": Document("a", "left\rhip\r", (Span.of(0, 8, "Site"),)),
    "tab inside": Document("a", "left\thip", (Span.of(0, 8, "Site"),)),
    "unicode": Document("a", "µg \U0001f9ec naïve β-тест", (Span.of(5, 10, "A"), Span.of(11, 17, "B"))),
    "line separators": Document("a", "a\u2028b\x85c\x0bd", (Span.of(0, 7, "A"),)),
    "byte order mark": Document("a", "\ufeffhip", (Span.of(1, 4, "Site"),)),
    "relations": Document(
        "a",
        "tarva 5 mg",
        (DRUG, DOSE),
        relations=(Relation("Has", DRUG, DOSE), Relation("Has", DOSE, DRUG), Relation("Is", DRUG, DRUG)),
    ),
    "relation of discontinuous mentions": Document(
        "a",
        "left or right hip",
        (Span(((0, 4), (14, 17)), "Site"), Span.of(8, 17, "Site")),
        relations=(Relation("With", Span.of(8, 17, "Site"), Span(((0, 4), (14, 17)), "Site")),),
    ),
    "attributes": Document(
        "a",
        "tarva 5 mg",
        (DRUG, DOSE),
        attributes=(
            Attribute(DRUG, "Negated"),
            Attribute(DRUG, "Status", "held"),
            Attribute(DRUG, "Status", "on  hold\tnow "),
            Attribute(DOSE, "Negated"),
        ),
    ),
    "dots in the id": Document("a.b.c", "hip", (Span.of(0, 3, "Site"),)),
    "not ascii id": Document("naïve 1", "hip", (Span.of(0, 3, "Site"),)),
}


@pytest.mark.parametrize("document", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_round_trip(document: Document, tmp_path: Path) -> None:
    write([document], tmp_path)
    assert read(tmp_path) == [document]


def test_documents_come_back_sorted_by_id(tmp_path: Path) -> None:
    documents = [Document(document_id, document_id) for document_id in ("b", "a-1", "a", "a.x")]
    write(documents, tmp_path / "made" / "for this")
    assert read(tmp_path / "made" / "for this") == sorted(documents, key=lambda d: d.id)


def test_lines_as_they_stand_on_disk(tmp_path: Path) -> None:
    write([Document("a", "left\nhip or knee", (Span(((0, 8), (12, 16)), "Site"),))], tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"left\nhip or knee"
    assert (tmp_path / "a.ann").read_bytes() == b"T1\tSite 0 4;5 8;12 16\tleft hip knee\n"


def test_other_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    lines = (
        "T1\tDrug 0 5\ttarva\nE1\tDrug:T1\nE2\tDrug:T1 With:T1 By2:E1\nE3\tno trigger\n"
        "N1\tReference T1 DB:1\ttarva\n*\tEquiv T1 T1\n"
        "#1\tAnnotatorNotes T1\tsure\n#2\tAnnotatorNotes E1\tsure\n\n"
    )
    reading = Reading()
    (document,) = read_documents(written(tmp_path, "tarva", lines), reading=reading)
    assert document == Document("note", "tarva", (Span.of(0, 5, "Drug"),))
    counts = {"arguments of events": 2, "events": 1, "normalisations": 1, "equivalences": 1, "notes": 2}
    assert reading.passed_over == counts
    lines_of = {what: where.rpartition(" ")[2] for what, where in reading.passed_over.places.items()}
    assert lines_of == dict(zip(counts, "34567", strict=True))


def test_relations_and_attributes_are_read_wherever_they_stand(tmp_path: Path) -> None:
    lines = (
        "R1\tHas Arg1:T1 Arg2:T2\t\nR2\tHas Arg2:T1 Arg1:T2\nR3\tActs Theme:T2 Cause:T1\n"
        "A1\tNegated T1\nM1\tHedged T2\nA2\tStatus T1 on hold\r\n"
        "T1\tDrug 0 5\ttarva\nT2\tDose 6 10\t5 mg\nA3\tNegated T1\n"
    )
    reading = Reading()
    (document,) = read_documents(written(tmp_path, "tarva 5 mg", lines), reading=reading)
    assert document.relations == (
        Relation("Acts", DOSE, DRUG),
        Relation("Has", DRUG, DOSE),
        Relation("Has", DOSE, DRUG),
    )
    assert document.attributes == (
        Attribute(DRUG, "Negated"),
        Attribute(DRUG, "Status", "on hold"),
        Attribute(DOSE, "Hedged"),
    )
    assert not reading.passed_over


def test_what_is_about_a_mention_left_out_is_left_out_too(tmp_path: Path) -> None:
    lines = (
        "T1\tDrug 0 5\ttarva\nT2\tDose 6 10\t9 mg\nR1\tHas Arg1:T1 Arg2:T2\nR2\tHas Arg1:T2 Arg2:T1\n"
        "R3\tHas Arg1:T1 Arg2:E1\nE1\tDose:T2\nA1\tNegated T2\nA2\tNegated E1\nA3\tNegated R1\n"
    )
    reading = Reading()
    (document,) = read_documents(written(tmp_path, "tarva 5 mg", lines), reading=reading, max_misaligned=0.5)
    assert document == Document("note", "tarva 5 mg", (DRUG,))
    assert len(reading.alignment.faults) == 1
    assert reading.passed_over == {
        "relations of what was not read": 3,
        "attributes of what was not read": 3,
    }
    assert reading.passed_over.places["attributes of what was not read"].endswith("note.ann, line 7")


def test_equal_spans_are_kept_once_and_sorted(tmp_path: Path) -> None:
    lines = "T1\tDrug 6 9\thip\nT2\tDrug 0 5\ttarva\nT3\tDrug 6 9\thip\n"
    expected = (Span.of(0, 5, "Drug"), Span.of(6, 9, "Drug"))
    assert spans_of(written(tmp_path, "tarva hip", lines)) == expected


def test_crlf_annotations_of_a_crlf_text(tmp_path: Path) -> None:
    lines = "T1\tDrug 4 9\ttarva\r\nT2\tDrug 11 14\thip\r\n"
    expected = (Span.of(4, 9, "Drug"), Span.of(11, 14, "Drug"))
    assert spans_of(written(tmp_path, "a\r\n tarva\r\nhip", lines)) == expected


def test_byte_order_mark_before_the_annotations(tmp_path: Path) -> None:
    lines = "\ufeffT1\tDrug 0 5\ttarva\n"
    assert spans_of(written(tmp_path, "tarva", lines)) == (Span.of(0, 5, "Drug"),)


@pytest.mark.parametrize("first_char", [0, 1])
def test_a_byte_order_mark_of_the_text_may_be_counted_or_not(first_char: int, tmp_path: Path) -> None:
    lines = "".join(f"T{n}\tX {first_char + n} {first_char + n + 1}\t{c}\n" for n, c in enumerate("hip"))
    lines += "A1\tNegated T2\n"
    (document,) = read(written(tmp_path, "\ufeffhip", lines))
    assert document.text == "\ufeffhip"
    assert document.spans == tuple(Span.of(n, n + 1, "X") for n in (1, 2, 3))
    assert document.attributes == (Attribute(Span.of(3, 4, "X"), "Negated"),)


def test_a_byte_order_mark_is_counted_where_that_fits_as_many_mentions(tmp_path: Path) -> None:
    assert spans_of(written(tmp_path, "\ufeffaa", "T1\tX 1 2\ta\n")) == (Span.of(1, 2, "X"),)


def test_lines_of_white_space_alone_are_left_out(tmp_path: Path) -> None:
    lines = "T1\tDrug 0 5\ttarva\n \n\t\r\n"
    assert spans_of(written(tmp_path, "tarva", lines)) == (Span.of(0, 5, "Drug"),)


@pytest.mark.parametrize(
    ("line", "fragments"),
    [
        pytest.param("T1\tX 0 4;2 6\tleft ft h", ((0, 6),), id="overlapping"),
        pytest.param("T1\tX 5 8;0 4\thip left", ((0, 8),), id="out of order"),
        pytest.param("T1\tX 0 4;8 8\tleft ", ((0, 4),), id="one empty"),
        pytest.param("T1\tX 0 8;5 6\tleft hip h", ((0, 8),), id="one inside another"),
    ],
)
def test_odd_fragments_are_put_in_order(
    line: str, fragments: tuple[tuple[int, int], ...], tmp_path: Path
) -> None:
    assert spans_of(written(tmp_path, "left hip", line)) == (Span(fragments, "X"),)


BROKEN_LINES = {
    "other text": ("T2\tDrug 0 5\tSECRET", "disagrees with the text at offsets 0 5"),
    "second fragment": ("T2\tDrug 0 5;6 9\ttarva hap", r"6 9 \(fragment 2 of 2\)"),
    "shifted": ("T2\tDrug 1 6\ttarva", "disagrees"),
    "column too short": ("T2\tDrug 0 9\ttarva", "disagrees"),
    "column too long": ("T2\tDrug 0 5\ttarva SECRET", "6 characters longer"),
    "past the end": ("T2\tDrug 6 99\thip", "outside a text of 10 characters"),
    "reversed": ("T2\tDrug 5 0\ttarva", "outside"),
    "no text column": ("T2\tDrug 0 5", "no BRAT annotation"),
    "no offsets": ("T2\tDrug\ttarva", "no BRAT annotation"),
    "negative": ("T2\tDrug -5 5\ttarva", "no BRAT annotation"),
    "spaces for tabs": ("T2 Drug 0 5 tarva", "no BRAT annotation"),
    "offset of 5,000 digits": (f"T2\tDrug 0 {'5' * 5000}\ttarva", "no BRAT annotation"),
    "relation on nothing": ("R1\tHas Arg1:T1 Arg2:T9", "an id that isn't there"),
    "attribute on nothing": ("A1\tNegated T9", "an id that isn't there"),
    "attribute on no id": ("A1\tNegated", "no BRAT annotation"),
    "unknown kind": ("X2\tDrug 0 5\ttarva", "no BRAT annotation"),
}


@pytest.mark.parametrize(("line", "message"), BROKEN_LINES.values(), ids=BROKEN_LINES)
def test_broken_line(line: str, message: str, tmp_path: Path) -> None:
    folder = written(tmp_path, "tarva hip\n", f"T1\tDrug 6 9\thip\n{line}\n")
    with pytest.raises(LongbioError, match=message) as caught:
        read(folder)

    assert f"{folder / 'note.ann'}, line 2: " in str(caught.value)
    assert caught.value.remedy
    # Neither the note nor the annotation may reach a log.
    for words in ("tarva", "SECRET", "hap"):
        assert words not in str(caught.value)


def test_an_id_of_two_mentions_is_refused_where_it_is_named(tmp_path: Path) -> None:
    twice = "T1\tDrug 0 5\ttarva\nT1\tDrug 6 9\thip\n"
    assert len(spans_of(written(tmp_path, "tarva hip", twice))) == 2
    with pytest.raises(LongbioError, match=r"line 3: .*stands for two mentions"):
        read(written(tmp_path, "tarva hip", twice + "A1\tNegated T1\n"))


@pytest.mark.parametrize("suffix", [".txt", ".ann"])
def test_not_utf8(suffix: str, tmp_path: Path) -> None:
    folder = written(tmp_path, "tarva", "T1\tDrug 0 5\ttarva\n")
    (folder / f"note{suffix}").write_bytes(b"tarva 5 \xb5g")
    with pytest.raises(LongbioError, match="byte 8 is not UTF-8") as caught:
        read(folder)

    assert str(folder / f"note{suffix}") in str(caught.value)
    # A chained UnicodeDecodeError would carry the whole note.
    assert caught.value.__context__ is None


def test_annotations_without_text(tmp_path: Path) -> None:
    folder = written(tmp_path, "tarva", "")
    (folder / "lost.ann").write_text("T1\tDrug 0 5\ttarva\n")
    with pytest.raises(LongbioError, match=r"without their text.*lost\.txt") as caught:
        read(folder)
    assert caught.value.where == folder / "lost.ann"


def test_an_id_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="is there twice"):
        write([Document("a", "one"), Document("a", "two")], tmp_path)


@pytest.mark.parametrize("label", ["", "two words", "tab\tbed", "line\n"])
def test_labels_that_are_not_one_word(label: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="not one word"):
        write([Document("a", "tarva", (Span.of(0, 5, label),))], tmp_path)


def test_a_span_that_ends_after_its_text(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="ends at 6 in a text of 5") as caught:
        write([Document("a", "tarva", (Span.of(0, 6, "Drug"),))], tmp_path)
    assert "tarva" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("a", "tarva", relations=(Relation("Has", DRUG, DRUG),)), "about 0 to 5, which is no span"),
        (Document("a", "tarva", attributes=(Attribute(DRUG, "Negated"),)), "about 0 to 5, which is no span"),
        (Document("a", "tarva", (DRUG,), relations=(Relation("a b", DRUG, DRUG),)), "not one word"),
        (Document("a", "tarva", (DRUG,), attributes=(Attribute(DRUG, "a b"),)), "not one word"),
        (Document("a", "tarva", (DRUG,), attributes=(Attribute(DRUG, "a", "b\nc"),)), "holds a line end"),
    ],
)
def test_relations_and_attributes_that_cannot_be_written(
    document: Document, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LongbioError, match=message) as caught:
        write([document], tmp_path)
    assert "tarva" not in str(caught.value)


def test_read_documents_prefers_annotations(tmp_path: Path) -> None:
    written(tmp_path, "tarva", "T1\tDrug 0 5\ttarva\n")
    (tmp_path / "bare.txt").write_bytes(b"a\r\nb")
    assert read_documents(tmp_path) == [
        Document("bare", "a\r\nb"),
        Document("note", "tarva", (Span.of(0, 5, "Drug"),)),
    ]
    assert read_documents(tmp_path / "note.txt") == [Document("note", "tarva")]


def test_read_documents_of_plain_text(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "passed over.csv"):
        (tmp_path / name).write_bytes(b"x\r\ny")
    assert read_documents(tmp_path) == [Document("a", "x\r\ny"), Document("b", "x\r\ny")]


@pytest.mark.parametrize("name", ["nowhere", "nowhere.txt", "empty", "notes.pdf"])
def test_nothing_to_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.pdf").write_text("tarva")
    with pytest.raises(LongbioError, match=r"no .*\.txt file|no such file or folder|the folder is empty"):
        read_documents(tmp_path / name, "text")


@pytest.mark.parametrize("present", [("train", "test"), ("train", "dev", "test")])
def test_splits(present: tuple[str, ...], tmp_path: Path) -> None:
    for split in present:
        write([Document("a", split)], tmp_path / split)
    splits = read_splits(tmp_path)
    assert splits == {split: [Document("a", split)] for split in present}
    assert tuple(splits) == present


def test_craft_is_read_whole(data_folder: Path) -> None:
    splits = read_splits(data_folder / "craft")
    counts = {split: len(documents) for split, documents in splits.items()}
    assert counts == {"train": 60, "dev": 7, "test": 30}

    spans = [span for documents in splits.values() for d in documents for span in d.spans]
    assert len(spans) > 90_000
    assert sum(not span.is_contiguous for span in spans) > 2_000


def test_craft_is_written_and_read_equal(data_folder: Path, tmp_path: Path) -> None:
    documents = read(data_folder / "craft" / "dev")
    write(documents, tmp_path)
    assert read(tmp_path) == documents
