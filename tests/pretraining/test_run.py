"""Continued masked LM: from any checkpoint to a native one, whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from longbio.encoders.loading import load, quiet
from longbio.errors import LongbioError
from longbio.masked_lm.evaluation import bits_per_masked_token
from longbio.masked_lm.head import summed_loss
from longbio.masked_lm.masking import IGNORED
from longbio.pretraining.packing import pack
from longbio.pretraining.run import PretrainingSettings, continue_masked_lm
from longbio.training.trainer import TrainingSettings

TEXTS = [f"the patient takes drug {number} daily, b.i.d. and p.o." for number in range(12)]


def settings(steps: int = 3, learns: str = "all") -> PretrainingSettings:
    return PretrainingSettings(TrainingSettings(steps=steps, learning_rate=1e-2), 32, learns=learns)


def test_packing_loses_nothing(tiny_bert_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert_folder)
    sequences = pack(TEXTS, tokenizer, 32)
    stream = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    whole = [token for ids in stream for token in [*ids, tokenizer.sep_token_id]][:-1]
    assert {len(sequence) for sequence in sequences} == {32}
    assert all(s[0] == tokenizer.cls_token_id and s[-1] == tokenizer.sep_token_id for s in sequences)
    assert np.concatenate([s[1:-1] for s in sequences[:-1]]).tolist() == whole[: 30 * (len(sequences) - 1)]
    assert sequences[-1][1:-1].tolist() == whole[-30:]
    assert len(pack(["the"], tokenizer, 32)[0]) == 3


def test_an_encoder_without_a_head_gets_one_and_stays_as_it_was(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    report = continue_masked_lm(tiny_bert_folder, TEXTS, TEXTS, settings(25, "head"), tmp_path / "out")
    assert report["bits_after"] < report["bits_before"]
    with quiet():
        before = AutoModel.from_pretrained(tiny_bert_folder)
        after, info = AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
        _, head_info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not head_info["missing_keys"]
    for name, weight in before.state_dict().items():
        assert torch.equal(weight, after.state_dict()[name]), name


def test_all_weights_learn_and_pooler_dropout_and_globals_are_kept(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    continue_masked_lm(tiny_long_folder, TEXTS, TEXTS, settings(), tmp_path / "out")
    before, after = load(tiny_long_folder), load(tmp_path / "out")
    assert torch.equal(before.pooler.dense.weight, after.pooler.dense.weight)
    assert after.config.hidden_dropout_prob == before.config.hidden_dropout_prob == 0.1
    attention = after.encoder.layer[0].attention.self
    assert not torch.equal(attention.query.weight, before.encoder.layer[0].attention.self.query.weight)
    assert torch.equal(attention.query.weight, attention.query_global.weight)
    assert after.config.architectures == ["LongformerForMaskedLM"]


def test_a_finished_run_does_nothing(tiny_long_folder: Path, tmp_path: Path) -> None:
    first = continue_masked_lm(tiny_long_folder, TEXTS, TEXTS, settings(), tmp_path / "out")
    again = continue_masked_lm(tmp_path / "nowhere", [], [], settings(), tmp_path / "out")
    assert again["losses"] == first["losses"]
    assert not (tmp_path / "out.training").exists()


def test_no_text_and_no_head_are_said(tiny_bert_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="no text"):
        continue_masked_lm(tiny_bert_folder, [], [], settings(), tmp_path / "out")
    with pytest.raises(LongbioError, match="missing"):
        continue_masked_lm(tiny_bert_folder, TEXTS, TEXTS, settings(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_loss_over_masked_positions_is_the_loss_over_all_logits(tiny_long_folder: Path) -> None:
    model = load(tiny_long_folder, "mlm")
    ids = torch.randint(5, 60, (2, 40))
    labels = torch.where(torch.rand(2, 40) < 0.2, ids, IGNORED)
    labels[0, 3] = 9
    logits = model(input_ids=ids).logits
    whole = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    part = summed_loss(model, {"input_ids": ids, "labels": labels})
    assert torch.allclose(part, whole, rtol=1e-5)
    assert model(input_ids=ids).logits.shape == logits.shape


def test_bits_are_of_the_same_tokens_at_any_length(tiny_long_folder: Path) -> None:
    model = load(tiny_long_folder, "mlm")
    model.get_output_embeddings().bias.data[7] = 20.0
    corrupted, labels = np.full(200, 6), np.full(200, IGNORED)
    labels[::9] = 7
    for num_tokens in (32, 64, 202):
        bits = bits_per_masked_token(model, corrupted, labels, num_tokens=num_tokens, frame=(2, 3))
        assert bits < 0.01
