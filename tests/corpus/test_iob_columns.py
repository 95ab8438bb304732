"""Files of words with tags: numbers before the words, ids of documents, and notes that only look so."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span


def written(folder: Path, text: str, name: str = "notes.txt") -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


def words_of(file: Path, reading: Reading | None = None) -> list[list[str]]:
    documents = read_documents(file, "iob", reading=reading)
    return [[document.text[a:b] for a, b in document.units] for document in documents]


@pytest.mark.parametrize("joint", ["\t", " "])
@pytest.mark.parametrize(
    ("numbers", "numbered"),
    [
        ("1 2 1 2 3", True),
        ("0 1 0 1 2", True),
        ("1 2 3 4 5", True),
        ("7 8 9 10 11", False),
        ("1 3 1 2 3", False),
        ("5 1 7 7 7", False),
        ("1 2 1 2 x", False),
    ],
)
def test_a_column_that_counts_the_words_is_none_of_them(
    numbers: str, numbered: bool, joint: str, tmp_path: Path
) -> None:
    words = ["no", "fever", "5", "mg", "daily"]
    first = numbers.split()
    lines = [
        joint.join((number, word, "NN", tag)) for number, word, tag in zip(first, words, "OOOOO", strict=True)
    ]
    file = written(tmp_path, "\n".join([*lines[:2], "", *lines[2:], ""]), "notes.conll")
    expected, reading = words if numbered else first, Reading()
    assert words_of(file, reading) == [expected[:2], expected[2:]]
    assert bool(reading.remarks) == numbered


def test_numbers_may_begin_again_with_each_document(tmp_path: Path) -> None:
    part = "1\tno\tO\n2\tfever\tB-X\n\n3\tnow\tO\n\n"
    file = written(tmp_path, f"-DOCSTART-\n\n{part}-DOCSTART-\n\n{part}")
    assert format_of(file) == "iob"
    assert [document.text for document in read_documents(file)] == ["no fever\nnow"] * 2


@pytest.mark.parametrize("text", ["1\tO\n2\tB-X\n", "1 O\n\n1 O\n2 B-X\n", "5 NN O\nmg NN O\n"])
def test_numbers_that_are_the_words_stay_words(text: str, tmp_path: Path) -> None:
    words = [line.split()[0] for line in text.splitlines() if line]
    assert [word for sentence in words_of(written(tmp_path, text)) for word in sentence] == words


@pytest.mark.parametrize(
    "note",
    [
        "Blood type O\nVitamin E\n",
        "Hepatitis B\nVitamin E\n",
        "Blood type O\n\nHepatitis B\n\nBlood type O\n",
        "CD20 B-cell\nTherapy I-131\n",
        "Lymphoma is B-cell\nVitamin E\n",
        "Type:\tO\nHepatitis:\tB\n",
        "Blood type\tO\nHepatitis virus\tB\nVitamin status\tE\n",
    ],
)
def test_lines_that_end_in_a_capital_letter_make_no_words_with_tags(note: str, tmp_path: Path) -> None:
    written(tmp_path, note)
    written(tmp_path, "No fever today.\n", "other.txt")
    assert format_of(tmp_path) == "text"
    assert [document.text for document in read_documents(tmp_path)] == [note, "No fever today.\n"]


@pytest.mark.parametrize("joint", ["\t", " ", " NN B-NP "])
@pytest.mark.parametrize("tags", ["OOOBIOOOO", "OOOOOOOOO"])
def test_tags_of_a_letter_alone_are_tags_where_they_go_on(joint: str, tags: str, tmp_path: Path) -> None:
    file = written(tmp_path, "".join(f"w{number}{joint}{tag}\n" for number, tag in enumerate(tags + "O")))
    assert format_of(file) == "iob"


def test_a_type_far_behind_is_seen(tmp_path: Path) -> None:
    file = written(tmp_path, "no O\nfever O\n" * 60 + "pain B-X\n")
    assert format_of(file) == "iob"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ids_of_medline_are_kept(end: str, tmp_path: Path) -> None:
    text = "###MEDLINE:95369245\n\nno O\n\nfever B-X\n\n###MEDLINE:94\n\npain B-X\n\n".replace("\n", end)
    one, two = read_documents(written(tmp_path, text))
    assert (one.id, one.text) == ("95369245", "no\nfever")
    assert two == Document("94", "pain", (Span.of(0, 4, "X"),), ((0, 4),))


@pytest.mark.parametrize("border", ["###MEDLINE:94", "-DOCSTART- (94)"])
def test_one_document_with_an_id_is_one(border: str, tmp_path: Path) -> None:
    text = f"{border}\n\nno O\n\nfever B-X\n"
    assert [(d.id, d.text) for d in read_documents(written(tmp_path, text))] == [("94", "no\nfever")]
