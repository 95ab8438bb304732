"""`flash` against the law. On a CPU plain calls stand in for flash attention; the rest is ours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from longbio.attention import flash, stretches
from longbio.attention.blocks import block_sparse
from longbio.attention.flash import Saved, Three
from longbio.attention.pattern import SparsePattern, sliding_window
from longbio.attention.stretches import EVERYWHERE, Spans

Tensors = Callable[..., tuple[Tensor, ...]]
Lawful = Callable[..., None]
Results = Callable[..., dict[str, Tensor]]
LENGTHS = [1, 63, 111, 513]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class PlainCalls:
    """What flash attention computes, from its documented equations."""

    def _scores(self, query: Tensor, key: Tensor, spans: Spans, scale: float) -> Tensor:
        for starts, longest, tensor in (
            (spans.query, spans.longest_query, query),
            (spans.key, spans.longest_key, key),
        ):
            assert starts.dtype == torch.int32
            assert starts[0] == 0
            assert longest == starts.diff().max()
            assert starts.diff().min() > 0
            assert int(starts[-1]) == len(tensor)
        assert len(spans.query) == len(spans.key)
        place_Q, place_K = torch.arange(len(query)), torch.arange(len(key))
        stretch_Q = torch.searchsorted(spans.query.long(), place_Q, right=True)
        stretch_K = torch.searchsorted(spans.key.long(), place_K, right=True)
        seen = stretch_Q[:, None] == stretch_K
        if spans.reach != EVERYWHERE:
            seen &= (place_Q[:, None] - place_K).abs() <= spans.reach
        scores = torch.einsum("qhd,khd->hqk", query.float(), key.float()) * scale
        return scores.masked_fill(~seen, -torch.inf)

    def forward(
        self, three: Three, spans: Spans, scale: float, dropout: float
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        query, key, value = three
        scores = self._scores(query, key, spans, scale)
        kept = (torch.rand(scores.shape) >= dropout) / (1 - dropout)
        output = torch.einsum("hqk,khd->qhd", scores.softmax(dim=-1) * kept, value.float())
        return output.to(query.dtype), scores.logsumexp(dim=-1), (kept,)

    def backward(
        self,
        grad: Tensor,
        saved: Saved,
        spans: Spans,
        scale: float,
        dropout: float,
        dice: tuple[Tensor, ...],
    ) -> Three:
        query, key, value, output, norm = saved
        weights = (self._scores(query, key, spans, scale) - norm[:, :, None]).exp()
        common = torch.einsum("qhd,qhd->hq", grad.float(), output.float())
        dweights = torch.einsum("qhd,khd->hqk", grad.float(), value.float()) * dice[0]
        dscores = weights * (dweights - common[:, :, None]) * scale
        made = (
            torch.einsum("hqk,khd->qhd", dscores, key.float()),
            torch.einsum("hqk,qhd->khd", dscores, query.float()),
            torch.einsum("hqk,qhd->khd", weights * dice[0], grad.float()),
        )
        return made[0].to(query.dtype), made[1].to(query.dtype), made[2].to(query.dtype)


@pytest.fixture
def any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of global tokens, though a mask would cost less."""
    monkeypatch.setattr(flash, "FAR_KEYS", 10**9)


