"""Token classifiers that weren't made here, tagged in any scheme: the right mentions come out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForTokenClassification, BertTokenizer

from longbio.cli import main
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.corpus.tag_schemes import scheme_of
from longbio.errors import LongbioError
from longbio.finetuning.evaluate import evaluate, model_of, task_for

BILOU = ["B-Drug", "I-Drug", "L-Drug", "U-Drug"]
BIOES = ["E-Drug", "S-Drug", "B-Drug", "I-Drug"]


def tagger(folder: Path, said: list[tuple[str, str]], names: list[str]) -> str:
    """A tagger that gives each of some words, all different, the tag that is written beside it.

    Returns:
        The words as a text.
    """
    words = [word for word, _ in said]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})
    size = 32
    assert len(pieces) <= size
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=size, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=32, id2label=dict(enumerate(names)),
        architectures=["BertForTokenClassification"],
    )  # fmt: skip
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "LayerNorm.weight" not in name:
                weight.zero_()
        # Each piece has a direction of its own, and the head knows what it is called.
        model.bert.embeddings.word_embeddings.weight.copy_(torch.eye(size)[: len(pieces)])
        for number, piece in enumerate(pieces):
            tag = dict(said).get(piece, "O")
            model.classifier.weight[names.index(tag), number] = 2.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).tokenize(" ".join(words)) == words
    return " ".join(words)


CASES = {
    "BILOU": (["O", *BILOU], "B-Drug L-Drug U-Drug B-Drug I-Drug L-Drug O U-Drug", ["ab", "c", "def", "h"]),
    "BIOES": (["O", *BIOES], "S-Drug S-Drug B-Drug E-Drug B-Drug E-Drug O O", ["a", "b", "cd", "ef"]),
    "IOB2": (["O", "B-Drug", "I-Drug"], "B-Drug I-Drug B-Drug O O B-Drug O O", ["ab", "c", "f"]),
    "IOB1": (["O", "B-Drug", "I-Drug"], "I-Drug I-Drug B-Drug O O I-Drug O O", ["ab", "c", "f"]),
    "IOB1 without a B": (["I-Drug", "O"], "I-Drug I-Drug O O I-Drug O O I-Drug", ["ab", "e", "h"]),
    "IO": (["O", "Drug"], "Drug Drug O O Drug O O Drug", ["ab", "e", "h"]),
    "underscores": (["O", "B_Drug", "I_Drug"], "B_Drug I_Drug B_Drug O O O O O", ["ab", "c"]),
    "types first": (["O", "Drug-B", "Drug-I"], "Drug-B Drug-I Drug-B O O O O O", ["ab", "c"]),
    "no words": (["X", "O", "B-Drug", "[CLS]"], "X B-Drug X X B-Drug O [CLS] O", ["b", "e"]),
}  # fmt: skip


@pytest.mark.parametrize(("names", "tags", "expected"), CASES.values(), ids=CASES)
def test_mentions_are_those_that_the_scheme_says(
    names: list[str], tags: str, expected: list[str], tmp_path: Path
) -> None:
    words = "abcdefgh"
    text = tagger(tmp_path / "theirs", list(zip(words, tags.split(), strict=True)), names)
    task = task_for(tmp_path / "theirs", "ner")
    assert task.types == ("Drug",)
    spaced = [" ".join(each) for each in expected]
    spans = [Span.of(text.index(each), text.index(each) + len(each), "Drug") for each in spaced]
    gold = [Document("a", text, tuple(spans))]
    report = evaluate(model_of(tmp_path / "theirs", task), gold, tmp_path / "scores")
    (found,) = read_documents(tmp_path / "scores" / "documents.jsonl")
    assert [text[span.start_char : span.end_char] for span in found.spans] == spaced
    assert report["scores"]["main"] == 1.0
    details = json.loads((tmp_path / "scores" / "details.jsonl").read_text())
    assert all(0.5 < probability <= 1 for probability in details["probabilities"])


def test_predict_reads_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list(zip("abcd", ["B-Drug", "L-Drug", "U-Drug", "O"], strict=True))
    (tmp_path / "note.txt").write_text(tagger(tmp_path / "theirs", said, ["O", *BILOU]))
    arguments = [
        "predict",
        str(tmp_path / "theirs"),
        str(tmp_path / "note.txt"),
        "--out",
        str(tmp_path / "out"),
    ]
    monkeypatch.setattr(sys, "argv", ["longbio", *arguments, "--format", "brat"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    lines = (tmp_path / "out" / "note.ann").read_text().splitlines()
    assert [line.split("\t")[1:] for line in lines] == [["Drug 0 3", "a b"], ["Drug 4 5", "c"]]


def test_each_class_is_as_likely_as_those_it_is_made_of(tmp_path: Path) -> None:
    from longbio.prediction.predictor import load_for

    tagger(tmp_path, [("a", "B-Drug"), ("b", "U-Drug")], ["O", *BILOU])
    task = task_for(tmp_path)
    ids = torch.tensor([[2, 5, 6, 3]])
    with torch.no_grad():
        theirs = BertForTokenClassification.from_pretrained(tmp_path)(ids).logits.softmax(-1)
        ours = load_for(task, tmp_path)(ids).logits.softmax(-1)
    torch.testing.assert_close(ours[..., 0], theirs[..., 0])
    torch.testing.assert_close(ours[..., 1], theirs[..., 1] + theirs[..., 4])
    torch.testing.assert_close(ours[..., 2], theirs[..., 2] + theirs[..., 3])


@pytest.mark.parametrize(
    "names",
    [
        ["B-Drug", "I-Drug"],
        ["O"],
        ["O", "B-Drug", "Sign"],
        ["O", "Drug-B", "Sign"],
        ["LABEL_0", "LABEL_1"],
        [],
    ],
)
def test_tags_of_no_scheme_are_none(names: list[str]) -> None:
    assert scheme_of(names) is None


def test_tags_of_no_scheme_are_refused_in_a_line(tmp_path: Path) -> None:
    tagger(tmp_path, [("a", "B-Drug")], ["O", "B-Drug", "Sign"])
    with pytest.raises(LongbioError, match="its tags are of no scheme that is known") as refused:
        task_for(tmp_path)
    assert len(str(refused.value).replace(str(tmp_path), "")) < 300


def test_a_type_that_has_no_begin_is_read_as_iob1() -> None:
    # CoNLL 2003 in IOB1: no two persons stand side by side in it.
    scheme = scheme_of(["O", "I-PER", "I-ORG", "B-ORG"])
    assert scheme is not None
    assert scheme.types == ("PER", "ORG")
    assert not scheme.says_where_mentions_begin
    assert scheme.classes_of("B-PER") == []
