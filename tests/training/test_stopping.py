"""Averaged weights and early stopping: what is kept, what is returned, what a kill leaves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from longbio.errors import LongbioError
from longbio.training.averaging import Average
from longbio.training.stopping import EarlyStopping
from longbio.training.trainer import BESIDE, last_whole_checkpoint, train
from tests.flat_settings import settings_of


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture(autouse=True)
def own_chance() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def make() -> Any:
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=8, num_labels=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config)
    model.bert.embeddings.requires_grad_(False)
    return model


def summed_loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    return cross_entropy(model(input_ids=batch["input_ids"]).logits, batch["labels"], reduction="sum")


def collate(samples: Any) -> dict[str, Tensor]:
    ids = torch.stack(list(samples))
    return {"input_ids": ids, "labels": ids[:, 0] % 2}


SAMPLES: Any = torch.randint(20, (40, 6), generator=torch.Generator().manual_seed(0))


class Run:
    """One call of `train`, with the weights after every step."""

    def __init__(
        self,
        out: Path,
        *,
        stopping: EarlyStopping | None = None,
        kill_at: int | None = None,
        average_last: float = 0.0,
        **changes: Any,
    ) -> None:
        self.model, self.stopping = make(), stopping
        self.after: dict[int, dict[str, Tensor]] = {}
        settings = settings_of(**{"steps": 10, "learning_rate": 1e-2, "batch": 4, "save_steps": 3} | changes)

        def on_step(step: int, loss: float) -> None:
            self.after[step] = {name: w.detach().clone() for name, w in self.model.named_parameters()}
            if step == kill_at:
                raise Killed

        _, self.losses = train(
            self.model, SAMPLES, collate, summed_loss, settings, out, on_step,
            average_last=average_last, stopping=stopping,
        )  # fmt: skip

    def is_after(self, step: int) -> bool:
        return all(torch.equal(w, self.after[step][name]) for name, w in self.model.named_parameters())


def scored(scores: list[float], every: int = 2, patience: int | None = None) -> EarlyStopping:
    """Early stopping by scores that are laid down; a resumed run asks for the rest of them."""
    asked = iter(scores)
    return EarlyStopping(lambda model: next(asked), every, patience)


def test_the_best_weights_are_returned_and_equal_scores_count_once(tmp_path: Path) -> None:
    run = Run(tmp_path, stopping=scored([0.1, 0.5, 0.3, 0.5, 0.2]))
    assert run.stopping is not None
    assert run.stopping.history == [(2, 0.1), (4, 0.5), (6, 0.3), (8, 0.5), (10, 0.2)]
    assert run.stopping.best_step == 4
    assert run.is_after(4)
    assert not run.is_after(10)
    assert not run.model.training
    assert set(run.stopping.best) == {n for n, w in run.model.named_parameters() if w.requires_grad}


@pytest.mark.parametrize(("patience", "last"), [(1, 6), (2, 8), (3, 10)])
def test_training_ends_when_patience_runs_out(patience: int, last: int, tmp_path: Path) -> None:
    run = Run(tmp_path, stopping=scored([0.1, 0.5, 0.3, 0.5, 0.2], patience=patience))
    assert len(run.losses) == max(run.after) == last
    assert run.is_after(4)


def test_the_last_step_is_always_scored(tmp_path: Path) -> None:
    run = Run(tmp_path, stopping=scored([0.1, 0.2, 0.3], every=4))
    assert run.stopping is not None
    assert run.stopping.history == [(4, 0.1), (8, 0.2), (10, 0.3)]
    assert run.is_after(10)


def test_a_score_that_is_no_number_is_said(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="score is nan after step 4"):
        Run(tmp_path, stopping=scored([0.1, float("nan")]))
    for wrong in ({"every_steps": 0}, {"every_steps": 1, "patience": 0}):
        with pytest.raises(ValueError, match="above 0"):
            EarlyStopping(lambda model: 0.0, **wrong)


def by_chance(seen: list[Any]) -> Callable[[Any], float]:
    def evaluate(model: Any) -> float:
        seen.append((model.training, torch.is_grad_enabled()))
        model.bert.pooler.train()
        return random.random() + np.random.rand() + torch.rand(1).item()

    return evaluate


def draws() -> tuple[Any, ...]:
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_scoring_disturbs_nothing(tmp_path: Path) -> None:
    seen: list[Any] = []
    stopping = EarlyStopping(by_chance(seen), 1)
    alone, scored_too = Run(tmp_path / "alone"), Run(tmp_path / "scored", stopping=stopping)
    assert scored_too.losses == alone.losses
    assert seen == [(False, False)] * 10

    model = make().train()
    model.bert.encoder.eval()
    modes = [module.training for module in model.modules()]
    found = []
    for looks in (False, True):
        transformers.set_seed(1)
        if looks:
            stopping.look(model, 11)
        found.append(draws())
    assert found[0] == found[1]
    assert [module.training for module in model.modules()] == modes


def test_the_average_is_the_mean_of_the_last_weights(tmp_path: Path) -> None:
    run = Run(tmp_path, average_last=0.4)
    for name, weight in run.model.named_parameters():
        by_hand = sum(run.after[step][name] for step in (7, 8, 9, 10)) / 4
        assert torch.allclose(weight, by_hand, atol=1e-6), name
    assert not run.is_after(10)
    assert torch.equal(
        run.model.bert.embeddings.LayerNorm.weight, run.after[1]["bert.embeddings.LayerNorm.weight"]
    )
    assert Average.of_last(0.01, 10).first_step == 10
    assert Average.of_last(1.0, 10).first_step == 1


def test_the_average_is_what_is_scored_once_there_is_one(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def evaluate(model: Any) -> float:
        seen.append(model.classifier.weight.detach().clone())
        return float(len(seen))

    run = Run(tmp_path, average_last=0.4, stopping=EarlyStopping(evaluate, 3))
    own = [run.after[step]["classifier.weight"] for step in (3, 6)]
    averaged = [sum(run.after[n]["classifier.weight"] for n in range(7, last + 1)) for last in (9, 10)]
    expected = [*own, averaged[0] / 3, averaged[1] / 4]
    for found, wanted in zip(seen, expected, strict=True):
        assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(run.model.classifier.weight, expected[-1], atol=1e-6)


@pytest.mark.parametrize("kill_at", [5, 8, 10])
def test_a_killed_run_keeps_average_and_best_weights(kill_at: int, tmp_path: Path) -> None:
    scores = [0.1, 0.9, 0.3, 0.4, 0.2]
    whole = Run(tmp_path / "whole", stopping=scored(scores), average_last=0.8)
    with pytest.raises(Killed):
        Run(tmp_path / "killed", stopping=scored(scores), average_last=0.8, kill_at=kill_at)
    done = (kill_at - 1) // 3 * 3
    assert last_whole_checkpoint(tmp_path / "killed") == str(tmp_path / "killed" / f"checkpoint-{done}")
    resumed = Run(tmp_path / "killed", stopping=scored(scores[done // 2 :]), average_last=0.8)
    assert whole.stopping is not None
    assert resumed.stopping is not None
    assert resumed.stopping.history == whole.stopping.history
    assert resumed.losses == whole.losses
    for name, weight in whole.model.named_parameters():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name

    averaged = Run(tmp_path / "averaged", average_last=0.8)
    with pytest.raises(Killed):
        Run(tmp_path / "averaged again", average_last=0.8, kill_at=kill_at)
    again = Run(tmp_path / "averaged again", average_last=0.8)
    for name, weight in averaged.model.named_parameters():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_a_run_that_has_ended_ends_the_same_when_it_is_asked_again(tmp_path: Path) -> None:
    scores = [0.1, 0.5, 0.3, 0.2]
    early = Run(tmp_path / "early", stopping=scored(scores, patience=2), save_steps=2)
    # Step 8 leaves no checkpoint, or there would be a ninth.
    assert last_whole_checkpoint(tmp_path / "early") == str(tmp_path / "early" / "checkpoint-6")
    again = Run(tmp_path / "early", stopping=scored(scores[3:], patience=2), save_steps=2)
    assert again.losses == early.losses
    assert len(again.losses) == 8
    late = Run(tmp_path / "late", stopping=scored([0.1, 0.5, 0.3, 0.2, 0.4]))
    same = Run(tmp_path / "late", stopping=scored([]))
    for one, other in ((early, again), (late, same)):
        for name, weight in one.model.named_parameters():
            assert torch.equal(weight, other.model.state_dict()[name]), name


def test_what_is_kept_beside_is_hashed(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        Run(tmp_path, stopping=scored([0.1, 0.2, 0.3, 0.4]), kill_at=8)
    file = tmp_path / "checkpoint-6" / BESIDE
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert last_whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-3")


def test_a_run_begun_without_scores_and_divided_weights_are_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(Killed):
        Run(tmp_path, average_last=0.5, kill_at=5)
    with pytest.raises(LongbioError, match="begun without stopping"):
        Run(tmp_path, average_last=0.5, stopping=scored([]))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(LongbioError, match="need whole weights"):
        Run(tmp_path, average_last=0.5)


def test_one_early_stopping_serves_several_runs(tmp_path: Path) -> None:
    stopping = scored([0.9, 0.1, 0.2, 0.1], every=5)
    Run(tmp_path / "one", stopping=stopping)
    run = Run(tmp_path / "other", stopping=stopping)
    assert stopping.history == [(5, 0.2), (10, 0.1)]
    assert run.is_after(5)
