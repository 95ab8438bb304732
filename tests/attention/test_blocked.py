"""`blocked` against the law: output, dq, dk and dv, at awkward lengths, with hollow memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from longbio.attention import blocked, reference
from longbio.attention.pattern import SparsePattern, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Patterns = Callable[..., SparsePattern]
LENGTHS = [1, 63, 111, 513, 1037]


@pytest.fixture(autouse=True)
def hollow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `empty` gives holds NaN: whatever is left unwritten shows."""
    honest = {name: getattr(torch, name) for name in ("empty", "empty_like")}

    def poisoned(name: str) -> Callable[..., Tensor]:
        def make(*arguments: Any, **options: Any) -> Tensor:
            made = honest[name](*arguments, **options)
            return made.fill_(float("nan")) if made.is_floating_point() else made

        return make

    for name in honest:
        monkeypatch.setattr(blocked.torch, name, poisoned(name))


def both(made: tuple[Tensor, ...], pattern: SparsePattern) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(name, ours, the law's) for the output and the three gradients."""
    query, key, value, grad = made
    results = []
    for attend in (blocked.attend, reference.attend):
        output = attend(query, key, value, pattern)
        results.append((output, *torch.autograd.grad(output, (query, key, value), grad)))
    yield from zip(("output", "dq", "dk", "dv"), *results, strict=True)


def assert_same(made: tuple[Tensor, ...], pattern: SparsePattern, limit: float = 2e-5) -> None:
    for name, ours, law in both(made, pattern):
        assert ours.dtype == law.dtype, name
        assert ours.isfinite().all(), name
        scale = max(1.0, law.abs().max().item())
        assert (ours - law).abs().max().item() / scale < limit, name


@pytest.mark.parametrize("head_size", [16, 64])
@pytest.mark.parametrize("globals_", ["no", "few"])
@pytest.mark.parametrize("length", LENGTHS)
def test_window(
    length: int, globals_: str, head_size: int, tensors: Tensors, window_pattern: Patterns
) -> None:
    rows = 5 if length < 1000 else 2
    pattern = window_pattern(length, 37, globals_)
    pattern = sliding_window(pattern.valid_BT[-rows:], pattern.global_BT[-rows:], window_tokens=37)
    assert_same(tensors(length, head_size, rows=rows, heads=2), pattern)


@pytest.mark.parametrize("globals_", ["many", "all"])
@pytest.mark.parametrize("length", [63, 300])
def test_window_with_many_global_tokens(
    length: int, globals_: str, tensors: Tensors, window_pattern: Patterns
) -> None:
    assert_same(tensors(length), window_pattern(length, 8, globals_))


@pytest.mark.parametrize("window", [1, 127, 128, 129, 600])
def test_window_around_the_size_of_a_tile(window: int, tensors: Tensors, window_pattern: Patterns) -> None:
    assert_same(tensors(300), window_pattern(300, window))


@pytest.mark.parametrize(("length", "block"), [(1, 4), (63, 2), (111, 4), (513, 16), (1037, 16), (1037, 64)])
@pytest.mark.parametrize("random_blocks", [0, 1, 3])
def test_blocks(
    length: int, block: int, random_blocks: int, tensors: Tensors, block_pattern: Patterns
) -> None:
    head_size = 64 if block == 4 else 16
    assert_same(tensors(length, head_size, heads=1), block_pattern(length, block, random_blocks))


def test_blocks_with_counts_above_one(tensors: Tensors) -> None:
    """What stock BigBird computes in evaluation counts block 0 several times."""
    draw = torch.Generator().manual_seed(0)
    valid = torch.ones(2, 61, dtype=torch.bool)
    valid[1, 50:] = False
    counts = torch.zeros(2, 16, 16, dtype=torch.long)
    counts.diagonal(dim1=1, dim2=2).fill_(1)
    counts[:, :, 0] = 4
    counts.scatter_(2, torch.randint(16, (2, 16, 2), generator=draw), 2)
    pattern = SparsePattern(valid, torch.zeros_like(valid), block_tokens=4, counts_BNN=counts)
    assert any(tile.far_BE is not None for tile in blocked._block_tiles(pattern))
    assert_same(tensors(61, rows=2), pattern)


@pytest.mark.parametrize("kind", ["window", "block"])
def test_padding_gives_zero_and_gets_no_gradient(
    kind: str, tensors: Tensors, window_pattern: Patterns, block_pattern: Patterns
) -> None:
    pattern = window_pattern(111, 9, "few") if kind == "window" else block_pattern(111, 4)
    query, key, value, grad = tensors(111)
    output = blocked.attend(query, key, value, pattern)
    padding = ~pattern.valid_BT[:, None, :, None].expand_as(output)
    assert (output[padding] == 0).all()
    assert not pattern.valid_BT[4].any()
    for gradient in torch.autograd.grad(output, (query, key, value), grad):
        assert (gradient[padding] == 0).all()
        assert gradient[:4].abs().sum() > 0


@pytest.mark.parametrize("kind", ["window", "block"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(
    kind: str, dtype: torch.dtype, tensors: Tensors, window_pattern: Patterns, block_pattern: Patterns
) -> None:
    pattern = window_pattern(300, 20, "few") if kind == "window" else block_pattern(300, 8)
    assert_same(tensors(300, dtype=dtype), pattern, limit=0.03)


@pytest.mark.parametrize("kind", ["window", "block"])
def test_work_is_sparse(kind: str, window_pattern: Patterns, block_pattern: Patterns) -> None:
    """The intended branch runs: no tile of an inner query looks at every key."""
    pattern = window_pattern(1037, 37) if kind == "window" else block_pattern(1037, 16)
    pattern = (
        sliding_window(pattern.valid_BT[:1], pattern.global_BT[:1], window_tokens=37)
        if kind == "window"
        else SparsePattern(
            pattern.valid_BT[:1],
            pattern.global_BT[:1],
            block_tokens=16,
            counts_BNN=pattern.counts_BNN[:1] if pattern.counts_BNN is not None else None,
        )
    )
    made = [blocked._with_bias(keys, pattern, torch.float32) for keys in blocked._tiles(pattern)]
    work = sum(tile.bias_B1QK.shape[2] * tile.bias_B1QK.shape[3] for tile in made)
    assert work < 0.35 * 1037**2
    assert any(tile.far_BE is not None for tile in made)


def test_tiles_are_made_once_for_all_layers(
    tensors: Tensors, window_pattern: Patterns, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = window_pattern(111, 9)
    query, key, value, _ = tensors(111)
    first = blocked.attend(query, key, value, pattern)
    monkeypatch.setattr(blocked, "_tiles", lambda _: pytest.fail("made twice"))
    assert torch.equal(blocked.attend(query, key, value, pattern), first)


@pytest.mark.parametrize("kind", ["window", "block"])
def test_dropout_is_replayed_in_the_backward_pass(
    kind: str, tensors: Tensors, window_pattern: Patterns, block_pattern: Patterns
) -> None:
    """Plain autograd through the same tiles in the same order draws the same masks."""
    pattern = window_pattern(300, 20, "few") if kind == "window" else block_pattern(300, 8)
    query, key, value, grad = tensors(300)

    torch.manual_seed(7)
    output = blocked.attend(query, key, value, pattern, dropout=0.4)
    after = torch.get_rng_state()
    torch.rand(11)  # what other layers draw in between
    between = torch.get_rng_state()
    ours = torch.autograd.grad(output, (query, key, value), grad)
    assert torch.equal(torch.get_rng_state(), between)

    torch.manual_seed(7)
    parts = []
    for tile in pattern.cache[("blocked", torch.float32)]:
        parts.append(
            scaled_dot_product_attention(
                query[:, :, tile.query],
                blocked._take(key, tile),
                blocked._take(value, tile),
                attn_mask=tile.bias_B1QK,
                dropout_p=0.4,
            )
        )
    assert torch.equal(torch.get_rng_state(), after)
    plain = torch.cat(parts, dim=2).masked_fill(~pattern.valid_BT[:, None, :, None], 0.0)
    assert torch.equal(plain, output)
    for mine, theirs in zip(ours, torch.autograd.grad(plain, (query, key, value), grad), strict=True):
        assert (mine - theirs).abs().max() < 1e-5
    without = blocked.attend(query, key, value, pattern)
    assert (without - output).abs().max() > 0.1


def test_dropout_drops_the_right_share(tensors: Tensors) -> None:
    """With values of a unit basis the output is the weights themselves."""
    valid = torch.ones(1, 200, dtype=torch.bool)
    pattern = sliding_window(valid, None, window_tokens=40)
    query, key, _, _ = tensors(200, head_size=200, rows=1)
    eye = torch.eye(200).expand(1, 2, 200, 200)
    torch.manual_seed(0)
    with torch.no_grad():
        weights = blocked.attend(query, key, eye, pattern, dropout=0.25)
        kept = weights / blocked.attend(query, key, eye, pattern)
    kept = kept[kept.isfinite()]
    assert abs((kept == 0).float().mean().item() - 0.25) < 0.02
    assert (kept[kept != 0] - 4 / 3).abs().max() < 1e-3


def test_gradients_agree_with_finite_differences() -> None:
    draw = torch.Generator().manual_seed(0)
    made = [torch.randn(1, 1, 9, 4, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(3)]
    valid = torch.ones(1, 9, dtype=torch.bool)
    valid[0, 7] = False
    chosen = torch.zeros_like(valid)
    chosen[0, 1] = True
    pattern = sliding_window(valid, chosen, window_tokens=2)
    # Sums over tiles are kept in float32, so the limits are those of float32.
    assert torch.autograd.gradcheck(
        lambda *tensors: blocked.attend(*tensors, pattern), tuple(made), eps=1e-4, atol=1e-4, rtol=1e-3
    )
