"""Losses are per item, and a killed run ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from longbio.encoders.loading import load
from longbio.masked_lm.head import summed_loss
from longbio.pretraining.packing import pack
from longbio.pretraining.run import MaskedSequences, PretrainingSettings
from longbio.training.trainer import WHOLE, TrainingSettings, last_whole_checkpoint, train

TEXTS = [f"the patient takes drug {number} daily, b.i.d. and p.o." for number in range(12)]


class Killed(Exception):
    """Stands for a kill."""


def run(model_folder: Path, out: Path, *, kill_at: int | None = None, **changes: object):
    training = TrainingSettings(**{"steps": 6, "learning_rate": 1e-2, "batch": 2, "save_steps": 2, **changes})
    settings = PretrainingSettings(training, sequence_tokens=32)
    torch.manual_seed(0)
    model = load(model_folder, "mlm")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    samples = MaskedSequences(pack(TEXTS, tokenizer, 32), tokenizer, settings)

    def on_step(step: int, loss: float) -> None:
        if step == kill_at:
            raise Killed

    losses = train(model, samples, samples.collate, summed_loss, training, out, on_step)
    return model, losses


def test_training_lowers_the_loss_and_reports_every_step(tiny_long_folder: Path, tmp_path: Path) -> None:
    _, losses = run(tiny_long_folder, tmp_path, steps=20)
    assert len(losses) == 20
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_a_killed_run_ends_with_the_same_weights(tiny_long_folder: Path, tmp_path: Path) -> None:
    whole, losses = run(tiny_long_folder, tmp_path / "whole")
    with pytest.raises(Killed):
        run(tiny_long_folder, tmp_path / "killed", kill_at=5)
    assert last_whole_checkpoint(tmp_path / "killed") == str(tmp_path / "killed" / "checkpoint-4")
    resumed, again = run(tiny_long_folder, tmp_path / "killed")
    assert again == losses
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_damaged_checkpoint_is_deleted_and_the_one_before_it_used(tmp_path: Path) -> None:
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-2" / WHOLE).write_text("2")
    (tmp_path / "checkpoint-notes").mkdir()
    assert last_whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert not (tmp_path / "checkpoint-10").exists()
    assert (tmp_path / "checkpoint-notes").exists()
    assert last_whole_checkpoint(tmp_path / "nowhere") is None


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
    trainer = Trainer(summed_loss=loss, model=model, args=arguments)
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


def test_the_head_learns_faster_and_norms_do_not_decay(tiny_long_folder: Path) -> None:
    from longbio.training.trainer import _optimizer

    model = load(tiny_long_folder, "ner", num_labels=3)
    groups = _optimizer(model, TrainingSettings(steps=1, learning_rate=1e-3, head_factor=10.0)).param_groups
    assert {(round(g["lr"], 6), g["weight_decay"]) for g in groups} == {
        (1e-3, 0.01),
        (1e-3, 0.0),
        (1e-2, 0.01),
        (1e-2, 0.0),
    }
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
