"""Words with tags: every scheme by one rule, and the same mentions as seqeval finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from longbio.corpus.readers import format_of, read_documents, stream_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.writers import conll
from longbio.encoders.loading import load_tokenizer
from longbio.encoders.token_windows import Tokens, tokenize
from longbio.errors import LongbioError
from longbio.tasks import tags
from tests.corpus_splits import read_splits


def written(folder: Path, text: str, name: str = "notes.tsv") -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


def tags_to_file(folder: Path, tags: list[str], joint: str = "\t") -> Path:
    return written(folder, "".join(f"w{n}{joint}{tag}\n" for n, tag in enumerate(tags)))


def tokenized(document: Document, tokenizer: Any) -> Tokens:
    tokens = tokenize(document.text, tokenizer)
    return tokens.with_words(document.units) if document.units else tokens


def mentions(file: Path) -> list[tuple[str, str]]:
    return [(span.text_in(d.text), span.label) for d in read_documents(file, "iob") for span in d.spans]


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ("B-X I-X O", [("w0 w1", "X")]),
        ("I-X I-X O I-Y", [("w0 w1", "X"), ("w3", "Y")]),
        ("I-X B-X I-X", [("w0", "X"), ("w1 w2", "X")]),
        ("S-X B-X E-X S-Y", [("w0", "X"), ("w1 w2", "X"), ("w3", "Y")]),
        ("U-X B-X L-X I-X", [("w0", "X"), ("w1 w2", "X"), ("w3", "X")]),
        ("B I O B", [("w0 w1", "Entity"), ("w3", "Entity")]),
        ("O O", []),
    ],
    ids=["IOB2", "IO, I without B", "IOB1", "BIOES", "BILOU", "letters alone", "none"],
)
def test_every_scheme_is_read(tags: str, wanted: list[tuple[str, str]], tmp_path: Path) -> None:
    assert mentions(tags_to_file(tmp_path, tags.split())) == wanted


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["O", *(f"{p}-{t}" for p in "BIES" for t in "XY")]), min_size=1, max_size=12))
def test_mentions_are_those_of_seqeval(tmp_path: Path, tags: list[str]) -> None:
    found = [
        (text.split()[0], text.split()[-1], kind) for text, kind in mentions(tags_to_file(tmp_path, tags))
    ]
    assert found == [(f"w{first}", f"w{last}", kind) for kind, first, last in get_entities(tags)]


@pytest.mark.parametrize("joint", ["\t", " ", " NN B-NP "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sentences_are_documents_and_mentions_end_with_them(joint: str, end: str, tmp_path: Path) -> None:
    lines = ["-DOCSTART-\tO", "", f"heart{joint}I-X", "", "", f"failure{joint}I-X", f".{joint}O"]
    file = written(tmp_path, "\ufeff" + end.join(lines))
    assert format_of(file) == "iob"
    assert read_documents(file) == [
        Document("notes-000001", "heart", (Span.of(0, 5, "X"),), ((0, 5),)),
        Document("notes-000002", "failure .", (Span.of(0, 7, "X"),), ((0, 7), (8, 9))),
    ]


@pytest.mark.parametrize("border", ["-DOCSTART- -X- O O", "###MEDLINE:123"])
def test_several_borders_make_documents_of_sentences(border: str, tmp_path: Path) -> None:
    one = f"{border}\n\nheart I-X\n\nfailure I-X\n. O\n\n"
    first, second = read_documents(written(tmp_path, one * 2))
    assert first.text == "heart\nfailure ."
    assert [span.text_in(first.text) for span in first.spans] == ["heart", "failure"]
    assert (second.text, second.spans) == (first.text, first.spans)


@pytest.mark.parametrize("line", ["heart", "heart\tX-Y", "heart\tB_X", "\tO"])
def test_lines_without_a_tag_are_named(line: str, tmp_path: Path) -> None:
    file = written(tmp_path, f"a\tO\n{line}\n")
    with pytest.raises(LongbioError, match="line 2: this line is no word with a tag") as caught:
        read_documents(file, "iob")
    assert "heart" not in str(caught.value)


@pytest.mark.parametrize("joint", ["\t", " ", " NN "])
def test_a_no_break_space_is_a_word(joint: str, tmp_path: Path) -> None:
    file = written(tmp_path, f"5{joint}B-X\n\u00a0{joint}I-X\nmg\u00a0x{joint}I-X\n")
    assert format_of(file) == "iob"
    (document,) = read_documents(file)
    assert (document.text, document.spans) == ("5 \u00a0 mg\u00a0x", (Span.of(0, 8, "X"),))
    assert document.units == ((0, 1), (2, 3), (4, 8))
    conll.write([document], tmp_path / "made")
    assert read_documents(tmp_path / "made")[0].units == document.units


def test_an_empty_column_behind_the_tag_is_none(tmp_path: Path) -> None:
    file = written(tmp_path, "no\tO\t\nfever\tB-X\t\t\n\n")
    assert format_of(file) == "iob"
    assert mentions(file) == [("fever", "X")]


def test_documents_are_given_before_the_rest_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, "a\tO\n\nb\tO\n\nSECRET\n")
    documents = stream_documents(file, "iob")
    assert [next(documents).text, next(documents).text] == ["a", "b"]
    with pytest.raises(LongbioError, match="line 5: this line is no word with a tag"):
        next(documents)
    borders = "-DOCSTART-\n\na\tO\n\n-DOCSTART-\n" + "b\tO\n" * 100_000
    file.write_bytes(borders.encode() + b"\xff")
    documents = stream_documents(file, "iob")
    assert next(documents).text == "a"
    with pytest.raises(LongbioError, match="not UTF-8"):
        next(documents)


@given(
    st.lists(st.sampled_from([b"a\tO", b"b\tB-X", b"-DOCSTART-", b"", b"\xff\tO"]) | st.binary(max_size=9))
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_documents_or_one_error(tmp_path: Path, lines: list[bytes]) -> None:
    file = tmp_path / "notes.tsv"
    file.write_bytes(b"\n".join(lines))
    refused, documents = None, []
    try:
        documents = read_documents(file, "iob")
    except LongbioError as error:
        refused = error
    assert refused is None or str(file) in str(refused)
    for document in documents:
        assert [document.text[a:b] for a, b in document.units] == document.text.split(
            " "
        ) or "\n" in document.text


def decoded(of_tokens: Any, tokens: Tokens, labels: tags.Labels) -> tuple[Span, ...]:
    words = tags.words_of(tokens)
    return tuple(span for span, _ in tags.decode(of_tokens[words.heads], words, labels))


def test_mentions_begin_and_end_where_the_words_do(minilm_folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(minilm_folder)
    (document,) = read_documents(written(tmp_path, "BRCA1-like\tB-Gene\n(p53)/x\tI-Gene\n.\tO\n"))
    labels = tags.Labels(("Gene",))
    for units, words in ((document.units, 3), ((), 11)):
        tokens = tokenized(Document("a", document.text, document.spans, units), tokenizer)
        tagged = tags.encode(document, tokens, labels)
        assert len(tags.words_of(tokens).heads) == words
        assert decoded(tagged.tags, tokens, labels) == document.spans
        # One word's tag is all of the word.
        alone = tagged.tags.copy()
        alone[tags.words_of(tokens).heads[1:]] = tags.OUTSIDE
        (first,) = decoded(alone, tokens, labels)
        assert first.text_in(document.text) == ("BRCA1-like" if units else "BRCA")


@pytest.mark.parametrize(
    ("name", "mentions"),
    [
        ("BC5CDR-chem", (5203, 5347, 5385)),
        ("BC5CDR-disease", (4182, 4246, 4424)),
        ("NCBI-disease", (5134, 787, 960)),
        ("BC2GM", (15197, 3061, 6325)),
        ("JNLPBA", (46750, 4551, 8662)),
    ],
)
def test_blurb_has_its_mentions_and_all_can_be_tagged(
    name: str, mentions: tuple[int, ...], data_folder: Path, minilm_folder: Path
) -> None:
    splits = read_splits(data_folder / "blurb" / name)
    found = tuple(sum(len(d.spans) for d in splits[split]) for split in ("train", "dev", "test"))
    assert found == mentions
    if name == "NCBI-disease":
        tokenizer, labels = load_tokenizer(minilm_folder), tags.Labels.of(splits["test"])
        for document in splits["test"]:
            tokens = tokenized(document, tokenizer)
            tagged = tags.encode(document, tokens, labels)
            assert tagged.lost == ()
            assert decoded(tagged.tags, tokens, labels) == document.spans
