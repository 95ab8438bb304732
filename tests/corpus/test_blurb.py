"""BLURB's tables, told apart by their columns, and PubMedQA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longbio.corpus.readers import format_of, read_documents, split_of
from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError
from tests.corpus_splits import read_splits

SENTENCE = 'The "@GENE$ gene in @DISEASE$ ,'
CHEMPROT = [
    ["1.T1.T2", SENTENCE, "CPR:3"],
    ["1.T1.T3", " @CHEM-GENE$ .", "false"],
]
PUBMEDQA = {"7": {"QUESTION": "Does it?", "CONTEXTS": ["It ", " may."], "final_decision": "maybe"}}


def written(folder: Path, *rows: list[str], name: str = "train.tsv", end: str = "\n") -> Path:
    file = folder / name
    file.write_bytes("".join("\t".join(row) + end for row in rows).encode())
    return file


@pytest.mark.parametrize("header", [[], [["index", "sentence", "label"]]])
def test_relations_are_classes_of_sentences_with_or_without_a_header(
    header: list[list[str]], tmp_path: Path
) -> None:
    file = written(tmp_path, *header, *CHEMPROT)
    assert format_of(file) == format_of(tmp_path) == "blurb"
    assert read_documents(file) == [
        Document("1.T1.T2", SENTENCE, labels=("CPR:3",)),
        Document("1.T1.T3", " @CHEM-GENE$ .", labels=("false",)),
    ]


@pytest.mark.parametrize("label", ["DDI-false", "DDI-mechanism", "0", "1"])
def test_labels_of_ddi_and_gad(label: str, tmp_path: Path) -> None:
    file = written(tmp_path, ["DDI-1.s0.p0", "@DRUG$ with @DRUG$", label])
    assert read_documents(file) == [Document("DDI-1.s0.p0", "@DRUG$ with @DRUG$", labels=(label,))]


@pytest.mark.parametrize("header", [[], [["index", "sentence1", "sentence2", "score"]]])
def test_biosses_pairs_have_a_score(header: list[list[str]], tmp_path: Path) -> None:
    file = written(tmp_path, *header, ["24", "One.", "Other.", "1.8"])
    assert read_documents(file) == [Document("24", "Other.", query="One.", score=1.8)]


@pytest.mark.parametrize("header", [[], [["id", "question", "snippets", "label"]]])
def test_quotes_of_bioasq_are_plain_characters(header: list[list[str]], tmp_path: Path) -> None:
    file = written(
        tmp_path, *header, ["55b", '"Is it?', 'It is "not" so', "no"], ["55c", "Is it?", '"', "yes"]
    )
    assert read_documents(file) == [
        Document("55b", 'It is "not" so', query='"Is it?', labels=("no",)),
        Document("55c", '"', query="Is it?", labels=("yes",)),
    ]


@pytest.mark.parametrize("header", [[], [["labels", "sentence", "index"]]])
def test_sentences_of_hoc_become_abstracts_and_their_labels_are_joined(
    header: list[list[str]], tmp_path: Path
) -> None:
    def flags(*on: int) -> str:
        return ",".join(f"{n}_{int(n in on)}" for n in range(10))

    file = written(
        tmp_path,
        *header,
        [flags(9), "b", "8_s1"],
        [flags(), "j", "7_s10"],
        [flags(2, 9), "a", "8_s0"],
        [flags(), "c", "7_s2"],
    )
    assert format_of(file) == "blurb"
    assert read_documents(file) == [Document("8", "a b", labels=("2", "9")), Document("7", "c j", labels=())]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["SECRET", "SECRET"]], "line 1: this is neither a header nor a row"),
        ([*CHEMPROT, ["x", "SECRET"]], "line 3: there are 2 cells"),
        ([*CHEMPROT, ["", "SECRET", "0"]], "line 3: there are 3 cells, the first empty"),
        ([*CHEMPROT, ["x", "SECRET", ""]], "line 3: the row has no label"),
        (
            [["index", "sentence1", "sentence2", "score"], ["1", "a", "b", "SECRET"]],
            "line 2: the score is no",
        ),
        ([["labels", "sentence", "index"], ["0_1", "SECRET", "7"]], "line 2: this is no row of labels"),
        ([["labels", "sentence", "index"], ["0_2", "SECRET", "7_s0"]], "line 2: this is no row of labels"),
    ],
)
def test_rows_unlike_the_first_are_named(rows: list[list[str]], words: str, tmp_path: Path) -> None:
    file = written(tmp_path, *rows)
    with pytest.raises(LongbioError, match=words) as caught:
        read_documents(file, "blurb")
    assert str(caught.value).startswith(str(file))
    assert "SECRET" not in str(caught.value)


def test_words_with_tags_are_not_taken_for_sentences(tmp_path: Path) -> None:
    file = written(tmp_path, ["trial", "I-INT"], ["of", "O"], ["adults", "I-PAR"], ["pain", "I-OUT"])
    assert format_of(file) == "iob"
    (document,) = read_documents(file)
    assert document.spans == (Span.of(0, 5, "INT"), Span.of(9, 15, "PAR"), Span.of(16, 20, "OUT"))
    assert format_of(written(tmp_path, ["text", "label"], ["pain", "O"])) == "table"


def test_a_table_of_ones_own_is_no_table_of_blurbs(tmp_path: Path) -> None:
    rows = [["patient_id", "sentence", "label"], ["7", '"said ""ok"", left"', "1"]]
    file = written(tmp_path, *rows)
    assert format_of(file) == "table"
    (document,) = read_documents(file)
    assert (document.text, document.labels, document.group) == ('said "ok", left', ("1",), "7")


@pytest.mark.parametrize(
    "row", [["a", "Patient is well", "1"], ["a", "well", "false"], ["x", "well", "better", "2"]]
)
def test_other_rows_without_a_header_are_none_of_blurbs(row: list[str], tmp_path: Path) -> None:
    file = written(tmp_path, row, row)
    assert format_of(file) == "table"
    with pytest.raises(LongbioError, match="no column 'text'; its first line names"):
        read_documents(file)


def pubmedqa(folder: Path, content: Any = PUBMEDQA) -> Path:
    file = folder / "test_set.json"
    file.write_text(json.dumps(content))
    return file


def test_pubmedqa_joins_contexts_with_a_line_feed(tmp_path: Path) -> None:
    file = pubmedqa(tmp_path)
    assert format_of(file) == "pubmedqa"
    assert read_documents(file) == [Document("7", "It \n may.", query="Does it?", labels=("maybe",))]
    undecided = {"7": {"QUESTION": "Does it?", "CONTEXTS": []}}
    assert read_documents(pubmedqa(tmp_path, undecided)) == [Document("7", "", query="Does it?")]


@pytest.mark.parametrize(
    ("abstract", "words"),
    [
        ("SECRET", "abstract 1: this is no object"),
        ({"QUESTION": "SECRET"}, "there is no 'CONTEXTS'"),
        ({"QUESTION": "SECRET", "CONTEXTS": [5]}, "'CONTEXTS' is no list of texts"),
        ({"QUESTION": 5, "CONTEXTS": ["SECRET"]}, "'QUESTION' is no text"),
        ({"QUESTION": "", "CONTEXTS": [], "final_decision": 1}, "'final_decision' is no text"),
    ],
)
def test_malformed_pubmedqa_is_named(abstract: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=words) as caught:
        read_documents(pubmedqa(tmp_path, {"SECRET": abstract}), "pubmedqa")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        # GAD's dev is drawn from the published train here, so its sizes are a few off BLURB's 4261/535/534.
        ("GAD", (4263, 533, 534)),
        ("HoC", (1295, 186, 371)),
        ("BIOSSES", (64, 16, 20)),
        ("pubmedqa", (450, 50, 500)),
    ],
)
def test_blurb_has_its_sizes(name: str, sizes: tuple[int, ...], data_folder: Path) -> None:
    splits = read_splits(data_folder / "blurb" / name)
    assert tuple(len(splits[split]) for split in ("train", "dev", "test")) == sizes
    documents = [document for documents in splits.values() for document in documents]
    labels = {label for document in documents for label in document.labels or ()}
    assert (
        labels
        == {
            "GAD": {"0", "1"},
            "HoC": {str(number) for number in range(10)},
            "BIOSSES": set(),
            "pubmedqa": {"yes", "no", "maybe"},
        }[name]
    )
    assert all((document.query is not None) == (name in ("BIOSSES", "pubmedqa")) for document in documents)
    assert all((document.score is not None) == (name == "BIOSSES") for document in documents)


def test_splits_of_pubmedqa_lie_in_two_folders(data_folder: Path) -> None:
    folder = data_folder / "blurb" / "pubmedqa"
    assert split_of(folder, "train") == folder / "pqal_fold0" / "train_set.json"
    assert split_of(folder, "test") == folder / "test_set.json"
