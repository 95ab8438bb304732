"""Losses are per item, and a killed run ends as if nothing had happened."""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from longbio.corpus.texts import Text
from longbio.encoders.loading import load
from longbio.errors import LongbioError
from longbio.masked_lm.head import summed_loss
from longbio.masked_lm.masking import Masking, Vocabulary
from longbio.pretraining.masked_samples import Collator, MaskedSamples, Part
from longbio.pretraining.packing import Frame, plan
from longbio.pretraining.shards import TokenizedCorpus, tokenize_texts
from longbio.training import trainer
from longbio.training.trainer import WHOLE, last_whole_checkpoint, title_of_run, train
from tests.flat_settings import settings_of

TEXTS = [f"the patient takes drug {number} daily, b.i.d. and p.o." for number in range(12)]


class Killed(Exception):
    """Stands for a kill."""


def run(model_folder: Path, out: Path, *, kill_at: int | None = None, **changes: object):
    training = settings_of(**{"steps": 6, "learning_rate": 1e-2, "batch": 2, "save_steps": 2, **changes})
    torch.manual_seed(0)
    model = load(model_folder, "mlm")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    corpus = TokenizedCorpus([tokenize_texts((Text(text, "") for text in TEXTS), tokenizer)])
    part = Part(corpus, plan(corpus.lengths, np.arange(len(TEXTS)), 32))
    frame = Frame.of(tokenizer)
    count = training.steps * training.batch
    samples = MaskedSamples([part], frame, Vocabulary.of(tokenizer), Masking(), count=count, seed=0)
    collate = Collator(model.config.model_type, frame.padding)

    def on_step(step: int, loss: float) -> None:
        if step == kill_at:
            raise Killed

    _, losses = train(model, samples, collate, summed_loss, training, out, on_step)
    return model, losses


