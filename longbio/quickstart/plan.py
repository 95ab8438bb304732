"""How much a quickstart does: fixed at its start, so that a killed run ends as it would have."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from longbio.encoders.families import max_positions
from longbio.encoders.loading import load

FIXED_SECONDS = 110
"""Imports, verification, predictions and the report, on two cores."""

HEALING_COST, HEAD_COST, LEARNING_COST = 1.0, 0.35, 0.27
"""Seconds of a step over those of a healing step, measured on two cores."""

PROBE_TOKENS = 1024


@dataclass(frozen=True)
class Plan:
    """Steps, rates and amounts of one run.

    Args:
        train_notes: notes that are made to learn from; corpora of one's own have their number.
        dev_notes: notes that are held out for bits per masked token, and to choose a rate by.
        test_notes: notes that are scored.
        head_steps: steps of the masked-LM head, of 8 sequences of 512 tokens.
        healing_steps: masked-LM steps of the long model, of one sequence of 4,096 tokens.
        learning_steps: steps of entity fine-tuning, each on 1,024 tokens of one document.
        learning_rates: tried for both models; the development notes choose.
        seed: of everything.
    """

    train_notes: int = 60
    dev_notes: int = 3
    test_notes: int = 10
    head_steps: int = 16
    healing_steps: int = 18
    learning_steps: int = 95
    learning_rates: tuple[float, ...] = (5e-4,)
    seed: int = 0


def plan_for(minutes: float | None, source: Path, seed: int) -> Plan:
    """The plan of a run of so many minutes; the standard one when None.

    With minutes given, the speed of this machine is measured for a moment.

    Args:
        minutes: wanted, from start to report.
        source: the short model.
        seed: of everything.
    """
    standard = Plan(seed=seed)
    if minutes is None:
        return standard
    step = _seconds_of_a_healing_step(source)
    rates = standard.learning_rates if minutes < 15 else (3e-4, 5e-4, 1e-3)
    cost = (
        standard.head_steps * HEAD_COST
        + standard.healing_steps * HEALING_COST
        + 2 * standard.learning_steps * LEARNING_COST * len(rates)
    )
    share = max(0.0, minutes * 60 - FIXED_SECONDS) / (cost * step)
    return Plan(
        head_steps=max(1, round(standard.head_steps * share)),
        healing_steps=max(1, round(standard.healing_steps * share)),
        learning_steps=max(1, round(standard.learning_steps * share)),
        learning_rates=rates,
        seed=seed,
    )


def _seconds_of_a_healing_step(source: Path) -> float:
    """Forward and backward of the short model over 1,024 tokens, times 4,096 / 1,024."""
    model = load(source)
    num_tokens = min(256, max_positions(model.config))
    ids = torch.zeros(PROBE_TOKENS // num_tokens, num_tokens, dtype=torch.long)
    fastest = float("inf")
    for _ in range(3):
        start = time.monotonic()
        model(ids).last_hidden_state.square().mean().backward()
        fastest = min(fastest, time.monotonic() - start)
    return fastest * 4096 / PROBE_TOKENS
