"""Fragments with nothing but white space between them are one mention, whoever wrote them."""

from __future__ import annotations

import codecs
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longbio.corpus.fragments import CUTS, cut_at_lines, join_fragments
from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Relation, Span
from longbio.corpus.writers import WRITERS, brat

DOCUMENT = Document(
    "note",
    "tarva\n\n5 mg and hip",
    (Span.of(0, 11, "Drug"), Span.of(16, 19, "Site")),
    relations=(Relation("Acts", Span.of(0, 11, "Drug"), Span.of(16, 19, "Site")),),
    attributes=(Attribute(Span.of(0, 11, "Drug"), "Status", "held"),),
)


def taken_by_brat(folder: Path, name: str) -> list[list[tuple[int, int]]]:
    """The fragments of each mention, as BRAT's server reads them: it refuses what fails here.

    Its rules: lines are those of Python's codecs; fragments end in the text, and don't overlap; the
    text column is theirs, untouched and joined with spaces.
    """
    text = (folder / f"{name}.txt").read_bytes().decode()
    found = []
    with (folder / f"{name}.ann").open("rb") as opened:
        for line in codecs.getreader("utf-8")(opened):
            mark, tail = line.split("\t", 1)
            assert mark[0] in "TRA"
            if mark[0] != "T":
                continue
            data, column = tail.split("\t", 1)
            fragments = [
                (int(start), int(end))
                for start, end in (pair.split(" ") for pair in data.split(" ", 1)[1].split(";"))
            ]
            assert all(0 <= start < end <= len(text) for start, end in fragments)
            assert all(a[1] <= b[0] for a, b in pairwise(fragments))
            assert column == " ".join(text[start:end] for start, end in fragments) + "\n"
            found.append(fragments)
    return found


def test_brat_writes_a_mention_over_a_line_end_as_two_fragments_and_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(DOCUMENT.text.encode())
    (tmp_path / "note.ann").write_text(
        "T1\tDrug 0 5;7 11\ttarva 5 mg\nT2\tSite 16 19\thip\nR1\tActs Arg1:T1 Arg2:T2\nA1\tStatus T1 held\n"
    )
    reading = Reading()
    assert read_documents(tmp_path, reading=reading) == [DOCUMENT]
    assert reading.alignment.faults == []


def test_a_mention_over_a_line_end_is_cut_there_and_comes_back(tmp_path: Path) -> None:
    brat.write([DOCUMENT], tmp_path)
    assert (tmp_path / "note.ann").read_text() == (
        "T1\tDrug 0 5;7 11\ttarva 5 mg\nT2\tSite 16 19\thip\nR1\tActs Arg1:T1 Arg2:T2\nA1\tStatus T1 held\n"
    )
    assert taken_by_brat(tmp_path, "note") == [[(0, 5), (7, 11)], [(16, 19)]]
    assert read_documents(tmp_path) == [DOCUMENT]


@pytest.mark.parametrize("cut", [*sorted(CUTS), "\r\n", " \n ", "\u00a0\u2028"])
def test_writing_cuts_wherever_brat_cuts(cut: str, tmp_path: Path) -> None:
    text = f"hip{cut}pain"
    document = Document("note", text, (Span.of(0, len(text), "Sign"),))
    brat.write([document], tmp_path)
    assert taken_by_brat(tmp_path, "note") == [[(0, 3), (3 + len(cut), len(text))]]
    assert read_documents(tmp_path) == [document]


def test_a_mention_cannot_begin_or_end_with_a_line_end_and_that_is_counted(tmp_path: Path) -> None:
    whole, blank = Span.of(3, 8, "Sign"), Span.of(3, 4, "Sign")
    document = Document(
        "note",
        "no\n\nhip\n",
        (blank, whole),
        relations=(Relation("Is", blank, whole), Relation("Is", whole, whole)),
        attributes=(Attribute(blank, "New"), Attribute(whole, "New")),
    )
    counted = Counter[str]()
    brat.write([document], tmp_path, counted)
    assert counted == {
        "mention written": 1,
        "mention without the line end at its border": 1,
        "mention of nothing but line ends left out": 1,
        "relation of it left out": 1,
        "attribute of it left out": 1,
    }
    left = Span.of(4, 7, "Sign")
    assert taken_by_brat(tmp_path, "note") == [[(4, 7)]]
    assert read_documents(tmp_path) == [
        Document("note", document.text, (left,), (), (Relation("Is", left, left),), (Attribute(left, "New"),))
    ]


def test_several_locations_of_bioc_are_one_mention_where_only_white_space_is_between(tmp_path: Path) -> None:
    WRITERS["bioc"]([Document("7", "left\n hip or knee", (Span(((0, 4), (6, 9)), "Site"),))], tmp_path)
    content = (tmp_path / "documents.xml").read_text()
    assert content.count("<location") == 2
    (document,) = read_documents(tmp_path)
    assert document.spans == (Span.of(0, 9, "Site"),)


PIECES = ["hip", "5", "é", " ", "\u00a0", "\t", "\n", "\r\n", "\x0b", "\x85", "\u2028", "\x1c", "\u200b"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12), st.data())
def test_brat_takes_what_is_written_and_it_comes_back(
    tmp_path: Path, pieces: list[str], data: st.DataObject
) -> None:
    text = "".join(pieces)
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    fragments = list(zip(places[::2], places[1::2], strict=False))
    span = Span(join_fragments(fragments, text), "Sign")
    counted = Counter[str]()
    brat.write([Document("note", text, (span,))], tmp_path, counted)
    written = taken_by_brat(tmp_path, "note")
    (document,) = read_documents(tmp_path)
    assert document.text == text
    if counted["mention written"]:
        (read,) = document.spans
        assert [read.fragments] == [join_fragments(fragments, text) for fragments in written]
        assert read.text_in(text).split() == span.text_in(text).split()
        assert counted["mention without the line end at its border"] == (read != span)
    else:
        assert (written, document.spans, span.text_in(text).strip()) == ([], (), "")


def test_cutting_and_joining_are_linear() -> None:
    text = "a" + " " * 200_000 + "b\n" * 50_000
    whole = ((0, len(text) - 1),)
    assert join_fragments(cut_at_lines(whole, text), text) == whole
