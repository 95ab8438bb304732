"""Words with tags are written: what was read comes back, and what tags can't hold is counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import WRITERS
from longbio.corpus.writers.conll import write
from longbio.errors import LongbioError

TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]


def written(folder: Path, *documents: Document, counted: Counter[str] | None = None) -> Path:
    write(iter(documents), folder, counted)
    return folder / "documents.conll"


def test_the_file_has_a_border_before_each_document_and_at_its_end(tmp_path: Path) -> None:
    WRITERS["conll"]([Document("a b", "no fever\nnow", (Span.of(3, 8, "Sign"),))], tmp_path)
    assert (tmp_path / "documents.conll").read_text() == (
        "-DOCSTART- (a b)\tO\n\nno\tO\nfever\tB-Sign\n\nnow\tO\n\n-DOCSTART-\tO\n"
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from([*TAGS, ""]), max_size=9), min_size=1, max_size=3))
def test_what_was_read_comes_back(tmp_path: Path, parts: list[list[str]]) -> None:
    lines = [
        line
        for number, tags in enumerate(parts)
        for line in (
            f"-DOCSTART- (n{number})\tO",
            "",
            *(f"é{n}\t{tag}" if tag else "" for n, tag in enumerate(tags)),
            "",
        )
    ]
    source = tmp_path / "source.conll"
    source.write_text("\n".join([*lines, "-DOCSTART-\tO", ""]), "utf-8")
    documents = read_documents(source, "iob")
    assert [document.id for document in documents] == [f"n{number}" for number in range(len(parts))]
    counted = Counter[str]()
    file = written(tmp_path / "made", *documents, counted=counted)
    assert read_documents(file, "iob") == documents
    assert counted["mention widened to whole words"] == 0
    assert counted["mention written"] == sum(len(document.spans) for document in documents)


def test_blurb_comes_back(data_folder: Path, tmp_path: Path) -> None:
    documents = read_documents(data_folder / "blurb" / "NCBI-disease" / "dev.tsv")
    file = written(tmp_path, *documents)
    assert format_of(file) == "iob"
    assert read_documents(file) == documents


def test_words_are_what_stands_between_white_space_where_there_are_no_units(tmp_path: Path) -> None:
    (document,) = read_documents(
        written(tmp_path, Document("a", " no\tfever ,\r\n\r\nhips\u2028hurt")), "iob"
    )
    assert document.text == "no fever ,\nhips hurt"


def test_a_sentence_does_not_end_inside_a_mention(tmp_path: Path) -> None:
    text = "left\nhip hurts\nnow"
    (document,) = read_documents(written(tmp_path, Document("a", text, (Span.of(0, 8, "Site"),))), "iob")
    assert (document.text, document.spans) == ("left hip hurts\nnow", (Span.of(0, 8, "Site"),))


def test_what_tags_cannot_hold_is_counted(tmp_path: Path) -> None:
    text = "no high-grade fever today"
    spans = (
        Span.of(3, 7, "Degree"),  # "high" of "high-grade"
        Span.of(3, 19, "Sign"),  # as early and longer
        Span.of(14, 19, "Inner"),
        Span(((0, 2), (20, 25)), "Split"),
        Span.of(2, 3, "Gap"),
        Span.of(20, 25, "Time"),
    )
    counted = Counter[str]()
    (document,) = read_documents(written(tmp_path, Document("a", text, spans), counted=counted), "iob")
    assert document.text == "no high - grade fever today"
    assert document.spans == (Span.of(3, 21, "Sign"), Span.of(22, 27, "Time"))
    assert +counted == {
        "mention written": 2,
        "overlapping mention left out": 2,
        "discontinuous mention left out": 1,
        "wordless mention left out": 1,
    }
    counted.clear()
    (document,) = read_documents(written(tmp_path, Document("a", text, spans[:1]), counted=counted), "iob")
    assert document.spans == (Span.of(3, 7, "Degree"),)
    assert +counted == {"mention written": 1}
    counted.clear()
    within = Document("a", text, (Span.of(3, 5, "Degree"),))
    (document,) = read_documents(written(tmp_path, within, counted=counted), "iob")
    assert document.spans == (Span.of(3, 7, "Degree"),)
    assert counted == {"mention written": 1, "mention widened to whole words": 1}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (Document("a\tb", "x"), "id 'a\\\\tb' can't stand on a line"),
        (Document("", "x"), "id '' can't stand on a line"),
        (Document("a", "x", (Span.of(0, 1, "two words"),)), "label 'two words' is not one word"),
        (Document("a", "-DOCSTART- x", units=((0, 10), (11, 12))), "the word at 0 can't stand"),
        (Document("a", "x ###MEDLINE:7", units=((0, 1), (2, 14))), "the word at 2 can't stand"),
        (Document("a", "x\ty", units=((0, 3),)), "the word at 0 can't stand"),
        (Document("a", "x y", units=((0, 2),)), "the word at 0 can't stand"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(document: Document, words: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=words):
        written(tmp_path, document)
