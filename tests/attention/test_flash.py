"""`flash` against the law. On a CPU a plain window part stands in for flash attention; the rest is ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from longbio.attention import flash
from longbio.attention.blocks import block_sparse
from longbio.attention.flash import Plan, Saved, Three
from longbio.attention.pattern import SparsePattern, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Lawful = Callable[..., None]
Results = Callable[..., dict[str, Tensor]]
LENGTHS = [1, 63, 111, 513]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class PlainWindow:
    """What flash attention computes, from its documented equations, and nothing of the global keys."""

    def __init__(self) -> None:
        self.norms: list[Tensor] = []

    def _scores(self, query: Tensor, key: Tensor, plan: Plan, scale: float) -> Tensor:
        position = torch.arange(len(query))
        document = torch.searchsorted(plan.starts.long(), position, right=True)
        assert document.diff().clamp(max=0).eq(0).all()
        near = (position[:, None] - position).abs() <= plan.reach
        seen = near & (document[:, None] == document)
        scores = torch.einsum("qhd,khd->hqk", query.float(), key.float()) * scale
        return scores.masked_fill(~seen, -torch.inf)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, plan: Plan, scale: float
    ) -> tuple[Tensor, Tensor]:
        assert plan.starts.dtype == torch.int32
        assert plan.longest == plan.starts.diff().max()
        assert int(plan.starts[-1]) == len(query)
        scores = self._scores(query, key, plan, scale)
        output = torch.einsum("hqk,khd->qhd", scores.softmax(dim=-1), value.float())
        self.norms.append(scores.logsumexp(dim=-1))
        return output.to(query.dtype), self.norms[-1].clone()

    def backward(self, grad: Tensor, saved: Saved, plan: Plan, scale: float) -> Three:
        query, key, value, output, norm = saved
        weights = (self._scores(query, key, plan, scale) - norm[:, :, None]).exp()
        common = torch.einsum("qhd,qhd->hq", grad.float(), output.float())
        dweights = torch.einsum("qhd,khd->hqk", grad.float(), value.float())
        dscores = weights * (dweights - common[:, :, None]) * scale
        made = (
            torch.einsum("hqk,khd->qhd", dscores, key.float()),
            torch.einsum("hqk,qhd->khd", dscores, query.float()),
            torch.einsum("hqk,qhd->khd", weights, grad.float()),
        )
        return made[0].to(query.dtype), made[1].to(query.dtype), made[2].to(query.dtype)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> PlainWindow:
    part = PlainWindow()
    monkeypatch.setattr(flash, "_window_part", lambda: part)
    return part


def window(length: int, reach: int, globals_: str, seed: int = 0) -> SparsePattern:
    """Rows that are full, padded right, padded left, and nothing but padding."""
    third = max(1, length // 3)
    position = torch.arange(length)
    valid = torch.stack(
        [position >= 0, position < length - third, position >= third, torch.zeros_like(position).bool()]
    )
    draw = torch.rand(valid.shape, generator=torch.Generator().manual_seed(seed))
    share = {"no": 0.0, "few": 3 / length, "many": 0.3, "all": 1.1}[globals_]
    return sliding_window(valid, draw < share, window_tokens=reach)


@pytest.mark.parametrize("globals_", ["no", "few", "many", "all"])
@pytest.mark.parametrize("length", LENGTHS)
def test_window_and_global_tokens(
    length: int, globals_: str, tensors: Tensors, assert_lawful: Lawful, plain: PlainWindow
) -> None:
    pattern = window(length, 9, globals_)
    assert_lawful(flash.attend, tensors(length, rows=4), pattern)
    if length > 100 and globals_ != "no":
        assert pattern.cache["flash"].columns


@pytest.mark.parametrize("chunk", [7, 32])
@pytest.mark.parametrize("reach", [1, 9, 40, 200])
def test_queries_in_chunks(
    reach: int,
    chunk: int,
    tensors: Tensors,
    assert_lawful: Lawful,
    plain: PlainWindow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flash, "MOST_CHUNK", chunk)
    pattern = window(111, reach, "many")
    assert_lawful(flash.attend, tensors(111, rows=4), pattern)
    # A window over the whole row leaves nothing for the columns to do.
    assert len(pattern.cache["flash"].columns) > 5 or reach == 200
    assert not pattern.cache["flash"].columns or reach < 200


def test_only_queries_beyond_their_window_look_again(
    plain: PlainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flash, "MOST_CHUNK", 7)
    valid = torch.ones(1, 111, dtype=torch.bool)
    chosen = torch.zeros_like(valid)
    chosen[0, 50] = True
    pattern = sliding_window(valid, chosen, window_tokens=40)
    flash.prepare(pattern)
    starts = [columns.query.start for columns in pattern.cache["flash"].columns]
    assert starts == [start for start in range(0, 111, 7) if start < 10 or min(start + 6, 110) > 90]


@pytest.mark.parametrize("lengths", [[1, 1, 1], [20, 1, 40, 17], [64, 64]])
@pytest.mark.parametrize("chunk", [16, 8192])
def test_packed_documents(
    lengths: list[int],
    chunk: int,
    packed_pattern: Callable[..., SparsePattern],
    tensors: Tensors,
    assert_lawful: Lawful,
    plain: PlainWindow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flash, "MOST_CHUNK", chunk)
    pattern = packed_pattern("window", lengths)
    assert_lawful(flash.attend, tensors(sum(lengths) + 5, rows=1), pattern)
    assert pattern.cache["flash"].starts.diff().tolist() == lengths


def test_rows_without_padding_are_not_gathered(
    tensors: Tensors, assert_lawful: Lawful, plain: PlainWindow
) -> None:
    valid = torch.ones(2, 60, dtype=torch.bool)
    chosen = torch.zeros_like(valid)
    chosen[:, 31] = True
    pattern = sliding_window(valid, chosen, window_tokens=5)
    assert_lawful(flash.attend, tensors(60, rows=2), pattern)
    assert pattern.cache["flash"].real_M is None


def test_nothing_but_padding(tensors: Tensors, results: Results) -> None:
    """Without a stand-in: flash attention isn't called for no tokens."""
    valid = torch.zeros(2, 9, dtype=torch.bool)
    ours = results(flash.attend, tensors(9, rows=2), sliding_window(valid, valid, window_tokens=2))
    assert all((tensor == 0).all() for tensor in ours.values())


