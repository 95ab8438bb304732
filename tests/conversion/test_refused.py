"""What can't be converted: one line with the reason, and nothing left on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.errors import LongbioError

Make = Callable[..., Path]


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def refusal(source: Path, tmp_path: Path, settings: ConversionSettings) -> str:
    """The message; everything else is as it was."""
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(LongbioError) as caught:
        convert(source, place / "long", settings=settings)
    assert list(place.iterdir()) == []
    assert "\n" not in str(caught.value)
    assert str(source) in str(caught.value) or str(caught.value).startswith("--")
    return str(caught.value)


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("albert", "share their weights"),
        ("deberta", "disentangled"),
        ("deberta-v2", "disentangled"),
        ("mobilebert", "bottlenecks"),
        ("longformer", "long already"),
        ("big_bird", "long already"),
        ("gpt2", "'gpt2' is unknown"),
        (None, "names no model_type"),
    ],
)
def test_a_family_that_cannot_be_expressed(
    family: str | None, reason: str, target: str, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({} if family is None else {"model_type": family}))
    assert reason in refusal(source, tmp_path, small[target])


def test_embeddings_of_another_size(
    target: str, own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("electra", embedding_size=16)
    assert "embeddings of 16 are projected to 32" in refusal(source, tmp_path, small[target])


def test_a_head_whose_activation_the_target_lacks(
    make_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = make_source("bert", "mlm", hidden_act="relu")
    message = refusal(source, tmp_path, small["longformer"])
    assert "masked-LM head uses relu" in message
    assert "bound to gelu" in message
    convert(source, tmp_path / "long", settings=small["bigbird"], verification=False)

    source = make_source("roberta", "mlm", hidden_act="relu")
    (tmp_path / "place").rmdir()
    assert "masked-LM head uses gelu" in refusal(source, tmp_path, small["bigbird"])
    convert(source, tmp_path / "long-too", settings=small["longformer"], verification=False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_decoder": True}, "it is a decoder"),
        ({"position_embedding_type": "relative_key"}, "its positions are relative"),
        ({"hidden_size": 30}, "config.json says"),
        ({"intermediate_size": 64}, "config.json says"),
        ({"max_position_embeddings": 48}, "embeddings.position is (40, 32), config.json says (48, 32)"),
        ({"type_vocab_size": 3}, "embeddings.token_type is (2, 32)"),
        ({"vocab_size": 500}, "config.json says (500, 32)"),
        ({"num_hidden_layers": 3}, "weights are missing"),
        ({"num_hidden_layers": 1}, "weights are unknown"),
    ],
)
def test_config_that_says_something_else(
    changes: dict[str, Any],
    reason: str,
    target: str,
    own_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
) -> None:
    source = own_source("bert", "mlm")
    change_config(source, **changes)
    assert reason in refusal(source, tmp_path, small[target])


QUERY = "bert.encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.pop(QUERY), "1 weights are missing, the first is encoder.layer.1"),
        (lambda state: state.pop("cls.predictions.bias"), "1 weights are missing, the first is cls"),
        (lambda state: state.update({"bert.encoder.adapter.weight": torch.ones(2)}), "adapter.weight"),
        (lambda state: state.update({QUERY: torch.ones(32, 31)}), "layer.1.query.weight is (32, 31)"),
        (lambda state: state.update({QUERY: torch.ones(32)}), "layer.1.query.weight is (32,)"),
        (lambda state: state.update({"bert.pooler.dense.weight": torch.ones(32, 32)}), "pooler.dense.bias"),
    ],
)
def test_weights_that_do_not_fit(
    change: Callable[[dict[str, torch.Tensor]], Any],
    reason: str,
    target: str,
    own_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
) -> None:
    source = own_source("bert", "mlm")
    change_weights(source, change)
    assert reason in refusal(source, tmp_path, small[target])


def test_untied_decoder_of_a_wrong_shape(
    target: str, own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("bert", "mlm")
    change_weights(source, lambda state: state.update({"cls.predictions.decoder.weight": torch.ones(5, 32)}))
    assert "(5, 32)" in refusal(source, tmp_path, small[target])


def test_weights_that_are_not_there_or_damaged(
    own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("bert")
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "damaged" in refusal(source, tmp_path, small["longformer"])

    weights.unlink()
    (tmp_path / "place").rmdir()
    assert "no weights" in refusal(source, tmp_path, small["longformer"])


def test_tokenizer_larger_than_the_vocabulary(
    target: str, own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("bert")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_tokens(["metoprolol"])
    tokenizer.save_pretrained(source)
    message = refusal(source, tmp_path, small[target])
    assert "the tokenizer has 124 tokens, the embeddings 123" in message


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"])
def test_missing_tokenizer(
    family: str, own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source(family)
    for file in source.glob("tokenizer*"):
        file.unlink()
    assert "tokenizer" in refusal(source, tmp_path, small["longformer"])


def test_broken_tokenizer(own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path) -> None:
    source = own_source("bert")
    (source / "tokenizer.json").write_text("{ half")
    assert "the tokenizer can't be read" in refusal(source, tmp_path, small["longformer"])


@pytest.mark.parametrize(
    ("target", "changes", "reason"),
    [
        ("longformer", {"window": 15}, "--window: 15 can't be used; give an even number"),
        ("longformer", {"window": 0}, "--window: 0"),
        ("longformer", {"window": -2}, "--window: -2"),
        ("longformer", {"window": 66}, "give at most --max-tokens, 64"),
        ("longformer", {"max_tokens": 39, "window": 16}, "the source has 40 positions"),
        ("bigbird", {"block": 10}, "70, exceeds --max-tokens, 64"),
        ("bigbird", {"block": 0}, "--block: 0"),
        ("bigbird", {"random_blocks": -1}, "random blocks"),
        ("longformer", {"to": "bert"}, "choose longformer or bigbird"),
        ("longformer", {"positions": "copy"}, "choose tile or interpolate"),
    ],
)
def test_settings_no_model_can_have(
    target: str,
    changes: dict[str, Any],
    reason: str,
    make_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
) -> None:
    assert reason in refusal(make_source("bert"), tmp_path, replace(small[target], **changes))


def test_a_bigbird_does_not_mind_the_longformers_window(make_source: Make, tmp_path: Path) -> None:
    settings = ConversionSettings(to="bigbird", max_tokens=64, block=4, random_blocks=1)
    assert settings.window > settings.max_tokens
    convert(make_source("bert"), tmp_path / "long", settings=settings, verification=False)


def test_a_source_that_is_not_there(small: dict[str, ConversionSettings], tmp_path: Path) -> None:
    assert "there is no such folder" in refusal(tmp_path / "nowhere", tmp_path, small["longformer"])


def test_a_kernel_that_is_none_is_said_before_a_source_is_read(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="no kernel 'foo'"):
        convert(tmp_path / "nowhere", tmp_path / "long", kernel="foo")
    assert list(tmp_path.iterdir()) == []
