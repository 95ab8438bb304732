"""Offsets in characters, bytes or UTF-16: found out over the file, said, and read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbio.corpus.counting import CHARACTERS, WIDTHS, Ruler, units_of
from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Span
from longbio.errors import LongbioError

Count = Callable[[str], int]
COUNTS: dict[str, Count] = {
    "characters": len,
    "bytes of UTF-8": lambda text: len(text.encode()),
    "units of UTF-16": lambda text: len(text.encode("utf-16-le")) // 2,
}
TITLE, ABSTRACT = "Naïve 🧬 to tarva.", "Tarva 5 µg 🙂 held – tarva broke."
each_unit = pytest.mark.parametrize("unit", COUNTS)


@each_unit
@given(st.text(alphabet="aé–🧬\ud800", max_size=20))
def test_a_ruler_is_how_long_the_beginnings_of_a_text_are(unit: str, text: str) -> None:
    def length(part: str) -> int:
        return {
            "characters": len(part),
            "bytes of UTF-8": len(part.encode("utf-8", "surrogatepass")),
            "units of UTF-16": len(part.encode("utf-16-le", "surrogatepass")) // 2,
        }[unit]

    ruler = Ruler(text, unit)
    starts = [length(text[:number]) for number in range(len(text) + 1)]
    assert [ruler.char(start) for start in starts] == list(range(len(text) + 1))
    between = set(range(starts[-1])) - set(starts)
    beyond = set() if unit == CHARACTERS else {starts[-1] + 1, 10**4000}
    assert {ruler.char(offset) for offset in between | beyond | {-1}} == {-1}


def test_units_differ_where_characters_do() -> None:
    assert tuple(WIDTHS) == tuple(COUNTS)
    assert [len(units_of(text)) for text in ("", "abc", "é", "🧬")] == [1, 1, 2, 3]


def places(text: str, word: str) -> list[int]:
    return [start for start in range(len(text)) if text.startswith(word, start)]


def told(reading: Reading, unit: str, where: Path, documents: int = 1) -> None:
    """Asserts that a user is told of documents whose unit isn't characters, and of nothing else."""
    assert reading.alignment.faults == []
    assert not reading.passed_over
    what = f"documents whose offsets count {unit}, and were read so"
    assert reading.remarks == ({} if unit == "characters" else {what: documents})
    assert all(place.startswith(str(where)) for place in reading.remarks.places.values())


@each_unit
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_brat(unit: str, mark: str, tmp_path: Path) -> None:
    count, text = COUNTS[unit], mark + ABSTRACT
    starts = places(text, "arva")
    lines = "".join(
        f"T{number}\tDrug {count(text[:start])} {count(text[: start + 4])}\tarva\n"
        for number, start in enumerate(starts)
    )
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "a.ann").write_bytes(lines.encode())
    reading = Reading()
    (document,) = read_documents(tmp_path, reading=reading)
    assert document == Document("a", text, tuple(Span.of(start, start + 4, "Drug") for start in starts))
    told(reading, unit, tmp_path / "a.ann")


@each_unit
def test_pubtator(unit: str, tmp_path: Path) -> None:
    count, text = COUNTS[unit], f"{TITLE}\n{ABSTRACT}"
    starts = places(text, "arva")
    lines = [f"7|t|{TITLE}", f"7|a|{ABSTRACT}"]
    lines += [f"7\t{count(text[:start])}\t{count(text[: start + 4])}\tarva\tDrug" for start in starts]
    file = tmp_path / "a.txt"
    file.write_bytes("\n".join(lines).encode())
    reading = Reading()
    (document,) = read_documents(file, reading=reading)
    assert document == Document("7", text, tuple(Span.of(start, start + 4, "Drug") for start in starts))
    told(reading, unit, file)


def bioc(count: Count, name: str, *, words: bool = True) -> dict[str, Any]:
    """A document of two passages, a line end between them; `words` says what its annotations are."""
    text = f"{TITLE}\n{ABSTRACT}"

    def annotations(first: int, end: int) -> list[dict[str, Any]]:
        return [
            {
                "id": str(start),
                "infons": {"type": "Drug"},
                "text": "arva" if words else "",
                "locations": [{"offset": count(text[:start]), "length": count("arva")}],
            }
            for start in places(text, "arva")
            if first <= start < end
        ]

    split = len(TITLE) + 1
    return {
        "id": name,
        "passages": [
            {"offset": 0, "text": TITLE, "annotations": annotations(0, split)},
            {"offset": count(text[:split]), "text": ABSTRACT, "annotations": annotations(split, len(text))},
        ],
    }


@each_unit
def test_bioc_is_found_out_over_the_file(unit: str, tmp_path: Path) -> None:
    file, count, text = tmp_path / "a.json", COUNTS[unit], f"{TITLE}\n{ABSTRACT}"
    # What the first says nothing of, the second does.
    documents = [bioc(count, "1", words=False), bioc(count, "2")]
    file.write_text(json.dumps({"documents": documents}))
    reading = Reading()
    spans = tuple(Span.of(start, start + 4, "Drug") for start in places(text, "arva"))
    assert read_documents(file, reading=reading) == [Document("1", text, spans), Document("2", text, spans)]
    told(reading, unit, file, documents=2)


@each_unit
def test_squad_is_found_out_over_the_file(unit: str, tmp_path: Path) -> None:
    file, count = tmp_path / "a.json", COUNTS[unit]
    (start,) = places(ABSTRACT, "tarva")
    answer = {"text": "tarva", "answer_start": count(ABSTRACT[:start])}
    qas = [{"id": "q", "question": "?", "answers": [answer]}]
    paragraphs = [{"context": "a tarva", "qas": []}, {"context": ABSTRACT, "qas": qas}]
    file.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}), "utf-8")
    reading = Reading()
    _, document = read_documents(file, reading=reading)
    assert [question.answers for question in document.questions] == [((start, start + 5),)]
    told(reading, unit, file)


def test_what_most_agree_on_is_taken_and_the_others_are_faults(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é b c d", "utf-8")
    (tmp_path / "a.ann").write_text("T1\tX 3 4\tb\nT2\tX 5 6\tc\nT3\tX 6 7\td\nT4\tX 0 2\té\n")
    reading = Reading()
    (document,) = read_documents(tmp_path, reading=reading, max_misaligned=0.5)
    assert [span.text_in(document.text) for span in document.spans] == ["é", "b", "c"]
    assert [where.rpartition(" ")[2] for _, where in reading.alignment.faults] == ["3"]
    with pytest.raises(LongbioError, match="1 of 4 mentions"):
        read_documents(tmp_path)


def test_offsets_that_agree_under_several_units_are_characters(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("b é", "utf-8")
    (tmp_path / "a.ann").write_text("T1\tX 0 1\tb\nA1\tSmall T1\n")
    reading = Reading()
    (document,) = read_documents(tmp_path, reading=reading)
    assert document.attributes == (Attribute(Span.of(0, 1, "X"), "Small"),)
    assert not reading.remarks


def test_many_mentions_of_a_long_text_are_read_at_once(tmp_path: Path) -> None:
    text = "é" * 200_000
    lines = "".join(f"T{n}\tX {2 * n} {2 * n + 2}\té\n" for n in range(100_000, 108_000))
    (tmp_path / "a.txt").write_text(text, "utf-8")
    (tmp_path / "a.ann").write_text(lines, "utf-8")
    began = time.process_time()
    (document,) = read_documents(tmp_path)
    assert document.spans[0] == Span.of(100_000, 100_001, "X")
    assert time.process_time() - began < 2
