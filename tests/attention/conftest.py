"""Random queries, keys and values, masks of every kind, and the comparison of a kernel with the law."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from longbio.attention import reference
from longbio.attention.blocks import block_sparse
from longbio.attention.pattern import SparsePattern, sliding_window


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
    def make(
        length: int, window_tokens: int, globals_: str = "few", seed: int = 0, rows: int = 5
    ) -> SparsePattern:
        valid, chosen = random_masks(rows, length, globals_, seed)
        return sliding_window(valid, chosen, window_tokens=window_tokens)

    return make


@pytest.fixture
def block_pattern() -> Callable[..., SparsePattern]:
    def make(
        length: int, block_tokens: int, random_blocks: int = 1, seed: int = 0, rows: int = 5
    ) -> SparsePattern:
        valid, _ = random_masks(rows, length, "no", 0)
        return block_sparse(valid, block_tokens=block_tokens, random_blocks=random_blocks, seed=seed)

    return make


@pytest.fixture
def pattern_of(
    window_pattern: Callable[..., SparsePattern], block_pattern: Callable[..., SparsePattern]
) -> Callable[..., SparsePattern]:
    """pattern_of(kind, length): five rows, padded in every way, sparse from 100 tokens on."""

    def make(kind: str, length: int) -> SparsePattern:
        return window_pattern(length, 9) if kind == "window" else block_pattern(length, 4)

    return make


@pytest.fixture
def packed_pattern() -> Callable[..., SparsePattern]:
    """packed_pattern(kind, lengths): documents in one row, five tokens of padding behind them.

    A window's documents touch, and the first token of each is global; blocks have 4 tokens, and
    documents start on their borders.
    """

    def make(kind: str, lengths: Sequence[int]) -> SparsePattern:
        if kind == "window":
            numbers = [number for number, length in enumerate(lengths) for _ in range(length)]
            document = torch.tensor([[*numbers, *[-1] * 5]])
            chosen = document.diff(prepend=torch.tensor([[-1]])) != 0
            return sliding_window(document >= 0, chosen, window_tokens=9, document_BT=document)
        parts = [
            torch.tensor([number] * length + [-1] * (-length % 4)) for number, length in enumerate(lengths)
        ]
        document = torch.cat([*parts, torch.full((5,), -1)])[None]
        return block_sparse(document >= 0, block_tokens=4, random_blocks=1, seed=0, document_BT=document)

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


Result = dict[str, Tensor]


@pytest.fixture
def results() -> Callable[..., Result]:
    """results(attend, made, pattern, **options) -> output, dq, dk and dv, by name."""

    def run(
        attend: Callable[..., Tensor], made: tuple[Tensor, ...], pattern: SparsePattern, **options: Any
    ) -> Result:
        query, key, value, grad = made
        output = attend(query, key, value, pattern, **options)
        gradients = torch.autograd.grad(output, (query, key, value), grad)
        return dict(zip(("output", "dq", "dk", "dv"), (output.detach(), *gradients), strict=True))

    return run


@pytest.fixture
def assert_close() -> Callable[..., None]:
    """assert_close(ours, law, output=..., gradients=...): limits relative to max(1, |law|)."""

    def check(ours: Result, law: Result, *, output: float = 1e-5, gradients: float = 1e-4) -> None:
        assert ours.keys() == law.keys() == {"output", "dq", "dk", "dv"}
        for name, wanted in law.items():
            assert ours[name].shape == wanted.shape, name
            assert ours[name].isfinite().all(), name
            difference = (ours[name].double() - wanted.double()).abs().max().item()
            limit = output if name == "output" else gradients
            assert difference <= limit * max(1.0, wanted.abs().max().item()), name

    return check


@pytest.fixture
def assert_lawful(results: Callable[..., Result], assert_close: Callable[..., None]) -> Callable[..., None]:
    """assert_lawful(attend, made, pattern): output and gradients are those of the reference."""

    def check(
        attend: Callable[..., Tensor], made: tuple[Tensor, ...], pattern: SparsePattern, **limits: float
    ) -> None:
        assert_close(results(attend, made, pattern), results(reference.attend, made, pattern), **limits)

    return check


@pytest.fixture
def hollow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `empty` gives holds NaN, or a strange number: whatever is left unwritten shows."""
    honest = {name: getattr(torch, name) for name in ("empty", "empty_like")}

    def poisoned(name: str) -> Callable[..., Tensor]:
        def make(*arguments: Any, **options: Any) -> Tensor:
            made = honest[name](*arguments, **options)
            return made.fill_(float("nan") if made.is_floating_point() else 77)

        return make

    for name in honest:
        monkeypatch.setattr(torch, name, poisoned(name))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on tensors this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)
