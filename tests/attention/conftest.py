"""Random queries, keys and values, masks of every kind, and one hand-written law."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from longbio.attention.pattern import SparsePattern, block_sparse, sliding_window


def random_masks(rows: int, length: int, globals_: str, seed: int) -> tuple[Tensor, Tensor | None]:
    """Real and global tokens: rows padded right, left, inside, everywhere and nowhere."""
    draw = torch.Generator().manual_seed(seed)
    position = torch.arange(length)
    third = max(1, length // 3)
    valid = torch.stack(
        [
            torch.ones(length, dtype=torch.bool),
            position < length - third,
            position >= third,
            (position < third) | (position >= 2 * third),
            torch.zeros(length, dtype=torch.bool),
        ]
    )[:rows]
    chosen = {
        "no": None,
        "few": torch.rand(valid.shape, generator=draw) < 3 / length,
        "many": torch.rand(valid.shape, generator=draw) < 0.3,
        "all": torch.ones_like(valid),
    }[globals_]
    return valid, chosen


@pytest.fixture
def window_pattern() -> Callable[..., SparsePattern]:
    def make(length: int, window_tokens: int, globals_: str = "few", seed: int = 0) -> SparsePattern:
        valid, chosen = random_masks(5, length, globals_, seed)
        return sliding_window(valid, chosen, window_tokens=window_tokens)

    return make


@pytest.fixture
def block_pattern() -> Callable[..., SparsePattern]:
    def make(length: int, block_tokens: int, random_blocks: int = 1, seed: int = 0) -> SparsePattern:
        valid, _ = random_masks(5, length, "no", 0)
        return block_sparse(valid, block_tokens=block_tokens, random_blocks=random_blocks, seed=seed)

    return make


@pytest.fixture
def tensors() -> Callable[..., tuple[Tensor, ...]]:
    """tensors(length, head_size, ...) -> query, key, value, and a gradient for the output."""

    def make(
        length: int,
        head_size: int = 16,
        rows: int = 5,
        heads: int = 2,
        dtype: Any = torch.float32,
        seed: int = 1,
    ) -> tuple[Tensor, ...]:
        draw = torch.Generator().manual_seed(seed)
        shape = (rows, heads, length, head_size)
        made = [torch.randn(shape, generator=draw).to(dtype) for _ in range(4)]
        return (*(tensor.requires_grad_() for tensor in made[:3]), made[3])

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on tensors this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)
