"""Lines and files of BRAT that say less or more than a record holds: counted, and not fatal."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.corpus.writers import WRITERS
from longbio.errors import LongbioError

DRUG, DOSE = Span.of(0, 5, "Drug"), Span.of(6, 10, "Dose")


def written(folder: Path, text: str, annotations: str) -> Path:
    (folder / "note.txt").write_bytes(text.encode())
    (folder / "note.ann").write_bytes(annotations.encode())
    return folder


def test_what_is_said_of_an_event_is_said_of_its_trigger(tmp_path: Path) -> None:
    lines = (
        "T1\tDrug 0 5\ttarva\nT2\tDose 6 10\t5 mg\nE1\tDrug:T1\nE2\tDose:T2\nR1\tHas Arg1:E1 Arg2:T2\n"
        "R2\tIs Arg1:E2 Arg2:E1\nA1\tNegated E1\nA2\tStatus E2 held\n"
    )
    reading = Reading()
    (document,) = read_documents(written(tmp_path, "tarva 5 mg", lines), reading=reading)
    assert document.relations == (Relation("Has", DRUG, DOSE), Relation("Is", DOSE, DRUG))
    assert document.attributes == (Attribute(DRUG, "Negated"), Attribute(DOSE, "Status", "held"))
    assert not reading.passed_over


def test_an_event_whose_trigger_is_not_there_is_an_error_where_it_is_named(tmp_path: Path) -> None:
    lines = "T1\tDrug 0 5\ttarva\nE1\tDrug:T9\nA1\tNegated E1\n"
    with pytest.raises(LongbioError, match=r"line 3: this is about an id that isn't there"):
        read_documents(written(tmp_path, "tarva 5 mg", lines))


@pytest.mark.parametrize("column", ["left hip", " left  hip\t", "left\u00a0hip", "lefthip"])
def test_white_space_in_the_text_column_is_not_compared(column: str, tmp_path: Path) -> None:
    folder = written(tmp_path, "left\n hip and knee", f"T1\tSite 0 9\t{column}\nT2\tSite 0 4;6 9\t{column}\n")
    (document,) = read_documents(folder)
    assert document.spans == (Span.of(0, 9, "Site"),)


def test_lines_that_the_records_have_no_place_for_are_counted_and_not_fatal(tmp_path: Path) -> None:
    lines = (
        "T1\tDrug 0 5\ttarva\nT2\tDrug 5 5\t\nT3\tDrug 5 5;6 6\tx\nR1\tHas Arg1:T1 Arg2:T1 Arg3:T1\n"
        "R2\tHas Arg1:T1\nA1\tNegated T2\nR3\tHas Arg1:T1 Arg2:T3\n"
    )
    reading = Reading()
    (document,) = read_documents(written(tmp_path, "tarva 5 mg", lines), reading=reading)
    assert document == Document("note", "tarva 5 mg", (DRUG,))
    counts = {
        "mentions that cover no character": 2,
        "relations of other than two mentions": 2,
        "relations of what was not read": 1,
        "attributes of what was not read": 1,
    }
    assert reading.passed_over == counts
    lines_of = [where.rpartition(" ")[2] for where in reading.passed_over.places.values()]
    assert lines_of == ["2", "4", "7", "6"]
    assert reading.alignment.mentions == 1


def test_a_note_without_annotations_beside_annotated_ones_is_counted(tmp_path: Path) -> None:
    folder = written(tmp_path, "tarva", "T1\tDrug 0 5\ttarva\n")
    for name in ("bare", "zero"):
        (folder / f"{name}.txt").write_text("tarva")
    reading = Reading()
    assert len(read_documents(folder, reading=reading)) == 3
    assert reading.passed_over.lines() == [
        f"2 notes without an .ann file beside them (the first: {folder / 'bare.txt'})"
    ]


ODD_IDS = ["", ".", "..", "a/b", "a\\b", "../a", "a\0", "x" * 300, "é" * 150, "README", "readme 2"]


@pytest.mark.parametrize("name", ODD_IDS)
def test_ids_that_are_no_file_names_are_written_and_read_back(name: str, tmp_path: Path) -> None:
    documents = [Document(name, "tarva", (DRUG,)), Document("plain", "hip")]
    WRITERS["brat"](documents, tmp_path / "out")
    reading = Reading()
    assert {each.id: each for each in read_documents(tmp_path / "out", reading=reading)} == {
        each.id: each for each in documents
    }
    assert not reading.passed_over
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_ids_that_differ_in_case_alone_are_two_files(tmp_path: Path) -> None:
    documents = [Document("a", "tarva"), Document("A", "hip")]
    WRITERS["brat"](documents, tmp_path)
    assert sorted(read_documents(tmp_path), key=lambda each: each.text) == [documents[1], documents[0]]


def test_a_broken_table_of_names_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path, "tarva", "")
    (folder / "names.jsonl").write_text('{"id": "SECRET", "file": "note"}\n{"file": "note"}\n')
    with pytest.raises(LongbioError, match=r"names\.jsonl, line 2: there is no 'id'"):
        read_documents(folder)
