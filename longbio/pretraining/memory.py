"""How much memory and disk a run will take, told before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForMaskedLM

from longbio.corpus.texts import COMPRESSIONS
from longbio.encoders.families import setting
from longbio.pretraining.phase import Phase
from longbio.training.settings import Machine

BYTES = 4
CHARACTERS_PER_TOKEN = 4.5
BYTES_PER_TOKEN = 3
"""Of the cache: an id of 16 bits, and whether a word begins."""

COMPRESSED = 3.5
"""How much longer a text is than its gz or zst."""


def training_bytes(config: Any, phase: Phase, machine: Machine, processes: int = 1) -> int:
    """Memory of one device during a step, about: weights, gradients, Adam's two moments, and what the
    backward pass needs. `processes` share the batch."""
    with torch.device("meta"):
        model = AutoModelForMaskedLM.from_config(config)
    weights = sum(weight.numel() for weight in model.parameters())
    learned = weights
    if phase.learns == "head":
        learned -= sum(weight.numel() for weight in model.base_model.parameters())
    tokens = (machine.device_batch or max(1, phase.batch // processes)) * phase.sequence_tokens
    layers = config.num_hidden_layers if phase.learns != "head" else 0
    kept = layers * tokens * kept_numbers(config)
    if machine.gradient_checkpointing:
        kept = tokens * (layers * config.hidden_size + kept_numbers(config))
    # Logits, their gradient, and the softmax between them.
    logits = 3 * phase.masking.rate_at(0.0) * tokens * config.vocab_size
    return int(BYTES * (weights + 3 * learned + kept + logits))


def kept_numbers(config: Any) -> int:
    """Numbers that a layer keeps for its backward pass, for each token."""
    # Queries, keys, values, the context, three sums, two norms, dropout; and the inner layer before
    # and after its activation.
    inner = setting(config, "intermediate_size")
    return int(10 * config.hidden_size + 3 * inner)


def cache_bytes(files: Sequence[Path]) -> int:
    """Disk that the tokens of these files will take, about."""
    characters = sum(
        file.stat().st_size * (COMPRESSED if file.suffix in COMPRESSIONS else 1.0) for file in files
    )
    return int(characters / CHARACTERS_PER_TOKEN * BYTES_PER_TOKEN)
