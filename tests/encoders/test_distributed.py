"""Two processes train as one does: no parameter is left over, whatever is global."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from longbio.encoders.loading import load

Batch = dict[str, Tensor]
WORLD = 2
CASES = {
    "longformer, all have global tokens": ("longformer", (0.1, 0.1)),
    "longformer, no global tokens": ("longformer", (0.0, 0.0)),
    "longformer, one has global tokens": ("longformer", (0.1, 0.0)),
    "longformer, more than are folded": ("longformer", (0.9, 0.1)),
    "big_bird": ("big_bird", (0.0, 0.0)),
}


def one_batch(rank: int, family: str, share: float) -> Batch:
    """Another number of labels in each process."""
    draw = torch.Generator().manual_seed(rank)
    real = torch.arange(110) < torch.tensor([110, 60 - 20 * rank])[:, None]
    ids = torch.randint(5, 60, real.shape, generator=draw) * real
    chosen = (torch.rand(real.shape, generator=draw) < 0.1 + 0.2 * rank) & real
    made = {"input_ids": ids, "attention_mask": real.long(), "labels": torch.where(chosen, ids, -100)}
    if share:
        made["global_attention_mask"] = (torch.rand(real.shape, generator=draw) < share).long() * real
    return made


@pytest.fixture(scope="module")
def cases(make_folder: Callable[..., Path]) -> dict[str, dict[str, Any]]:
    made = {}
    for name, (family, shares) in CASES.items():
        batches = [one_batch(rank, family, share) for rank, share in enumerate(shares)]
        made[name] = {
            "folder": make_folder(family, "mlm", num_hidden_layers=2, **WINDOWS.get(family, {})),
            "checkpointing": True,
            "batches": batches,
            "items": sum(int((batch["labels"] != -100).sum()) for batch in batches),
        }
    plain = "longformer, no global tokens"
    return made | {f"{plain}, without checkpointing": {**made[plain], "checkpointing": False}}


WINDOWS = {"longformer": {"attention_window": [8, 16]}}


@pytest.fixture(scope="module")
def together(
    cases: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What every process found, all cases in one start of them."""
    folder = tmp_path_factory.mktemp("together")
    torch.save(cases, folder / "cases.pt")
    worker = Path(__file__).with_name("distributed_worker.py")
    processes = [
        subprocess.Popen(
            [sys.executable, str(worker), str(rank), str(WORLD), str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(WORLD)
    ]
    try:
        said = [process.communicate(timeout=90)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=False) for rank in range(WORLD)]


def alone(case: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor | None]]:
    """Loss and gradients of the joint batch in this one process."""
    model = load(case["folder"], "mlm", dropout=0.0).train()
    first, second = case["batches"]
    joint = {}
    for name in first.keys() | second.keys():
        zeros = torch.zeros_like(first["input_ids"])
        joint[name] = torch.cat([first.get(name, zeros), second.get(name, zeros)])
    loss = model(**joint, num_items_in_batch=case["items"]).loss
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", [*CASES, "longformer, no global tokens, without checkpointing"])
def test_gradients_are_those_of_the_joint_batch(
    name: str,
    cases: dict[str, dict[str, Any]],
    together: list[dict[str, Any]],
    assert_near: Callable[..., None],
) -> None:
    for found in together:
        assert "error" not in found[name], found[name]["error"]
    loss, wanted = alone(cases[name])
    for step in range(2):
        assert_near(sum(found[name]["losses"][step] for found in together), loss)
    compared = 0
    for parameter, gradient in wanted.items():
        given = [found[name]["gradients"][parameter] for found in together]
        # Processes agree, also where there is nothing to learn.
        assert all(one is not None for one in given), parameter
        assert torch.equal(*given), parameter
        expected = torch.zeros_like(given[0]) if gradient is None else gradient
        for one in given:
            assert_near(one, expected, 1e-5, parameter)
        compared += bool(expected.abs().sum() > 0)
    assert compared > 30