def test_training_lowers_the_loss_and_reports_every_step(tiny_long_folder: Path, tmp_path: Path) -> None:
    _, losses = run(tiny_long_folder, tmp_path, steps=20)
    assert len(losses) == 20
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_a_compiled_model_learns_the_same(tiny_long_folder: Path, tmp_path: Path) -> None:
    plain, losses = run(tiny_long_folder, tmp_path / "plain")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled, again = run(tiny_long_folder, tmp_path / "compiled", compile=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 3
    assert again[0] == pytest.approx(losses[0], rel=1e-5)
    # Adam makes steps of gradients that are nothing but rounding.
    assert again == pytest.approx(losses, rel=0.05)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


def test_a_killed_run_ends_with_the_same_weights(tiny_long_folder: Path, tmp_path: Path) -> None:
    whole, losses = run(tiny_long_folder, tmp_path / "whole")
    with pytest.raises(Killed):
        run(tiny_long_folder, tmp_path / "killed", kill_at=5)
    assert last_whole_checkpoint(tmp_path / "killed") == str(tmp_path / "killed" / "checkpoint-4")
    resumed, again = run(tiny_long_folder, tmp_path / "killed")
    assert again == losses
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_slow_run_saves_by_time_and_ends_the_same(
    tiny_long_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, losses = run(tiny_long_folder, tmp_path / "whole", save_steps=100)
    assert title_of_run("seed 0", tmp_path / "killed", 6) == "seed 0"
    with pytest.raises(Killed):
        run(tiny_long_folder, tmp_path / "killed", kill_at=5, save_steps=100)
    assert title_of_run("seed 0", tmp_path / "killed", 6).startswith("seed 0, from the start")
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    with pytest.raises(Killed):
        run(tiny_long_folder, tmp_path / "killed", kill_at=5, save_steps=100)
    assert title_of_run("seed 0", tmp_path / "killed", 6) == "seed 0, goes on after step 4 of 6"
    resumed, again = run(tiny_long_folder, tmp_path / "killed", save_steps=100)
    assert again == losses
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    # Compared runs of a probe keep nothing.
    run(tiny_long_folder, tmp_path / "none", save_steps=None)
    assert not list((tmp_path / "none").glob("checkpoint-*"))


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "unfinished", "garbled list"])
def test_a_damaged_checkpoint_is_deleted_and_the_one_before_it_used(
    damage: str, tiny_long_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        run(tiny_long_folder, tmp_path, kill_at=5)
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    (tmp_path / "checkpoint-notes").mkdir()
    last = tmp_path / "checkpoint-4"
    assert last_whole_checkpoint(tmp_path) == str(last)
    weights = last / "optimizer.pt"
    data = bytearray(weights.read_bytes())
    if damage == "cut":
        weights.write_bytes(data[:-100])
    elif damage == "changed":
        data[len(data) // 2] ^= 1
        weights.write_bytes(data)
    elif damage == "missing":
        weights.unlink()
    else:
        (last / WHOLE).unlink() if damage == "unfinished" else (last / WHOLE).write_text("{")
    assert last_whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert not last.exists()
    assert (tmp_path / "checkpoint-notes").exists()
    assert last_whole_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"),
    ],
)
def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(
    error: Exception, tiny_long_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    _, losses = run(tiny_long_folder, tmp_path / "whole")
    save = torch.save

    def full(value, file, *rest, **options) -> None:
        if "checkpoint-4" in str(file):
            Path(file).write_bytes(b"half")
            raise error
        save(value, file, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(LongbioError, match="no space is left"):
            run(tiny_long_folder, tmp_path / "full")
    assert last_whole_checkpoint(tmp_path / "full") == str(tmp_path / "full" / "checkpoint-2")
    assert run(tiny_long_folder, tmp_path / "full")[1] == losses


def test_a_batch_that_cannot_be_divided_is_said() -> None:
    settings = settings_of(steps=1, learning_rate=1e-3, batch=6, device_batch=2)
    assert settings.passes(3) == (2, 1)
    assert settings.passes(1) == (2, 3)
    with pytest.raises(LongbioError, match="6 samples can't be divided over 2 processes with 2"):
        settings.passes(2)
    with pytest.raises(LongbioError, match="can't be divided"):
        settings_of(steps=1, learning_rate=1e-3, batch=1).passes(2)


def test_stable_adamw_learns_and_its_package_is_named_where_it_is_missing(
    tiny_long_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    _, losses = run(tiny_long_folder, tmp_path, steps=20, optimizer="stable-adamw")
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    monkeypatch.setitem(sys.modules, "optimi", None)
    with pytest.raises(LongbioError, match="torch-optimi"):
        run(tiny_long_folder, tmp_path / "other", optimizer="stable-adamw")


def test_accumulated_batches_weigh_every_item_the_same(tiny_long_folder: Path, tmp_path: Path) -> None:
    """A batch of two unequal samples gives the gradient of their sum over all their items."""
    from longbio.training.trainer import Trainer

    captured: list[Tensor] = []

    def loss(model: nn.Module, batch) -> Tensor:
        total = summed_loss(model, batch)
        captured.append(total.detach() / (batch["labels"] != -100).sum())
        return total

    model = load(tiny_long_folder, "mlm")
    import transformers

    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), report_to=[])
    settings = settings_of(steps=1, learning_rate=1e-3)
    trainer = Trainer(summed_loss=loss, settings=settings, model=model, args=arguments)
    ids = torch.randint(5, 60, (2, 16))
    labels = torch.full_like(ids, -100)
    labels[0, 3], labels[1, 3:9] = 7, 8
    parts = [
        trainer.compute_loss(
            model,
            {"input_ids": ids[row : row + 1], "labels": labels[row : row + 1]},
            num_items_in_batch=torch.tensor(7),
        )
        for row in range(2)
    ]
    whole = trainer.compute_loss(model, {"input_ids": ids, "labels": labels})
    assert torch.allclose(parts[0] + parts[1], whole, atol=1e-6)
    items = {"input_ids": ids, "labels": labels}
    assert torch.allclose(whole, summed_loss(model, items) / 7, atol=1e-6)
    assert not torch.allclose((captured[0] + captured[1]) / 2, whole, atol=1e-3)