@pytest.fixture
def plain(any_number: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain calls in place of flash attention's."""
    monkeypatch.setattr(flash, "_calls", PlainCalls)


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


@pytest.mark.parametrize(
    ("length", "globals_"),
    [*product(LENGTHS, ("no", "few")), *product((1, 63, 111), ("many", "all"))],
)
def test_window_and_global_tokens(
    length: int, globals_: str, tensors: Tensors, assert_lawful: Lawful, plain: None
) -> None:
    pattern = window(length, 9, globals_)
    assert_lawful(flash.attend, tensors(length, rows=4), pattern)
    if length > 100 and globals_ != "no":
        assert pattern.cache["flash"].far is not None


@pytest.mark.parametrize("stretch", [7, 32])
@pytest.mark.parametrize("reach", [1, 9, 40, 200])
def test_short_stretches(
    reach: int,
    stretch: int,
    tensors: Tensors,
    assert_lawful: Lawful,
    plain: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stretches, "STRETCH", stretch)
    pattern = window(111, reach, "many")
    assert_lawful(flash.attend, tensors(111, rows=4), pattern)
    far = pattern.cache["flash"].far
    # A window over the whole row leaves nothing.
    assert (far is None) == (reach == 200)
    assert far is None or far.spans.longest_query <= stretch


def test_only_queries_beyond_their_window_look_again(plain: None) -> None:
    valid = torch.ones(1, 111, dtype=torch.bool)
    chosen = torch.zeros_like(valid)
    chosen[0, 50] = chosen[0, 52] = True
    pattern = sliding_window(valid, chosen, window_tokens=40)
    flash.prepare(pattern)
    far = pattern.cache["flash"].far
    # 0 to 9 see neither key, 10 and 11 don't see 52; then 91 and 92 don't see 50, and the rest neither.
    assert far.spans.query.diff().tolist() == [10, 2, 79, 2, 18]
    assert far.spans.key.diff().tolist() == [2, 1, 1, 1, 2]
    assert far.key_E.tolist() == [50, 52, 52, 50, 50, 50, 52]
    assert far.none_M.nonzero().flatten().tolist() == list(range(12, 91))


def test_a_question_is_few_and_a_third_of_the_text_too_many() -> None:
    valid = torch.ones(1, 4096, dtype=torch.bool)
    question = (torch.arange(4096) < 60)[None]
    third = (torch.arange(4096) % 3 == 0)[None]
    for chosen, reason in ((question, None), (third, "too many global tokens for flash attention")):
        pattern = sliding_window(valid, chosen, window_tokens=256)
        said = flash._unfit(pattern)
        assert (said is None) if reason is None else (reason in str(said))
    with pytest.raises(ValueError, match="too many global tokens"):
        flash.prepare(pattern)


@pytest.mark.parametrize("lengths", [[1, 1, 1], [20, 1, 40, 17], [64, 64]])
@pytest.mark.parametrize("stretch", [16, 2048])
def test_packed_documents(
    lengths: list[int],
    stretch: int,
    packed_pattern: Callable[..., SparsePattern],
    tensors: Tensors,
    assert_lawful: Lawful,
    plain: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stretches, "STRETCH", stretch)
    pattern = packed_pattern("window", lengths)
    assert_lawful(flash.attend, tensors(sum(lengths) + 5, rows=1), pattern)
    assert pattern.cache["flash"].near.query.diff().tolist() == lengths


def test_rows_without_padding_are_not_gathered(tensors: Tensors, assert_lawful: Lawful, plain: None) -> None:
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


def test_padding_gives_zero_and_gets_no_gradient(tensors: Tensors, results: Results, plain: None) -> None:
    pattern = window(111, 9, "few")
    ours = results(flash.attend, tensors(111, rows=4), pattern)
    padding = ~pattern.valid_BT[:, None, :, None].expand_as(ours["output"])
    for name, tensor in ours.items():
        assert (tensor[padding] == 0).all(), name
        assert tensor[:3].abs().sum() > 0, name


def test_head_sizes_between_multiples_of_eight(tensors: Tensors, assert_lawful: Lawful, plain: None) -> None:
    assert_lawful(flash.attend, tensors(63, head_size=12, rows=4), window(63, 9, "few"))


def test_half_precision(tensors: Tensors, assert_lawful: Lawful, plain: None) -> None:
    made = tensors(300, rows=4, dtype=torch.bfloat16)
    assert_lawful(flash.attend, made, window(300, 20, "few"), output=0.02, gradients=0.02)


def dropped_law(made: tuple[Tensor, ...], pattern: SparsePattern, kept: Tensor) -> dict[str, Tensor]:
    """Output and gradients where a weight counts `kept` times, 0 or 1 / (1 - p)."""
    query, key, value, grad = (tensor.detach().float().requires_grad_() for tensor in made)
    place = torch.arange(query.shape[2], device=query.device)
    scores = query @ key.mT * query.shape[3] ** -0.5 + pattern.bias(place, place)
    output = (scores.softmax(dim=-1) * kept) @ value
    gradients = torch.autograd.grad(output, (query, key, value), grad.detach())
    return dict(zip(("output", "dq", "dk", "dv"), (output.detach(), *gradients), strict=True))


@pytest.mark.parametrize("reach", [5, 40])
def test_dropout(
    reach: int, plain: None, tensors: Tensors, results: Results, assert_close: Callable[..., None]
) -> None:
    """Near and far weights are dropped alike, and gradients are those of the weights that are left."""
    valid = torch.ones(1, 60, dtype=torch.bool)
    chosen = torch.zeros_like(valid)
    chosen[0, 0] = chosen[0, 41] = True
    pattern, made = sliding_window(valid, chosen, window_tokens=reach), tensors(60, head_size=64, rows=1)
    kept = kept_weights(made, pattern)
    assert_close(results(seeded(flash.attend), made, pattern, dropout=0.3), dropped_law(made, pattern, kept))
    far = kept[:, :, reach + 1 :, 0]
    assert 0.1 < (far == 0).float().mean() < 0.6


def seeded(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same dropout at every call."""

    def run(*arguments: object, **options: object) -> Tensor:
        torch.manual_seed(3)
        return attend(*arguments, **options)

    return run


def kept_weights(made: tuple[Tensor, ...], pattern: SparsePattern, dropout: float = 0.3) -> Tensor:
    """Values that are an identity show each weight; beside its law it is 0 or 1 / (1 - p)."""
    query, key, value, _ = (tensor.detach() for tensor in made)
    eye = torch.eye(64, device=query.device, dtype=query.dtype)[: query.shape[2]].expand_as(value)
    weights = seeded(flash.attend)(query, key, eye, pattern, dropout=dropout)[..., : query.shape[2]]
    return (weights > 0) / (1 - dropout)


def test_the_plan_is_made_once_for_all_layers(
    tensors: Tensors, plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = window(63, 9, "few")
    query, key, value, _ = tensors(63, rows=4)
    first = flash.attend(query, key, value, pattern)
    monkeypatch.setattr(flash, "far_keys", lambda *_: pytest.fail("made twice"))
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
    assert reason(dropout=0.1) is None
    hole = torch.tensor([[True, False, True]])
    assert "inside a document" in str(reason(sliding_window(hole, None, window_tokens=3)))
    assert "not blocks" in str(reason(block_sparse(hole, block_tokens=1, random_blocks=0, seed=0)))


def test_a_flash_attn_that_cannot_be_loaded_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "flash_attn").mkdir()
    (tmp_path / "flash_attn" / "__init__.py").write_text("raise ImportError('undefined symbol: _ZN3c10')")
    monkeypatch.syspath_prepend(str(tmp_path))
    flash._has_flash_attn.cache_clear()
    try:
        assert isinstance(flash._calls(), flash._TorchFlash)
        assert "undefined symbol" in caplog.text
    finally:
        flash._has_flash_attn.cache_clear()


def test_torch_still_takes_the_arguments_given() -> None:
    """On meta tensors: the private operators of torch keep the order that `_TorchFlash` relies on."""
    query = torch.zeros(40, 2, 16, dtype=torch.bfloat16, device="meta")
    starts = torch.zeros(3, dtype=torch.int32, device="meta")
    spans, calls = Spans(starts, starts, 30, 30, 5), flash._TorchFlash()
    output, norm, dice = calls.forward((query, query, query), spans, 0.25, 0.1)
    assert output.shape == query.shape
    assert norm.shape == (2, 40)
    assert norm.dtype == torch.float32
    saved = (query, query, query, output, norm)
    assert [made.shape for made in calls.backward(query, saved, spans, 0.25, 0.1, dice)] == [query.shape] * 3


@needs_gpu
@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize(
    ("length", "globals_"),
    [(1, "no"), (63, "many"), (513, "few"), (513, "many"), (4096, "no"), (4096, "few")],
)
def test_on_a_gpu(
    length: int,
    globals_: str,
    installed: bool,
    any_number: None,
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
@pytest.mark.parametrize("reach", [5, 40])
def test_dropout_on_a_gpu(
    reach: int, tensors: Tensors, results: Results, assert_close: Callable[..., None]
) -> None:
    valid = torch.ones(1, 60, dtype=torch.bool)
    chosen = torch.zeros_like(valid)
    chosen[0, 0] = chosen[0, 41] = True
    pattern = sliding_window(valid, chosen, window_tokens=reach).to("cuda")
    made = on_gpu(tensors(60, head_size=64, rows=1, dtype=torch.bfloat16))
    kept = kept_weights(made, pattern)
    seen = pattern.bias(torch.arange(60, device="cuda"), torch.arange(60, device="cuda")) == 0
    assert 0.25 < (kept == 0)[seen.expand_as(kept)].float().mean() < 0.35
    ours = results(seeded(flash.attend), made, pattern, dropout=0.3)
    assert_close(ours, dropped_law(made, pattern, kept), output=0.02, gradients=0.03)


@needs_gpu
def test_no_wait_for_the_gpu(
    tensors: Tensors, never_waits: Callable[[], AbstractContextManager[None]]
) -> None:
    pattern = window(513, 100, "few").to("cuda")
    query, key, value, grad = on_gpu(tensors(513, head_size=64, rows=4, dtype=torch.bfloat16))
    flash.attend(query, key, value, pattern).backward(grad)
    with never_waits():
        flash.attend(query, key, value, pattern).backward(grad)


def on_gpu(made: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().cuda().requires_grad_(tensor.requires_grad) for tensor in made)
