"""PubTator: offsets over title, one separator and abstract; what isn't in the text is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.readers import format_of, read_documents, stream_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Span
from longbio.errors import LongbioError
from tests.corpus_splits import read_splits

TWO = """1|t|Tarva and hips.
1|a|Of Tarva, and | pain.
1\t0\t5\tTarva\tChemical\tD01
1\t19\t24\tTarva\tChemical\t
1\t32\t36\tpain\tDisease
1\t10\t14\thips\tDisease\tD2|D3\thip one|hip two
1\tCID\tD01\tD2

2|t|Alone
2|a|
"""


def written(folder: Path, text: str | bytes, name: str = "notes.txt") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_offsets_count_title_one_separator_and_abstract(tmp_path: Path) -> None:
    file = written(tmp_path, TWO)
    assert format_of(file) == format_of(tmp_path) == "pubtator"
    reading = Reading()
    one, two = read_documents(file, reading=reading)
    assert one == Document(
        "1",
        "Tarva and hips.\nOf Tarva, and | pain.",
        (
            Span.of(0, 5, "Chemical"),
            Span.of(10, 14, "Disease"),
            Span.of(19, 24, "Chemical"),
            Span.of(32, 36, "Disease"),
        ),
        attributes=(
            Attribute(Span.of(0, 5, "Chemical"), "identifier", "D01"),
            Attribute(Span.of(10, 14, "Disease"), "identifier", "D2|D3"),
        ),
    )
    assert (reading.alignment.mentions, reading.alignment.faults) == (4, [])
    assert reading.passed_over == {"relations between concepts": 1, "composite mentions": 1}
    assert reading.passed_over.places["composite mentions"] == f"{file}, line 6"
    assert reading.passed_over.places["relations between concepts"] == f"{file}, line 7"
    assert two == Document("2", "Alone\n")


def test_an_empty_id_leaves_five_fields_and_is_a_mention_still(tmp_path: Path) -> None:
    reading = Reading()
    (document,) = read_documents(
        written(tmp_path, "1|t|Tarva\n1|a|\n1\t0\t5\tTarva\tDrug\n"), reading=reading
    )
    assert document.spans == (Span.of(0, 5, "Drug"),)
    assert not reading.passed_over


@pytest.mark.parametrize("relation", ["1\tCID\tD01\tD2", "1\tAssociation\tD01\t6928\tNovel"])
def test_relations_of_four_and_five_fields_are_counted(relation: str, tmp_path: Path) -> None:
    reading = Reading()
    read_documents(written(tmp_path, f"1|t|Tarva\n1|a|\n{relation}\n"), reading=reading)
    assert reading.passed_over == {"relations between concepts": 1}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_byte_order_marks(end: str, tmp_path: Path) -> None:
    text = "\ufeff1|t|Tarva\n1|a|Hip\n1\t6\t9\tHip\tSite\tX".replace("\n", end)
    hip = Span.of(6, 9, "Site")
    expected = Document("1", "Tarva\nHip", (hip,), attributes=(Attribute(hip, "identifier", "X"),))
    assert read_documents(written(tmp_path, text)) == [expected]


def test_one_mention_may_have_two_concepts(tmp_path: Path) -> None:
    text = "1|t|Tarva\n1|a|\n1\t0\t5\tTarva\tDrug\tD2\n1\t0\t5\tTarva\tDrug\tD1\n"
    (document,) = read_documents(written(tmp_path, text))
    tarva = Span.of(0, 5, "Drug")
    assert document.spans == (tarva,)
    assert document.attributes == (
        Attribute(tarva, "identifier", "D1"),
        Attribute(tarva, "identifier", "D2"),
    )


def test_white_space_in_the_mention_is_not_compared(tmp_path: Path) -> None:
    file = written(tmp_path, "1|t|Tarva  hip\n1|a|\n1\t0\t10\tTarva hip \tDrug\n")
    assert read_documents(file)[0].spans == (Span.of(0, 10, "Drug"),)


def test_an_id_that_comes_again_is_another_document(tmp_path: Path) -> None:
    documents = read_documents(written(tmp_path, "7|t|One\n7|a|a\n\n7|t|Two\n7|a|b\n"))
    assert [(d.id, d.text) for d in documents] == [("7", "One\na"), ("7.2", "Two\nb")]


def test_documents_are_given_in_the_order_of_the_file_before_the_rest_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, b"8|t|One\n8|a|a\n\n7|t|Two\n7|a|b\n\n" + b"\n" * 100_000 + b"\xff")
    documents = stream_documents(file)
    assert next(documents) == Document("8", "One\na")
    with pytest.raises(LongbioError, match="not UTF-8"):
        next(documents)
    file.write_text("8|t|One\n8|a|a\n\n7|t|Two\n7|a|b\n")
    assert [document.id for document in read_documents(file)] == ["8", "7"]


def test_mentions_that_are_not_where_they_say_are_counted_and_refused_beyond_a_share(tmp_path: Path) -> None:
    good = "".join(f"1\t0\t5\tTarva\tKind{n}\n" for n in range(99))
    file = written(tmp_path, f"1|t|Tarva SECRET\n1|a|\n{good}1\t6\t12\tHidden\tDrug\n")
    reading = Reading()
    (document,) = read_documents(file, reading=reading)
    assert len(document.spans) == 99
    assert reading.alignment.mentions == 100
    assert reading.alignment.faults == [
        ("the mention disagrees with the text at offsets 6 12", f"{file}, line 102")
    ]
    with pytest.raises(LongbioError, match=r"line 102: .* at offsets 6 12; 1 of 100 mentions") as caught:
        read_documents(file, max_misaligned=0.005)
    assert "SECRET" not in str(caught.value)
    assert "Hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "1\t0\t5",
        "1\t0\t5\tTarva",
        f"1\t0\t{'5' * 5000}\tTarva\tDrug",
        "2\t0\t5\tTarva\tDrug",
        "nothing",
        "1|a|again",
        "2|a|without title",
        "1\t0\t5\tTarva\t\tD1",
    ],
)
def test_malformed_lines_are_named(line: str, tmp_path: Path) -> None:
    file = written(tmp_path, f"1|t|Tarva\n1|a|Hip\n{line}\n")
    with pytest.raises(LongbioError, match="line 3: this is no PubTator line"):
        read_documents(file)


@pytest.mark.parametrize(
    ("corpus", "documents", "mentions", "faults", "passed_over"),
    [
        (
            "bc5cdr_pubtator",
            [500, 500, 500],
            28_785,
            0,
            {"relations between concepts": 3_116, "composite mentions": 253},
        ),
        ("ncbi_disease_pubtator", [593, 100, 100], 6_892, 0, {}),
    ],
)
def test_public_corpora(
    corpus: str,
    documents: list[int],
    mentions: int,
    faults: int,
    passed_over: dict[str, int],
    data_folder: Path,
) -> None:
    splits = read_splits(data_folder / corpus)
    assert [len(splits[name]) for name in ("train", "dev", "test")] == documents
    reading = Reading()
    for name in ("train", "dev", "test"):
        read_documents(data_folder / corpus / f"{name}.txt", reading=reading)
    assert (reading.alignment.mentions, len(reading.alignment.faults)) == (mentions, faults)
    assert reading.passed_over == passed_over
