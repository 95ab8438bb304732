"""Capitals survive a conversion, and a tokenizer that isn't the vocabulary's fails it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from longbio.conversion import sources
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.encoders.casing import VOCABULARY
from longbio.errors import LongbioError

Make = Callable[..., Path]

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyzµ0123456789.,;:-/()[]*%<>+=≥°_#"
UNCASED = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "pain"]
CAPITALS = LETTERS[:26].upper()
CASED = [*UNCASED, *CAPITALS, *(f"##{letter}" for letter in CAPITALS), "The", "Aspirin", "Pain"]


@pytest.fixture
def make_vocabulary_only(own_source: Make) -> Make:
    """make_vocabulary_only(pieces) -> a BERT whose tokenizer is a vocab.txt and nothing more."""

    def make(pieces: list[str]) -> Path:
        folder = own_source("bert", "mlm", vocab_size=200)
        for file in folder.glob("tokenizer*"):
            file.unlink()
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
        return folder

    return make


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_a_cased_bert_with_a_vocabulary_alone_keeps_its_capitals(
    make_vocabulary_only: Make, target: str, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    done = convert(make_vocabulary_only(CASED), tmp_path / "long", settings=small[target])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "long")
    assert tokenizer.tokenize("The Aspirin") == ["The", "Aspirin"]

    casing = done.report["casing"]
    assert (casing["lowercase"], casing["lowercase_by"], casing["lost"]) == (False, VOCABULARY, 0)
    checks = {check["name"]: check for check in done.report["verification"]["checks"]}
    assert "capitals are kept and accents are kept, by the vocabulary" in checks
    (words,) = (check for name, check in checks.items() if "whole words of the vocabulary" in name)
    assert (words["value"], words["passed"]) == ("100.0%", True)
    card = (tmp_path / "long" / "README.md").read_text("utf-8")
    assert "Capitals are kept and accents are kept, by the vocabulary. 0 of" in card
    assert convert(tmp_path / "source", tmp_path / "long", settings=small[target]).already_done


@pytest.mark.usefixtures("plain_in_process", "without_bits")
@pytest.mark.parametrize("lowercase", [True, False])
def test_the_user_decides(
    lowercase: bool, make_vocabulary_only: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    settings = replace(small["longformer"], lowercase=lowercase)
    done = convert(make_vocabulary_only(CASED), tmp_path / "long", settings=settings)
    tokens = AutoTokenizer.from_pretrained(tmp_path / "long").tokenize("The")
    assert tokens == (["the"] if lowercase else ["The"])
    assert done.report["casing"]["lowercase_by"] == "--lowercase or --no-lowercase"
    assert "by --lowercase or --no-lowercase" in (tmp_path / "long" / "README.md").read_text("utf-8")


def failures(source: Path, out: Path, settings: ConversionSettings) -> list[str]:
    with pytest.raises(LongbioError, match="verification failed") as refused:
        convert(source, out, settings=settings)
    assert ("--text FILE" in str(refused.value.remedy)) == ("unknown tokens" in refused.value.what)
    report = json.loads((out.with_name("long.failed") / "conversion.json").read_text())
    return [check["name"] for check in report["verification"]["checks"] if check["passed"] is False]


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_a_wrong_guess_fails_by_the_vocabulary(
    make_vocabulary_only: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same guess before and after would agree with itself."""

    def guess(folder: Path, lowercase: bool | None) -> Any:
        tokenizer, casing = honest(folder, True)
        return tokenizer, replace(casing, lowercase_by="no file: BERT's default")

    honest = sources.read_tokenizer
    monkeypatch.setattr(sources, "read_tokenizer", guess)
    failed = failures(make_vocabulary_only(CASED), tmp_path / "long", small["longformer"])
    assert len(failed) == 1
    assert "whole words of the vocabulary" in failed[0]


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_a_note_of_unknown_tokens_fails(
    make_vocabulary_only: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    """An uncased vocabulary that is read in its own case."""
    settings = replace(small["longformer"], lowercase=False)
    failed = failures(make_vocabulary_only(UNCASED), tmp_path / "long", settings)
    assert failed == ["words of a long note with unknown tokens"]


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_a_vocabulary_of_another_model_fails(
    make_vocabulary_only: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    pieces = [*SPECIAL, *(f"w{number}" for number in range(100))]
    assert failures(make_vocabulary_only(pieces), tmp_path / "long", small["longformer"]) == [
        "words of a long note with unknown tokens"
    ]


def test_a_conversion_of_before_does_not_count(
    make_vocabulary_only: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source, out = make_vocabulary_only(CASED), tmp_path / "long"
    convert(source, out, settings=small["longformer"], verification=False)
    report = json.loads((out / "conversion.json").read_text())
    del report["made_of"]
    (out / "conversion.json").write_text(json.dumps(report))
    with pytest.raises(LongbioError, match="force"):
        convert(source, out, settings=small["longformer"], verification=False)


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_a_roberta_whose_config_names_no_padding(
    own_source: Make, target: str, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("roberta", "mlm")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    done = convert(source, tmp_path / "long", settings=small[target])
    assert done.report["verification"]["passed"]
    assert json.loads((tmp_path / "long" / "config.json").read_text())["pad_token_id"] == 1


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_a_config_without_architectures(
    own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("bert", "mlm")
    config = json.loads((source / "config.json").read_text())
    del config["architectures"]
    (source / "config.json").write_text(json.dumps(config))
    done = convert(source, tmp_path / "long", settings=small["longformer"])
    assert done.report["verification"]["passed"]
    assert any(c["name"].startswith("masked-LM logits") for c in done.report["verification"]["checks"])


def test_labels_that_are_fewer_than_a_heads_rows_are_left_behind_with_it(
    own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("bert", "ner", num_labels=5)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"id2label": {"0": "O"}, "label2id": {"O": 0}}))
    done = convert(source, tmp_path / "long", settings=small["longformer"], verification=False)
    assert "classifier.weight" in done.report["left_behind"]


def test_a_config_without_model_type_names_the_line_to_write(
    own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("roberta", "mlm")
    config = json.loads((source / "config.json").read_text())
    del config["model_type"]
    (source / "config.json").write_text(json.dumps(config))
    with pytest.raises(LongbioError, match='names no model_type; write "model_type": "roberta" into it'):
        convert(source, tmp_path / "long", settings=small["longformer"])
