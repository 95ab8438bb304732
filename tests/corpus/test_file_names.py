"""Ids of any kind become file names under which all notes are read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbio.corpus.file_names import FileNames
from longbio.corpus.files import is_part, stem_of
from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat

ODD = [
    *("x" * 300, "é" * 150, "a/b", "a\\b", "../a", "..", ".", "", ".hidden", "-rf", " a", "a ", "a."),
    *("README", "readme", "README.1", "LICENSE-2", "Licence", "CHANGELOG", "copying", "README/7"),
    *("note", "Note", "NOTE", "note.2", "caf\u00e9", "cafe\u0301", "STRASSE", "stra\u00dfe"),
    *("a.txt", "a.ann", "a.txt.gz", "a.gz", "a.zst", "con", "NUL.1", "a\0", "a\nb", "b\udce9", "~", "#"),
]


def test_every_note_is_read_back_whatever_its_id(tmp_path: Path) -> None:
    documents = [Document(name, f"fever {n}", (Span.of(0, 5, "Sign"),)) for n, name in enumerate(ODD)]
    brat.write(documents, tmp_path)
    reading = Reading()
    read = read_documents(tmp_path, reading=reading)
    assert {document.text: document.id for document in read} == {
        document.text: document.id.replace("\udce9", "?") for document in documents
    }
    assert all(document.spans == documents[0].spans for document in read)
    assert not reading.passed_over

    lines = (tmp_path / "names.jsonl").read_text("utf-8").splitlines()
    assert not {"note", "caf\u00e9", "a.txt"} & {row["id"] for row in map(json.loads, lines)}


def test_plain_ids_need_no_list_of_names(tmp_path: Path) -> None:
    brat.write([Document("a", "x"), Document("b", "y")], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.ann", "a.txt", "b.ann", "b.txt"]


@given(st.lists(st.text(max_size=6) | st.sampled_from(ODD)))
def test_names_are_parts_of_a_corpus_and_short(ids: list[str]) -> None:
    names = FileNames()
    made = [names.of(each) for each in ids]
    assert len({name.casefold() for name in made}) == len(ids)
    for name in made:
        file = Path(f"{name}.txt")
        assert is_part(file)
        assert stem_of(file) == name
        assert len(f".{name}.html.partial".encode()) < 255


@pytest.mark.parametrize("name", ["note", "7", "a b", "2011-03_x", "récit"])
def test_a_plain_id_is_its_own_name(name: str) -> None:
    assert FileNames().of(name) == name
