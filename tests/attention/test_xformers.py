"""`xformers` against the law. On a CPU torch's attention stands in for the one call of xformers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from longbio.attention import xformers
from longbio.attention.pattern import SparsePattern, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Patterns = Callable[..., SparsePattern]
Lawful = Callable[..., None]
Results = Callable[..., dict[str, Tensor]]

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available()
    or importlib.util.find_spec("xformers") is None
    or not xformers._is_usable(),
    reason="needs a CUDA device and xformers built for it",
)


class StandIn:
    """The contract of `xformers.ops.memory_efficient_attention`, its demands on memory included."""

    def __init__(self) -> None:
        self.scores = 0
        self.calls = 0

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, *, attn_bias: Tensor, p: float, scale: float
    ) -> Tensor:
        rows, queries, heads, size = query.shape
        assert key.shape == value.shape == (rows, key.shape[1], heads, size)
        assert size % 8 == 0
        assert all(tensor.stride(-1) == 1 for tensor in (query, key, value, attn_bias))
        assert attn_bias.shape == (rows, heads, queries, key.shape[1])
        assert all(stride % 8 == 0 for stride in attn_bias.stride()[:-1])
        assert attn_bias.dtype == query.dtype == key.dtype == value.dtype
        assert not attn_bias.isneginf().all(dim=-1).any(), "a softmax over nothing is NaN"
        self.calls += 1
        self.scores += rows * queries * key.shape[1]
        three = [tensor.transpose(1, 2) for tensor in (query, key, value)]
        output = scaled_dot_product_attention(*three, attn_mask=attn_bias, dropout_p=p, scale=scale)
        return output.transpose(1, 2)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setattr(xformers, "_memory_efficient", made)
    return made


@pytest.mark.parametrize("globals_", ["no", "few", "many", "all"])
@pytest.mark.parametrize("length", [1, 63, 111, 513])
def test_window(
    length: int,
    globals_: str,
    window_pattern: Patterns,
    tensors: Tensors,
    assert_lawful: Lawful,
    stand_in: StandIn,
) -> None:
    assert_lawful(xformers.attend, tensors(length), window_pattern(length, 9, globals_))
    assert stand_in.calls


@pytest.mark.parametrize(("length", "block"), [(1, 4), (63, 2), (111, 4), (513, 16)])
def test_blocks(
    length: int,
    block: int,
    block_pattern: Patterns,
    tensors: Tensors,
    assert_lawful: Lawful,
    stand_in: StandIn,
) -> None:
    assert_lawful(xformers.attend, tensors(length), block_pattern(length, block))


@pytest.mark.parametrize("kind", ["window", "block"])
def test_packed_documents(
    kind: str, packed_pattern: Patterns, tensors: Tensors, assert_lawful: Lawful, stand_in: StandIn
) -> None:
    pattern = packed_pattern(kind, [90, 1, 40, 16])
    assert_lawful(xformers.attend, tensors(pattern.num_tokens, rows=1), pattern)


def counted(heads: int = 1) -> SparsePattern:
    """61 tokens in blocks of 4, some of which count several times; the second row is padded."""
    draw = torch.Generator().manual_seed(0)
    valid = torch.ones(2, 61, dtype=torch.bool)
    valid[1, 50:] = False
    counts = torch.zeros(2, heads, 16, 16, dtype=torch.int64)
    counts.diagonal(dim1=2, dim2=3).fill_(1)
    counts.scatter_(3, torch.randint(16, (2, heads, 16, 2), generator=draw), 2)
    counts[..., 0] = 4
    return SparsePattern(valid.long() - 1, torch.zeros_like(valid), block_tokens=4, counts_BHNN=counts)


def test_counts_above_one(tensors: Tensors, assert_lawful: Lawful, stand_in: StandIn) -> None:
    assert_lawful(xformers.attend, tensors(61, rows=2), counted())


def test_padding_gives_zero_and_gets_no_gradient(
    window_pattern: Patterns, tensors: Tensors, results: Results, stand_in: StandIn
) -> None:
    pattern = window_pattern(111, 9)
    ours = results(xformers.attend, tensors(111), pattern)
    padding = ~pattern.valid_BT[:, None, :, None].expand_as(ours["output"])
    for name, tensor in ours.items():
        assert (tensor[padding] == 0).all(), name
        assert tensor[:4].abs().sum() > 0, name


def test_nothing_but_padding(tensors: Tensors, results: Results, stand_in: StandIn) -> None:
    valid = torch.zeros(2, 9, dtype=torch.bool)
    query, key, value, _ = tensors(9, rows=2)
    assert (xformers.attend(query, key, value, sliding_window(valid, None, window_tokens=2)) == 0).all()
    assert stand_in.calls == 0


@pytest.mark.parametrize("head_size", [12, 64])
def test_head_sizes(
    head_size: int, window_pattern: Patterns, tensors: Tensors, assert_lawful: Lawful, stand_in: StandIn
) -> None:
    assert_lawful(xformers.attend, tensors(63, head_size=head_size), window_pattern(63, 9))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(
    dtype: torch.dtype, window_pattern: Patterns, tensors: Tensors, assert_lawful: Lawful, stand_in: StandIn
) -> None:
    made = tensors(300, dtype=dtype)
    assert_lawful(xformers.attend, made, window_pattern(300, 20), output=0.02, gradients=0.02)


@pytest.mark.parametrize("kind", ["window", "block"])
def test_work_is_sparse_and_in_few_calls(
    kind: str, window_pattern: Patterns, block_pattern: Patterns, tensors: Tensors, stand_in: StandIn
) -> None:
    make = {
        "window": lambda: window_pattern(1037, 37, rows=1),
        "block": lambda: block_pattern(1037, 16, rows=1),
    }
    query, key, value, _ = tensors(1037, rows=1)
    xformers.attend(query, key, value, make[kind]())
    assert stand_in.scores < 0.4 * 1037**2
    assert stand_in.calls <= 5


def test_dropout(window_pattern: Patterns, tensors: Tensors, stand_in: StandIn) -> None:
    """With values of a unit basis the output is the weights themselves."""
    valid = torch.ones(1, 200, dtype=torch.bool)
    pattern = sliding_window(valid, None, window_tokens=40)
    query, key, _, _ = tensors(200, head_size=200, rows=1)
    eye = torch.eye(200).expand(1, 2, 200, 200)
    with torch.no_grad():
        kept = xformers.attend(query, key, eye, pattern, dropout=0.25) / xformers.attend(
            query, key, eye, pattern
        )
    kept = kept[kept.isfinite()]
    assert abs((kept == 0).float().mean().item() - 0.25) < 0.02
    assert (kept[kept != 0] - 4 / 3).abs().max() < 1e-3


def test_the_plan_is_made_once_for_all_layers(
    window_pattern: Patterns, tensors: Tensors, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = window_pattern(63, 9)
    query, key, value, _ = tensors(63)
    first = xformers.attend(query, key, value, pattern)
    monkeypatch.setattr(xformers, "plan", lambda _: pytest.fail("made twice"))
    assert torch.equal(xformers.attend(query, key, value, pattern), first)


def test_it_says_what_it_cannot_do(tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value, _ = tensors(61, rows=2)
    with pytest.raises(ValueError, match="from head to head"):
        xformers.attend(query, key, value, counted(heads=2))

    capability = {"is": (10, 0)}

    def reason(
        pattern: SparsePattern | None = None, device: str = "cuda", dtype: torch.dtype = torch.bfloat16
    ) -> str:
        return str(xformers.supports(pattern, device=torch.device(device), dtype=dtype, dropout=0.1))

    assert "needs a CUDA device" in reason(device="cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability["is"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "isn't installed" in reason()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(xformers, "_is_usable", lambda: False)
    assert "built for another CUDA" in reason()
    monkeypatch.setattr(xformers, "_is_usable", lambda: True)
    assert "up to compute capability 9.0" in reason()
    capability["is"] = (9, 0)
    assert reason(counted()) == "None"
    assert "from head to head" in reason(counted(heads=2))
    assert "float64" in reason(dtype=torch.float64)


@needs_gpu
@pytest.mark.parametrize("kind", ["few", "many", "block", "counted"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_on_a_gpu(
    kind: str,
    dtype: torch.dtype,
    window_pattern: Patterns,
    block_pattern: Patterns,
    tensors: Tensors,
    assert_lawful: Lawful,
) -> None:
    make = {
        "block": lambda: block_pattern(1037, 16),
        "counted": counted,
        "few": lambda: window_pattern(1037, 100, "few"),
        "many": lambda: window_pattern(1037, 100, "many"),
    }
    pattern = make[kind]()
    rows, length = pattern.document_BT.shape
    made = tuple(
        tensor.detach().cuda().requires_grad_(tensor.requires_grad)
        for tensor in tensors(length, head_size=64, rows=rows, dtype=dtype)
    )
    assert_lawful(xformers.attend, made, pattern.to("cuda"), output=0.02, gradients=0.02)


@needs_gpu
def test_dropout_on_a_gpu(tensors: Tensors) -> None:
    """Weights that were dropped take no part in the gradient of the values either."""
    pattern = sliding_window(torch.ones(1, 200, dtype=torch.bool), None, window_tokens=40).to("cuda")
    query, key, _, _ = (tensor.detach().cuda() for tensor in tensors(200, head_size=200, rows=1))
    eye = torch.eye(200, device="cuda").expand(1, 2, 200, 200).contiguous().requires_grad_()
    weights = xformers.attend(query, key, eye, pattern, dropout=0.25)
    whole = xformers.attend(query, key, eye, pattern)
    kept = (weights / whole)[whole > 1e-6]
    assert abs((kept.abs() < 1e-3).float().mean().item() - 0.25) < 0.02
    (gradient,) = torch.autograd.grad(weights, eye, torch.eye(200, device="cuda").expand_as(weights))
    assert (gradient - weights.detach().mT).abs().max() < 1e-3
