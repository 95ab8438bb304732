"""Continued masked LM: from any checkpoint to a native one, whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, TrainerCallback

from longbio.corpus.texts import Text
from longbio.encoders.batches import IGNORED
from longbio.encoders.loading import load, quiet
from longbio.errors import LongbioError
from longbio.masked_lm.evaluation import bits_per_masked_token
from longbio.masked_lm.head import summed_loss
from longbio.pretraining.holding_out import HeldOut, Source
from longbio.pretraining.phase import Phase
from longbio.pretraining.shards import TokenizedCorpus, tokenize_texts
from longbio.pretraining.train_phase import train_phase
from longbio.training.settings import Machine

TEXTS = [f"the patient takes drug {number} daily, b.i.d. and p.o." for number in range(12)]


def tokenized(folder: Path, texts: list[str] = TEXTS) -> TokenizedCorpus:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return TokenizedCorpus([tokenize_texts((Text(text, str(n)) for n, text in enumerate(texts)), tokenizer)])


def learn(source: Path, out: Path, steps: int = 3, **changes):
    corpus = tokenized(source, changes.pop("texts", TEXTS))
    everything = np.arange(len(corpus))
    options = {name: changes.pop(name) for name in ("machine", "seed", "on_step") if name in changes}
    phase = Phase(**{"name": "p", "sequence_tokens": 32, "learning_rate": 1e-2, "steps": steps} | changes)
    held_out = HeldOut(corpus, everything, (32, 64, 512))
    return train_phase(source, {"c": Source(corpus, everything)}, held_out, phase, out, **options)


def test_an_encoder_without_a_head_gets_one_and_stays_as_it_was(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    report = learn(tiny_bert_folder, tmp_path / "out", 25, learns="head")
    assert report["bits_after"]["32"] < report["bits_before"]["32"]
    assert set(report["bits_after"]) == {"32", "64"}
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
    report = learn(tiny_long_folder, tmp_path / "out", 12)
    assert report["bits_after"]["64"] < report["bits_before"]["64"]
    before, after = load(tiny_long_folder), load(tmp_path / "out")
    assert torch.equal(before.pooler.dense.weight, after.pooler.dense.weight)
    assert after.config.hidden_dropout_prob == before.config.hidden_dropout_prob == 0.1
    attention = after.encoder.layer[0].attention.self
    assert not torch.equal(attention.query.weight, before.encoder.layer[0].attention.self.query.weight)
    assert torch.equal(attention.query.weight, attention.query_global.weight)
    assert after.config.architectures == ["LongformerForMaskedLM"]


def test_a_global_cls_teaches_the_global_projections(tiny_long_folder: Path, tmp_path: Path) -> None:
    learn(tiny_long_folder, tmp_path / "out", global_cls=True)
    before, after = (load(f).encoder.layer[0].attention.self for f in (tiny_long_folder, tmp_path / "out"))
    assert not torch.equal(after.query.weight, after.query_global.weight)
    assert not torch.equal(after.value_global.weight, before.value_global.weight)


@pytest.mark.parametrize(
    ("learns", "new_from", "names"),
    [
        ("new-positions", 40, {"longformer.embeddings.position_embeddings.weight"}),
        ("new-embeddings", 100, {"longformer.embeddings.word_embeddings.weight", "lm_head.decoder.bias"}),
    ],
)
def test_only_new_rows_learn(
    learns: str, new_from: int, names: set[str], tiny_long_folder: Path, tmp_path: Path
) -> None:
    learn(
        tiny_long_folder,
        tmp_path / "out",
        learns=learns,
        new_from=new_from,
        texts=[" ".join(TEXTS)],
        sequence_tokens=256,
    )
    before, after = (load(f, "mlm").state_dict() for f in (tiny_long_folder, tmp_path / "out"))
    tied = {
        "lm_head.bias": "lm_head.decoder.bias",
        "lm_head.decoder.weight": "longformer.embeddings.word_embeddings.weight",
    }
    changed = {tied.get(name, name) for name in before if not torch.equal(before[name], after[name])}
    assert changed == names
    for name in names:
        first = new_from + (len(before[name]) - 256 if "position" in name else 0)
        assert torch.equal(before[name][:first], after[name][:first])
        assert not torch.equal(before[name][first:], after[name][first:])


def test_new_rows_alone_are_refused_where_weights_are_sharded(
    tiny_long_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(LongbioError, match="without FSDP"):
        learn(tiny_long_folder, tmp_path / "out", learns="new-positions", new_from=40)


def test_a_finished_run_does_nothing(tiny_long_folder: Path, tmp_path: Path) -> None:
    first = learn(tiny_long_folder, tmp_path / "out")
    again = train_phase(tmp_path / "nowhere", {}, None, None, tmp_path / "out")  # type: ignore[arg-type]  # never looked at
    assert again["losses"] == first["losses"]
    assert not (tmp_path / "out.training").exists()


def test_what_cannot_be_learned_is_said_and_leaves_nothing(tiny_bert_folder: Path, tmp_path: Path) -> None:
    def refused(words: str, source: Path = tiny_bert_folder, **changes) -> None:
        with pytest.raises((LongbioError, ValueError), match=words):
            learn(source, tmp_path / "out", **changes)
        assert not (tmp_path / "out").exists()

    refused("missing")
    refused("64 positions", learns="head", sequence_tokens=65)
    refused("mixes x", learns="head", mixture={"x": 1.0})
    refused("weight 0", learns="head", mixture={"c": 0.0})
    refused(
        "first new row is 500",
        learns="new-embeddings",
        new_from=500,
        source=with_head(tiny_bert_folder, tmp_path),
    )
    refused("no text", learns="head", texts=[""])


def with_head(source: Path, folder: Path) -> Path:
    if not (folder / "head").exists():
        learn(source, folder / "head", 1, learns="head")
    return folder / "head"


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(LongbioError, match=r"loss is .* in step") as caught:
        learn(
            tiny_long_folder, tmp_path / "out", 40, learning_rate=1e30, clip=1e30, warmup_share=0.9,
            machine=Machine(save_steps=1),
        )  # fmt: skip
    assert "learning rate" in str(caught.value)
    kept = list((tmp_path / "out.training").glob("checkpoint-*/model.safetensors"))
    assert kept
    for file in kept:
        assert all(weight.isfinite().all() for weight in load_file(file).values())
    assert not (tmp_path / "out").exists()


def test_a_run_that_diverges_in_its_last_step_is_said(tiny_long_folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(LongbioError, match="no numbers"):
            learn(tiny_long_folder, tmp_path / "out", 1, learning_rate=1e38, clip=1e30, warmup_share=0.0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_is_stored_in_half_precision_learns_in_full(
    dtype: torch.dtype, tiny_long_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_long_folder, tmp_path / "half")
    with quiet():
        AutoModelForMaskedLM.from_pretrained(tiny_long_folder, dtype=dtype).save_pretrained(tmp_path / "half")
    learn(tmp_path / "half", tmp_path / "out", learning_rate=1e-5)
    before, after = (load(folder, "mlm").state_dict() for folder in (tmp_path / "half", tmp_path / "out"))
    name = "longformer.encoder.layer.0.attention.self.query.weight"
    assert after[name].dtype == torch.float32
    assert (after[name] != before[name]).float().mean() > 0.9


def test_only_what_learned_gives_its_weights_to_the_global_projections(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    learn(tiny_long_folder, tmp_path / "globals", global_cls=True)
    learn(tmp_path / "globals", tmp_path / "head", learns="head")
    before, after = (load(tmp_path / name).state_dict() for name in ("globals", "head"))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": None}, "either steps or tokens"),
        ({"tokens": 5}, "either steps or tokens"),
        ({"steps": 0}, "above 0"),
        ({"warmup_share": 1.0}, "warm-up"),
        ({"warmup_share": -0.1}, "warm-up"),
        ({"batch_tokens": 40}, "no multiple"),
        ({"new_from": 3}, "new_from goes with"),
        ({"learns": "new-positions"}, "new_from goes with"),
        ({"mixture": {"c": -1.0}}, "0 or more"),
    ],
)
def test_phases_that_make_no_sense(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Phase(**{"name": "p", "sequence_tokens": 32, "learning_rate": 1e-2, "steps": 1} | changes)


def test_tokens_are_counted_in_steps() -> None:
    phase = Phase(name="p", sequence_tokens=32, learning_rate=1e-2, tokens=1000, batch_tokens=64)
    assert (phase.batch, phase.num_steps) == (2, 16)


def test_accumulated_passes_give_what_one_batch_gives(tiny_long_folder: Path, tmp_path: Path) -> None:
    options = {"steps": 4, "batch_tokens": 128, "dropout": 0.0, "learning_rate": 1e-3}
    whole = learn(tiny_long_folder, tmp_path / "whole", **options)
    parts = learn(tiny_long_folder, tmp_path / "parts", machine=Machine(device_batch=1), **options)
    assert parts["losses"] == pytest.approx(whole["losses"], abs=1e-5)
    one, other = (load(tmp_path / name, "mlm").state_dict() for name in ("whole", "parts"))
    # Adam divides gradients by their size: what is next to nothing may change sign.
    assert all(torch.allclose(one[name], other[name], atol=2e-4) for name in one)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "polynomial", "1-sqrt"])
def test_learning_rates_follow_their_schedule(schedule: str, tiny_long_folder: Path, tmp_path: Path) -> None:
    rates: list[float] = []

    class Rates(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_) -> None:
            if "learning_rate" in (logs or {}):
                rates.append(logs["learning_rate"])

    phase = Phase(
        name="p", sequence_tokens=32, learning_rate=1e-3, steps=10, warmup_share=0.2, schedule=schedule
    )
    corpus = tokenized(tiny_long_folder)
    everything = np.arange(len(corpus))
    train_phase(
        tiny_long_folder,
        {"c": Source(corpus, everything)},
        HeldOut(corpus, everything, (32,)),
        phase,
        tmp_path / "out",
        callbacks=lambda samples: [Rates()],
    )
    share = [rate / 1e-3 for rate in rates]
    after = np.arange(8) / 8
    expected = {
        "constant": np.ones(8),
        "linear": 1 - after,
        "cosine": (1 + np.cos(np.pi * after)) / 2,
        "polynomial": (1 - 1e-4) * (1 - after) ** 3 + 1e-4,
        "1-sqrt": 1 - np.sqrt(after),
    }[schedule]
    assert share[:2] == pytest.approx([0.0, 0.5], abs=1e-6)
    assert share[2:] == pytest.approx(expected.tolist(), abs=1e-3)


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
        bits = bits_per_masked_token(model, [(corrupted, labels)], num_tokens=num_tokens, frame=(2, 3, 0))
        assert bits < 0.01
