"""What stands in a converted folder: weights, config, tokenizer, report and card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer

from longbio.conversion import build, proof_cases
from longbio.conversion.convert import Conversion, convert
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.sources import REFUSED, rename_to_canonical
from longbio.encoders.families import FAMILIES, SETTINGS, TARGETS, expand

Make = Callable[..., Path]
Converted = Callable[..., Conversion]

EVERY_FAMILY = sorted(set(FAMILIES) - set(REFUSED))
LONG = {"longformer": ("longformer", "Longformer"), "bigbird": ("big_bird", "BigBird")}


def config_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text()))


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_settings_come_along(family: str, target: str, make_source: Make, converted: Converted) -> None:
    old = AutoConfig.from_pretrained(make_source(family))
    new = AutoConfig.from_pretrained(converted(family, "encoder", target).folder)
    names = SETTINGS.get(family, {})

    for name in build.SHARED_SETTINGS:
        assert getattr(new, name) == getattr(old, names.get(name, name)), name
    assert new.hidden_dropout_prob == 0.07
    assert new.attention_probs_dropout_prob == 0.03
    assert new.layer_norm_eps == (1e-12 if family == "distilbert" else 1e-4)
    assert new.pad_token_id == old.pad_token_id
    assert new.tie_word_embeddings is True
    assert new.model_type == LONG[target][0]
    assert new.architectures == [f"{LONG[target][1]}ForMaskedLM"]
    assert new.dtype == torch.float32


def test_another_activation_comes_along(make_source: Make, converted: Converted) -> None:
    for target in TARGETS:
        config = config_of(converted("bert", "encoder", target, hidden_act="relu").folder)
        assert config["hidden_act"] == "relu"


def test_special_ids_are_the_tokenizers(target: str, converted: Converted) -> None:
    config = config_of(converted("bert", "encoder", target).folder)
    ids = [config[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")]
    assert ids == [0, 2, 3, 3]
    config = config_of(converted("roberta", "encoder", target).folder)
    ids = [config[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")]
    assert ids == [1, 0, 2, 2]


def test_attention_settings_of_the_target(converted: Converted) -> None:
    longformer = config_of(converted("bert", "encoder", "longformer").folder)
    assert longformer["attention_window"] == [16, 16]
    assert longformer["max_position_embeddings"] == 65
    bigbird = config_of(converted("bert", "encoder", "bigbird").folder)
    assert (bigbird["block_size"], bigbird["num_random_blocks"]) == (4, 1)
    assert bigbird["attention_type"] == "block_sparse"
    assert bigbird["random_pattern_seed"] == 0
    assert bigbird["max_position_embeddings"] == 64


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_global_projections_are_clones_of_the_local_ones(name: str, converted: Converted) -> None:
    state = load_file(converted("bert", "mlm", "longformer").folder / "model.safetensors")
    for layer in range(2):
        place = f"longformer.encoder.layer.{layer}.attention.self.{name}"
        for kind in ("weight", "bias"):
            assert torch.equal(state[f"{place}_global.{kind}"], state[f"{place}.{kind}"])


def test_no_two_tensors_share_storage(target: str, make_source: Make) -> None:
    state = load_file(make_source("bert", "pretraining") / "model.safetensors")
    whole = dict(rename_to_canonical(state, "bert", 2, "here").weights)
    made = build.rename_to_target(whole, TARGETS[target], 2)
    places = [tensor.untyped_storage().data_ptr() for tensor in made.values()]
    assert len(set(places)) == len(places)
    assert set(made) == set(expand(TARGETS[target].renames, 2))


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_every_rename_is_reversible(family: str) -> None:
    """Two names on one side would overwrite each other in silence."""
    known = FAMILIES[family]
    names = expand(known.encoder + known.pooler + known.head, 3)
    assert len(set(names.values())) == len(names)
    for target in TARGETS.values():
        renamed = expand(target.renames, 3)
        twice = 18 if target.takes_global else 0
        assert len(renamed) - len(set(renamed.values())) == twice
        assert set(names.values()) <= set(renamed.values())


def test_token_types(make_source: Make, converted: Converted) -> None:
    name = "embeddings.token_type_embeddings.weight"

    def types(family: str, target: str) -> torch.Tensor:
        prefix = {"longformer": "longformer.", "bigbird": "bert."}[target]
        folder = converted(family, "encoder", target).folder
        table = load_file(folder / "model.safetensors")[prefix + name]
        assert config_of(folder)["type_vocab_size"] == len(table)
        return table

    two = load_file(make_source("bert") / "model.safetensors")[name]
    one = load_file(make_source("roberta") / "model.safetensors")[name]
    assert torch.equal(types("bert", "longformer"), two)
    assert torch.equal(types("bert", "bigbird"), two)
    assert torch.equal(types("roberta", "longformer"), one)
    assert torch.equal(types("roberta", "bigbird"), torch.cat([one, one]))
    assert torch.equal(types("distilbert", "longformer"), torch.zeros(1, 32))
    assert torch.equal(types("distilbert", "bigbird"), torch.zeros(2, 32))


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_tokenizer_gives_the_same_ids(
    family: str, target: str, make_source: Make, converted: Converted
) -> None:
    source, out = make_source(family), converted(family, "encoder", target).folder
    before, after = AutoTokenizer.from_pretrained(source), AutoTokenizer.from_pretrained(out)
    kind = json.loads((out / "tokenizer_config.json").read_text())["tokenizer_class"]

    assert kind == type(before).__name__ == type(after).__name__
    assert after.model_max_length == 64
    assert after.special_tokens_map == before.special_tokens_map
    assert before.get_vocab() == after.get_vocab()
    for text in (*proof_cases.CLINICAL_STRINGS, "the patient, history of pain " * 30):
        assert after(text)["input_ids"] == before(text)["input_ids"]
        assert after(text, "pain")["input_ids"] == before(text, "pain")["input_ids"]


def test_frozen_truncation_and_padding_are_taken_out(
    target: str, own_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source = own_source("bert")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.backend_tokenizer.enable_truncation(8)
    tokenizer.backend_tokenizer.enable_padding(length=8)
    tokenizer.backend_tokenizer.save(str(source / "tokenizer.json"))
    assert json.loads((source / "tokenizer.json").read_text())["truncation"]

    out = convert(source, tmp_path / "long", settings=small[target], verification=False).folder
    frozen = json.loads((out / "tokenizer.json").read_text())
    assert frozen["truncation"] is None
    assert frozen["padding"] is None
    after = AutoTokenizer.from_pretrained(out)
    assert len(after("the patient, history of pain " * 5)["input_ids"]) > 30
    assert after.backend_tokenizer.truncation is None


@pytest.mark.parametrize(
    ("family", "head", "made_up"),
    [
        ("bert", "encoder", ["masked-LM head"]),
        ("bert", "mlm", ["pooler"]),
        ("bert", "pretraining", []),
        ("roberta", "encoder", ["masked-LM head"]),
        ("electra", "encoder", ["pooler", "masked-LM head"]),
        ("distilbert", "mlm", ["pooler", "token types"]),
    ],
)
def test_card_names_what_was_made_up(
    family: str, head: str, made_up: list[str], converted: Converted
) -> None:
    done = converted(family, head, "longformer")
    card = (done.folder / "README.md").read_text()
    assert [line.split(":")[0] for line in done.report["made_up"]] == made_up
    assert ("## What the source did not have" in card) == bool(made_up)
    for line in done.report["made_up"]:
        assert f"- {line}" in card


def test_card_names_what_was_left_behind(target: str, converted: Converted) -> None:
    left = {
        ("bert", "pretraining"): ["cls.seq_relationship.bias", "cls.seq_relationship.weight"],
        ("bert", "ner"): ["classifier.bias", "classifier.weight"],
    }
    for (family, head), names in left.items():
        done = converted(family, head, target)
        assert done.report["left_behind"] == names
        card = (done.folder / "README.md").read_text()
        assert "## Weights left behind" in card
        assert all(f"- `{name}`" in card for name in names)
    assert "## Weights left behind" not in (converted("bert", "mlm", target).folder / "README.md").read_text()


def test_made_up_head_says_what_the_embeddings_say(target: str, converted: Converted) -> None:
    state = load_file(converted("bert", "encoder", target).folder / "model.safetensors")
    head = {name: weight for name, weight in state.items() if name.startswith(("lm_head.", "cls."))}
    dense = next(weight for name, weight in head.items() if name.endswith("dense.weight"))
    assert torch.equal(dense, torch.eye(32))
    assert all((weight == 0).all() for name, weight in head.items() if name.endswith("bias"))
    assert not any("decoder" in name for name in head)


def test_card_and_report_say_where_it_comes_from(
    target: str, make_source: Make, converted: Converted
) -> None:
    done = converted("bert", "mlm", target)
    card, report = (done.folder / "README.md").read_text(), done.report
    assert json.loads((done.folder / "conversion.json").read_text()) == report
    assert report["source"] == str(make_source("bert", "mlm"))
    assert len(report["source_sha256"]) == 64
    assert report["source_tokens"] == 40
    for fact in (report["source"], report["source_sha256"], "64 tokens", "--no-verify", "transformers"):
        assert fact in card
    assert ("28 tokens" in card) == (target == "bigbird")


def test_folder_holds_a_checkpoint_and_nothing_else(target: str, converted: Converted) -> None:
    names = {file.name for file in converted("bert", "mlm", target).folder.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "conversion.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