def test_padding_gives_zero_and_gets_no_gradient(
    tensors: Tensors, results: Results, plain: PlainWindow
) -> None:
    pattern = window(111, 9, "few")
    ours = results(flash.attend, tensors(111, rows=4), pattern)
    padding = ~pattern.valid_BT[:, None, :, None].expand_as(ours["output"])
    for name, tensor in ours.items():
        assert (tensor[padding] == 0).all(), name
        assert tensor[:3].abs().sum() > 0, name


def test_head_sizes_between_multiples_of_eight(
    tensors: Tensors, assert_lawful: Lawful, plain: PlainWindow
) -> None:
    assert_lawful(flash.attend, tensors(63, head_size=12, rows=4), window(63, 9, "few"))


def test_half_precision(tensors: Tensors, assert_lawful: Lawful, plain: PlainWindow) -> None:
    made = tensors(300, rows=4, dtype=torch.bfloat16)
    assert_lawful(flash.attend, made, window(300, 20, "few"), output=0.02, gradients=0.02)


class NoWindow:
    """A window part that sees nothing and rounds nothing."""

    def forward(self, query: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(query), torch.zeros(query.shape[1], len(query))

    def backward(self, grad: Tensor, *_: object) -> Three:
        return torch.zeros_like(grad), torch.zeros_like(grad), torch.zeros_like(grad)


def test_autocast_leaves_the_columns_in_float32(
    tensors: Tensors,
    results: Results,
    assert_close: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flash, "_window_part", NoWindow)
    pattern, made = window(111, 1, "all"), tensors(111, rows=4)
    exact = results(flash.attend, made, pattern)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = results(flash.attend, made, pattern)
    assert exact["dq"].abs().sum() > 0
    assert_close(rounded, exact, output=1e-6, gradients=1e-6)


def test_the_plan_is_made_once_for_all_layers(
    tensors: Tensors, plain: PlainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = window(63, 9, "few")
    query, key, value, _ = tensors(63, rows=4)
    first = flash.attend(query, key, value, pattern)
    monkeypatch.setattr(flash, "_plan", lambda _: pytest.fail("made twice"))
    assert torch.equal(flash.attend(query, key, value, pattern), first)


def test_it_says_what_it_cannot_do(tensors: Tensors) -> None:
    hole = torch.ones(1, 20, dtype=torch.bool)
    hole[0, 7] = False
    holes = sliding_window(hole, None, window_tokens=3)
    blocks = block_sparse(torch.ones(1, 20, dtype=torch.bool), block_tokens=4, random_blocks=0, seed=0)
    whole = sliding_window(torch.ones(1, 20, dtype=torch.bool), None, window_tokens=3)
    query, key, value, _ = tensors(20, rows=1)
    with pytest.raises(ValueError, match="padding inside a document"):
        flash.attend(query, key, value, holes)
    with pytest.raises(ValueError, match="not blocks"):
        flash.attend(query, key, value, blocks)
    with pytest.raises(ValueError, match="no dropout"):
        flash.attend(query, key, value, whole, dropout=0.1)
    wide = torch.zeros(1, 1, 20, 264)
    with pytest.raises(ValueError, match="264 features"):
        flash.attend(wide, wide, wide, whole)
    reason = flash.supports(None, device=torch.device("cpu"), dtype=torch.bfloat16, dropout=0.0)
    assert reason is not None
    assert "needs a CUDA device" in reason


def test_reasons_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything about the machine is asked of torch, so that a pretended one will do."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    capability = {"is": (7, 5)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability["is"])

    def reason(
        pattern: SparsePattern | None = None, dtype: torch.dtype = torch.bfloat16, dropout: float = 0.0
    ) -> str | None:
        return flash.supports(pattern, device=torch.device("cuda"), dtype=dtype, dropout=dropout)

    assert "Ampere" in str(reason())
    capability["is"] = (8, 0)
    assert reason() is None
    assert reason(window(20, 3, "few")) is None
    assert "float32" in str(reason(dtype=torch.float32))
    assert "no dropout" in str(reason(dropout=0.1))
    hole = torch.tensor([[True, False, True]])
    assert "inside a document" in str(reason(sliding_window(hole, None, window_tokens=3)))
    assert "not blocks" in str(reason(block_sparse(hole, block_tokens=1, random_blocks=0, seed=0)))


def test_torch_still_takes_the_arguments_given() -> None:
    """On meta tensors: the private operators of torch keep the order that `_TorchFlash` relies on."""
    query = torch.zeros(40, 2, 16, dtype=torch.bfloat16, device="meta")
    starts = torch.zeros(3, dtype=torch.int32, device="meta")
    plan = Plan(None, starts, torch.zeros(40, dtype=torch.int32), 30, 5, (), flash._TorchFlash())
    output, norm = plan.window.forward(query, query, query, plan, 0.25)
    assert output.shape == query.shape
    assert norm.shape == (2, 40)
    assert norm.dtype == torch.float32
    saved = (query, query, query, output, norm)
    assert [made.shape for made in plan.window.backward(query, saved, plan, 0.25)] == [query.shape] * 3


@needs_gpu
@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("globals_", ["no", "few", "many"])
@pytest.mark.parametrize("length", [1, 63, 513, 4096])
def test_on_a_gpu(
    length: int,
    globals_: str,
    installed: bool,
    tensors: Tensors,
    assert_lawful: Lawful,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if installed:
        pytest.importorskip("flash_attn")
    monkeypatch.setattr(flash, "_has_flash_attn", lambda: installed)
    made = on_gpu(tensors(length, head_size=64, rows=4, dtype=torch.bfloat16))
    pattern = window(length, 100, globals_)
    assert_lawful(flash.attend, made, pattern.to("cuda"), output=0.02, gradients=0.02)


@needs_gpu
def test_packed_documents_on_a_gpu(
    packed_pattern: Callable[..., SparsePattern], tensors: Tensors, assert_lawful: Lawful
) -> None:
    pattern = packed_pattern("window", [200, 1, 37, 500]).to("cuda")
    made = on_gpu(tensors(743, head_size=64, rows=1, dtype=torch.bfloat16))
    assert_lawful(flash.attend, made, pattern, output=0.02, gradients=0.02)


@needs_gpu
def test_no_wait_for_the_gpu(tensors: Tensors) -> None:
    pattern = window(513, 100, "few").to("cuda")
    query, key, value, grad = on_gpu(tensors(513, head_size=64, rows=4, dtype=torch.bfloat16))
    flash.attend(query, key, value, pattern).backward(grad)
    torch.cuda.set_sync_debug_mode("error")
    try:
        flash.attend(query, key, value, pattern).backward(grad)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def on_gpu(made: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().cuda().requires_grad_(tensor.requires_grad) for tensor in made)
