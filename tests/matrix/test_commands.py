"""Every family, short and long, with its own kind of tokenizer, through every command and task.

Not whether they learn anything, which tiny models of random weights can't, but whether each
combination goes through and hands on what the one before it left.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from transformers import AutoTokenizer

from longbio.artifacts.checkpoints import read_weights
from longbio.cli import main
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.sources import REFUSED
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Question, Relation, Span
from longbio.corpus.writers import jsonl
from longbio.encoders.families import FAMILIES
from longbio.encoders.loading import TASKS, load, load_tokenizer, quiet

# Trained by conftest.py's tokenizers, these are cut into pieces of every kind.
SENTENCES = (
    "Mrs. Böhm, 74 y/o, was started on Warfarin (5mg) for atrial fibrillation.",
    "On day 3 she developed severe nausea and a maculopapular rash; warfarin was stopped.",
    "Metoprolol 47.5 mg daily was continued, naïve to beta-blockers; no café-au-lait spots.",
)
MENTIONS = (
    ("Warfarin", "Drug"),
    ("nausea", "Event"),
    ("maculopapular rash", "Event"),
    ("Metoprolol", "Drug"),
)

KINDS: dict[str, dict[str, Any]] = {
    "ner": {"kind": "ner", "sample_tokens": 100},
    "qa": {"kind": "qa"},
    "classification": {"kind": "classification"},
    "pairs": {"kind": "classification"},
    "relations": {"kind": "relations"},
    "similarity": {"kind": "similarity"},
}
SOURCES = (
    "bert-uncased",
    "bert-cased",
    "electra-uncased",
    "distilbert-cased",
    "roberta-bytes",
    "xlm-roberta-unigram",
    "camembert-unigram",
)
ARMS = ("short", "longformer", "bigbird")

TASK_CELLS = [
    (source, ARMS[(number + place) % len(ARMS)], kind)
    for number, source in enumerate(SOURCES)
    for place, kind in enumerate(KINDS)
]
"""Every source with every task, and each of these in every arm with some source: a Latin square, for
all of them would take minutes."""

COMMAND_CELLS = [
    (source, arm) for number, source in enumerate(SOURCES) for arm in (ARMS[number % 2], "bigbird")
]

OF_PAIRS = ("pairs", "similarity")


CheckpointOf = Callable[[str, str], Any]


def run(*arguments: str | Path) -> None:
    """A command; it has to succeed."""
    assert exit_code(*arguments) == 0


def exit_code(*arguments: str | Path) -> Any:
    """What a command ends with."""
    given, sys.argv = sys.argv, ["longbio", *map(str, arguments)]
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    finally:
        sys.argv = given
    return 0


def note(number: int) -> Document:
    """With mentions, a relation, a question and a class."""
    text = f"Note {number}.\n" + "\n".join(SENTENCES)
    spans = [Span.of(text.index(words), text.index(words) + len(words), kind) for words, kind in MENTIONS]
    relation = Relation("causes", spans[0], spans[1 + number % 2])
    start = text.index("warfarin")
    asked = Question(f"q{number}", "Which drug was stopped?", ((start, start + len("warfarin")),))
    label = "bleeding" if number % 2 else "rash"
    return Document(
        f"n{number}", text, tuple(spans), relations=(relation,), questions=(asked,), labels=(label,)
    )


def pair(number: int) -> Document:
    """With a class and a score."""
    label = "same" if number % 2 else "other"
    return Document(
        f"p{number}",
        "\n".join(SENTENCES),
        query=SENTENCES[number % 3][:20],
        labels=(label,),
        score=float(number),
    )


def what_is_said(document: Document) -> Any:
    """What a model has given of a document."""
    answers = [(question.id, question.answers) for question in document.questions]
    return document.id, document.spans, document.relations, document.labels, document.score, answers


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`notes` and `pairs`, with train, dev and test."""
    folder = tmp_path_factory.mktemp("data")
    for name, make in (("notes", note), ("pairs", pair)):
        for split, numbers in (("train", range(2)), ("dev", range(2, 4)), ("test", range(4, 6))):
            jsonl.write(map(make, numbers), folder / name / split)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts without labels, each of another patient, and none a near-duplicate of another."""
    file, words = tmp_path_factory.mktemp("corpus") / "notes.jsonl", " ".join(SENTENCES).split()
    texts = [" ".join(random.Random(number).choices(words, k=60)) for number in range(12)]
    lines = [json.dumps({"text": text, "patient": number}) for number, text in enumerate(texts)]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(("source", "arm", "kind"), TASK_CELLS, ids=map("-".join, TASK_CELLS))
def test_a_task_is_learned_evaluated_and_predicted(
    source: str, arm: str, kind: str, checkpoint_of: CheckpointOf, data: Path, tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(source, arm)
    documents, model = (
        data / ("pairs" if kind in OF_PAIRS else "notes"),
        tmp_path / "run" / "seed-0" / "model",
    )
    settings = {
        "task": KINDS[kind],
        "model": str(checkpoint.folder),
        "out": str(tmp_path / "run"),
        "data": {"path": str(documents)},
        "recipe": {"learning_rate": 1e-3, "batch": 2, "max_steps": 2},
        "seeds": [0],
    }
    (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(settings))
    run("finetune", tmp_path / "finetune.yaml")
    tested = json.loads((tmp_path / "run" / "seed-0" / "test" / "scores.json").read_text())

    run("evaluate", model, documents / "test", "--out", tmp_path / "scores")
    again = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert again["scores"] == tested["scores"]

    run("predict", model, documents / "test", "--out", tmp_path / "out")
    wanted = read_documents(documents / "test")
    found = read_documents(tmp_path / "scores" / "documents.jsonl")
    assert [(each.id, each.text) for each in found] == [(each.id, each.text) for each in wanted]
    assert [*map(what_is_said, read_documents(tmp_path / "out" / "predictions.jsonl"))] == [
        *map(what_is_said, found)
    ]

    head = {"pairs": "classification", "relations": "classification", "similarity": "classification"}.get(
        kind, kind
    )
    with quiet():
        _, loaded = TASKS[head].from_pretrained(model, output_loading_info=True)
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]


@pytest.mark.parametrize(("source", "arm"), COMMAND_CELLS, ids=map("-".join, COMMAND_CELLS))
def test_two_steps_of_pretraining(
    source: str, arm: str, checkpoint_of: CheckpointOf, corpus: Path, tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(source, arm)
    settings = {
        "model": str(checkpoint.folder),
        "out": str(tmp_path / "run"),
        "cache": str(tmp_path / "cache"),
        "corpora": {"notes": {"paths": [str(corpus)], "group_column": "patient"}},
        "validation": {"share": 0.3, "tokens": 500, "lengths": [48]},
        "phases": [
            {
                "name": "words", "sequence_tokens": 48, "batch_tokens": 96, "steps": 2, "learning_rate": 1e-3,
                "masking": {"strategy": "whole-word"},
            }
        ],
        "trackers": [],
    }  # fmt: skip
    (tmp_path / "pretrain.yaml").write_text(yaml.safe_dump(settings))
    run("pretrain", tmp_path / "pretrain.yaml")
    (made,) = (tmp_path / "run").glob("v*-words")
    before, after = read_weights(checkpoint.folder), read_weights(made)
    learned = {name for name in after if name in before and not torch.equal(before[name], after[name])}
    layers = {name.split(".layer.")[1].split(".")[0] for name in learned if ".layer." in name}
    assert layers == set("01234")
    with quiet():
        _, loaded = transformers.AutoModelForMaskedLM.from_pretrained(made, output_loading_info=True)
    assert not loaded["missing_keys"]


@pytest.mark.parametrize(("source", "arm"), COMMAND_CELLS, ids=map("-".join, COMMAND_CELLS))
def test_words_are_mined_and_written_in(
    source: str,
    arm: str,
    checkpoint_of: CheckpointOf,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = checkpoint_of(source, arm)
    terms, out = tmp_path / "terms.jsonl", tmp_path / "extended"
    mine = ["vocab", "mine", checkpoint.folder, corpus, "--size", "3", "--min-documents", "2", "--out", terms]
    if checkpoint.tokenizer_kind == "unigram":
        assert exit_code(*mine) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "WordPiece" in said
        return
    run(*mine)
    run("vocab", "extend", checkpoint.folder, out, "--terms", terms, "--corpus", corpus)
    report = json.loads((out / "extension.json").read_text())
    assert report["settings"]["layers"] == [0, 1, 2, 3]
    new, old = AutoTokenizer.from_pretrained(out), load_tokenizer(checkpoint.folder)
    asked = [each["piece"] for each in report["pieces"] if each["asked"]]
    assert asked
    # What BPE puts together on the way to a word stands in no text by itself.
    assert not {*asked} & {*report["without_contexts"]}
    assert all(new.convert_ids_to_tokens(new.convert_tokens_to_ids(piece)) == piece for piece in asked)
    text = note(0).text
    assert len(new(text).input_ids) < len(old(text).input_ids)
    # What was there says the same as before.
    ids = torch.tensor([old(SENTENCES[0]).input_ids[:40]])
    with torch.no_grad():
        before, after = (load(folder)(ids).last_hidden_state for folder in (checkpoint.folder, out))
    assert torch.equal(before, after)


def test_every_family_that_is_converted_is_here(sources: dict[str, Any]) -> None:
    assert tuple(sources) == SOURCES
    assert {family for family, _ in sources.values()} == set(FAMILIES) - set(REFUSED)


def test_a_conversion_is_verified(
    checkpoint_of: CheckpointOf, lengths: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    # One alone, for it takes as long as all the rest; tests/conversion has every family.
    settings = ConversionSettings(to="bigbird", **lengths["bigbird"])
    short = checkpoint_of("camembert-unigram", "short").folder
    convert(short, tmp_path / "out", settings=settings, text=" ".join(SENTENCES * 4))
    checks = json.loads((tmp_path / "out" / "conversion.json").read_text())["verification"]["checks"]
    assert sum(check["passed"] is True for check in checks) > 5
    assert not any(check["passed"] is False for check in checks)
