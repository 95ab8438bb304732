"""Cards of fine-tuned models: what plain transformers is told, run as it is printed."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import pre_tokenizers

from longbio.artifacts.atomic_files import write_json
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.corpus.records import Document, Question
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import load, load_tokenizer, quiet
from longbio.encoders.saving import save
from longbio.finetuning import card
from longbio.finetuning.settings import Recipe
from longbio.finetuning.stability import Stability
from longbio.prediction.predictor import predict
from longbio.tasks import AnyTask
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.similarity import Similarity

RunCalls = Callable[..., list[str]]


def tuned(source: Path, task: AnyTask, out: Path, max_tokens: int | None = None) -> Path:
    """A model with a random head and the card that `learn` would give it, of rows of so many tokens."""
    model = load(source, task.head, head_seed=3, dtype=torch.float32, **task.config_changes())
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8.0) if weight.dim() == 2 else None
    tokenizer = load_tokenizer(source)
    report = {
        "task": asdict(task),
        "recipe": asdict(Recipe(learning_rate=1e-3)),
        "stability": asdict(Stability()),
        "seed": 0,
        "steps": 1,
        "samples": 1,
        "left_out": {},
        "origin": source.name,
        "dev": None,
    }
    inputs = InputFormat.of(model.config, tokenizer, max_tokens)
    with quiet():
        save(model, out, origin=source)
    tokenizer.save_pretrained(out)
    write_json(out / "finetuning.json", report)
    (out / "README.md").write_text(card.render(report, out.name, model.config, inputs.max_tokens), "utf-8")
    return out


def answered(folder: Path, task: AnyTask, document: Document) -> Any:
    """What longbio says of a document."""
    model = load(folder, task.head, own_head=True)
    inputs = InputFormat.of(model.config, load_tokenizer(folder))
    (prediction,) = predict(model, inputs, task, [document])
    return prediction


@pytest.fixture(scope="session")
def tiny_bigbird_folder(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny_bigbird") / "long"
    sizes = ConversionSettings(to="bigbird", max_tokens=256, block=8, random_blocks=1)
    convert(tiny_bert_folder, out, settings=sizes, verification=False)
    return out


@pytest.fixture(scope="session")
def tiny_roberta_long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Longformer of a RoBERTa: one token type, three separators around a pair."""
    home = tmp_path_factory.mktemp("tiny_roberta")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<mask>"]
    tokenizer = transformers.RobertaTokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])
    config = transformers.RobertaConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=66,
        type_vocab_size=1,
    )
    torch.manual_seed(0)
    with quiet():
        transformers.RobertaModel(config).save_pretrained(home / "short")
    tokenizer.save_pretrained(home / "short")
    convert(
        home / "short",
        home / "long",
        settings=ConversionSettings(max_tokens=256, window=32),
        verification=False,
    )
    return home / "long"


def test_every_call_on_a_card_runs_without_longbio(
    tiny_bert_folder: Path,
    tiny_long_folder: Path,
    tiny_bigbird_folder: Path,
    tiny_roberta_long_folder: Path,
    tmp_path: Path,
    run_calls: RunCalls,
) -> None:
    entities = Entities(types=("Drug", "Finding"), global_tokens=("cls",))
    classes = Classes(classes=("no", "yes"))
    without = replace(classes, global_tokens=())  # where none is named, plain transformers takes the first
    several = Classes(classes=("a", "b", "c"), multi_label=True, choose_by="micro_f1")
    similarity = Similarity(mean=2.0, deviation=1.5)
    made = {
        name: tuned(source, task, tmp_path / name)
        for name, source, task in (
            ("ner", tiny_long_folder, entities),
            ("ner-short", tiny_bert_folder, entities),
            ("qa", tiny_long_folder, Answers()),
            ("qa-roberta", tiny_roberta_long_folder, Answers()),
            ("qa-bigbird", tiny_bigbird_folder, Answers()),
            ("classes", tiny_long_folder, classes),
            ("without", tiny_long_folder, without),
            ("several", tiny_bigbird_folder, several),
            ("similar", tiny_long_folder, similarity),
        )
    }
    made["ner-windows"] = tuned(tiny_bert_folder, entities, tmp_path / "ner-windows", max_tokens=16)
    printed = dict(zip(made, run_calls(*made.values()), strict=True))

    text = "Chest pain since Monday, so aspirin was given."
    asked = Document("d", text, questions=(Question("q", "What was given?"),))
    for name in ("qa", "qa-roberta"):
        found = answered(made[name], Answers(), asked).document.questions[0].answers[0]
        assert printed[name].strip() == text[slice(*found)].strip()
    assert printed["qa-bigbird"].strip() in text

    note = Document("d", "Chest pain since Monday.")
    for name, task in (("classes", classes), ("without", without)):
        said = answered(made[name], task, note).details["probabilities"]
        assert ast.literal_eval(printed[name]) == pytest.approx(said, abs=1e-4)
    assert printed["classes"] != printed["without"]
    said = answered(made["several"], several, note).details["probabilities"]
    assert ast.literal_eval(printed["several"]) == pytest.approx(said, abs=1e-4)
    pair = Document("d", "The chest has hurt for two days.", query=note.text)
    assert float(printed["similar"]) == pytest.approx(
        answered(made["similar"], similarity, pair).document.score, abs=1e-3
    )
    for name in ("ner", "ner-short", "ner-windows"):
        lines = [line.split(" ") for line in printed[name].splitlines()]
        text = "No fever. Chest pain since Monday, aspirin given."
        assert all(text[int(start) : int(end)] == word for start, end, word, _ in lines)
        assert int(lines[-1][1]) == len(text)


def test_a_card_says_which_tokens_were_global(tiny_long_folder: Path, tmp_path: Path) -> None:
    text = (tuned(tiny_long_folder, Entities(types=("Drug",)), tmp_path / "ner") / "README.md").read_text()
    assert "the first token; the tokens of section headings" in text
    assert "for headings take longbio" in text
    assert "A pipeline of transformers ends after 256 tokens and doesn't say so" in text
    text = (tuned(tiny_long_folder, Answers(), tmp_path / "qa") / "README.md").read_text()
    assert "the first token; the tokens of the question or first text" in text
    assert text.count("## ") == text[: text.index("## A call to copy")].count("## ") + 1


def test_a_bigbirds_card_says_where_plain_transformers_differs(
    tiny_bigbird_folder: Path, tmp_path: Path
) -> None:
    text = (tuned(tiny_bigbird_folder, Answers(), tmp_path / "qa") / "README.md").read_text()
    assert "beyond 56 tokens" in text
