"""`flex` against the law: its predicate everywhere, its blocks, and its kernel where it compiles.

A compilation takes seconds, so that most cases run FlexAttention's plain form. That form reads
the predicate and not the blocks, which have tests of their own. On a CPU there are no gradients.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import flex_attention as torch_flex

from longbio.attention import flex, reference
from longbio.attention.blocks import block_sparse
from longbio.attention.pattern import SparsePattern, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Patterns = Callable[..., SparsePattern]

with torch.no_grad():
    WHY_NOT = flex.supports(None, device=torch.device("cpu"), dtype=torch.float32, dropout=0.0)
compiles = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
# torch's compiler imports a module of torch that torch itself has deprecated.
quiet = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention as torch writes it out for debugging, uncompiled."""
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(flex, "_compile", lambda _: torch_flex.flex_attention)


@torch.no_grad()
def assert_same(made: tuple[Tensor, ...], pattern: SparsePattern, limit: float = 1e-5) -> None:
    query, key, value, _ = made
    ours = flex.attend(query, key, value, pattern)
    law = reference.attend(query, key, value, pattern)
    assert ours.dtype == law.dtype
    assert ours.isfinite().all()
    assert (ours - law).abs().max() <= limit * max(1.0, law.abs().max().item())
    assert (ours[~pattern.valid_BT[:, None, :, None].expand_as(ours)] == 0).all()


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


@pytest.mark.parametrize("globals_", ["no", "few", "all"])
@pytest.mark.parametrize("length", [1, 63, 111, 513])
def test_window(length: int, globals_: str, window_pattern: Patterns, tensors: Tensors, plain: None) -> None:
    assert_same(tensors(length), window_pattern(length, 9, globals_))


@pytest.mark.parametrize(("length", "block"), [(1, 4), (63, 2), (111, 4), (513, 16)])
def test_blocks(length: int, block: int, block_pattern: Patterns, tensors: Tensors, plain: None) -> None:
    pattern = block_pattern(length, block)
    assert_same(tensors(length), pattern)
    assert pattern.cache["flex"].score_mod is None


@pytest.mark.parametrize("kind", ["window", "block"])
def test_packed_documents(kind: str, packed_pattern: Patterns, tensors: Tensors, plain: None) -> None:
    pattern = packed_pattern(kind, [90, 1, 40, 16])
    assert_same(tensors(pattern.num_tokens, rows=1), pattern)


@pytest.mark.parametrize("heads", [1, 2])
def test_counts_above_one(heads: int, tensors: Tensors, plain: None) -> None:
    assert_same(tensors(61, rows=2), counted(heads))


@compiles
@quiet
@pytest.mark.parametrize("kind", ["window", "packed", "heads"])
def test_compiled(kind: str, window_pattern: Patterns, packed_pattern: Patterns, tensors: Tensors) -> None:
    make = {
        "window": lambda: window_pattern(513, 37),
        "packed": lambda: packed_pattern("window", [200, 1, 37, 130]),
        "heads": lambda: counted(heads=2),
    }
    pattern = make[kind]()
    rows, length = pattern.document_BT.shape
    half = kind == "packed"
    made = tensors(length, rows=rows, dtype=torch.bfloat16 if half else torch.float32)
    assert_same(made, pattern, limit=0.02 if half else 1e-5)


# ------------------------------------------------------------------------------------ the blocks


def brute_force(pattern: SparsePattern) -> tuple[Tensor, Tensor]:
    """Whether some, and whether all, of each 128 x 128 block is seen."""
    position = torch.arange(pattern.num_tokens)
    seen = pattern.bias(position, position) > -torch.inf
    behind = -pattern.num_tokens % 128
    blocks = functional.pad(seen, (0, behind, 0, behind)).unflatten(3, (-1, 128)).unflatten(2, (-1, 128))
    return blocks.any(dim=5).any(dim=3), blocks.all(dim=5).all(dim=3)


def dense(mask: torch_flex.BlockMask) -> tuple[Tensor, Tensor]:
    """The blocks that FlexAttention masks, and those that it takes whole."""
    whole = torch_flex.BlockMask.from_kv_blocks(mask.full_kv_num_blocks, mask.full_kv_indices, BLOCK_SIZE=128)
    masked = torch_flex.BlockMask.from_kv_blocks(mask.kv_num_blocks, mask.kv_indices, BLOCK_SIZE=128)
    return masked.to_dense().bool(), whole.to_dense().bool()


@pytest.mark.parametrize(
    "kind", ["narrow", "wide", "many", "no", "all", "ends", "blocks", "odd", "big", "packed", "counted"]
)
def test_blocks_cover_what_is_seen(
    kind: str, window_pattern: Patterns, block_pattern: Patterns, packed_pattern: Patterns
) -> None:
    ends = torch.zeros(1, 1037, dtype=torch.bool)
    ends[0, [0, 1036]] = True
    make = {
        "narrow": lambda: window_pattern(1037, 1),
        "wide": lambda: window_pattern(1037, 300),
        "many": lambda: window_pattern(1037, 50, "many"),
        "no": lambda: window_pattern(1037, 128, "no"),
        "all": lambda: window_pattern(513, 50, "all"),
        "ends": lambda: sliding_window(torch.ones_like(ends), ends, window_tokens=255),
        "blocks": lambda: block_pattern(1037, 16),
        "odd": lambda: block_pattern(1037, 24),
        "big": lambda: block_pattern(2500, 200, rows=1),
        "packed": lambda: packed_pattern("window", [200, 1, 400, 130]),
        "counted": lambda: counted(heads=2),
    }
    pattern = make[kind]()
    flex.prepare(pattern)
    masked, whole = dense(pattern.cache["flex"].mask)
    some, all_ = brute_force(pattern)
    assert not (masked & whole).any()
    assert not (some & ~masked & ~whole).any()
    assert not (whole & ~all_).any()
    if kind in ("no", "wide", "ends", "blocks", "odd", "big"):
        # Nothing is computed in vain for rows that hold one document and no padding.
        assert torch.equal((masked | whole)[0], some[0])
        assert torch.equal(whole[0], all_[0])
    assert whole.any() == (kind in ("wide", "no", "all", "ends", "big"))


def test_a_long_document_needs_no_square_mask() -> None:
    """65,536 tokens squared are 4 GB of booleans; blocks against blocks are a few MB."""
    valid = torch.ones(1, 65_536, dtype=torch.bool)
    chosen = torch.zeros_like(valid)
    chosen[0, 0] = True
    pattern = sliding_window(valid, chosen, window_tokens=256)
    flex.prepare(pattern)
    mask = pattern.cache["flex"].mask
    assert mask.kv_indices.shape == (1, 1, 512, 512)
    assert (mask.kv_num_blocks + mask.full_kv_num_blocks).max() == 6
    assert mask.sparsity() > 98


# ----------------------------------------------------------------------------------- the machine


def test_the_plan_is_made_once_for_all_layers(
    window_pattern: Patterns, tensors: Tensors, plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = window_pattern(63, 9)
    query, key, value, _ = tensors(63)
    with torch.no_grad():
        first = flex.attend(query, key, value, pattern)
        monkeypatch.setattr(flex, "_seen_blocks", lambda _: pytest.fail("made twice"))
        assert torch.equal(flex.attend(query, key, value, pattern), first)


def test_it_says_what_it_cannot_do(
    window_pattern: Patterns, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, key, value, _ = tensors(63)
    pattern = window_pattern(63, 9)
    with pytest.raises(ValueError, match=r"no backward pass on a CPU; wrap the call in torch\.no_grad"):
        flex.attend(query, key, value, pattern)

    def reason(device: str = "cpu", dtype: torch.dtype = torch.float32, dropout: float = 0.0) -> str:
        return str(flex.supports(pattern, device=torch.device(device), dtype=dtype, dropout=dropout))

    assert "no dropout" in reason(dropout=0.1)
    assert "float64" in reason(dtype=torch.float64)
    assert "not on mps" in reason(device="mps")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with torch.no_grad():
        assert "no dropout" in reason(dropout=0.1)
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
        assert reason() == "None"
        monkeypatch.setenv("CXX", "a-compiler")
        monkeypatch.setattr(shutil, "which", lambda _: None)
        assert "no 'a-compiler' on the PATH" in reason()
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
        assert "AVX2" in reason()


@needs_gpu
@quiet
@pytest.mark.parametrize("kind", ["few", "many", "block", "counted", "heads", "packed"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_on_a_gpu(
    kind: str,
    dtype: torch.dtype,
    window_pattern: Patterns,
    block_pattern: Patterns,
    packed_pattern: Patterns,
    tensors: Tensors,
    assert_lawful: Callable[..., None],
) -> None:
    make = {
        "block": lambda: block_pattern(1037, 16),
        "counted": counted,
        "few": lambda: window_pattern(1037, 100, "few"),
        "heads": lambda: counted(heads=2),
        "many": lambda: window_pattern(1037, 100, "many"),
        "packed": lambda: packed_pattern("window", [200, 1, 37, 500]),
    }
    pattern = make[kind]()
    rows, length = pattern.document_BT.shape
    made = on_gpu(tensors(length, head_size=64, rows=rows, dtype=dtype))
    assert_lawful(flex.attend, made, pattern.to("cuda"), output=0.02, gradients=0.02)


@needs_gpu
@quiet
@pytest.mark.parametrize(("length", "head_size"), [(1, 64), (63, 8), (111, 12)])
def test_short_rows_and_small_heads_on_a_gpu(
    length: int,
    head_size: int,
    window_pattern: Patterns,
    tensors: Tensors,
    assert_lawful: Callable[..., None],
) -> None:
    made = on_gpu(tensors(length, head_size=head_size, dtype=torch.bfloat16))
    pattern = window_pattern(length, 9).to("cuda")
    assert_lawful(flex.attend, made, pattern, output=0.02, gradients=0.02)


def on_gpu(made: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().cuda().requires_grad_(tensor.requires_grad) for tensor in made)


@pytest.mark.parametrize("ids", [(2**30, 2**30 + 1), (5, 2**32 + 5), (7, 3)])
@pytest.mark.parametrize("kind", ["window", "blocks"])
def test_documents_are_told_apart_by_any_number(kind: str, ids: tuple[int, int]) -> None:
    """Masks hold 32 bits, document_ids may hold 64."""
    document = torch.tensor([[ids[0]] * 8 + [ids[1]] * 8])
    valid = torch.ones(1, 16, dtype=torch.bool)
    if kind == "window":
        pattern = sliding_window(valid, None, window_tokens=2, document_BT=document)
        seen, _ = flex._window_mods(pattern)
    else:
        pattern = block_sparse(valid, block_tokens=4, random_blocks=1, seed=0, document_BT=document)
        seen, _ = flex._block_mods(pattern)
    place, zero = torch.arange(16), torch.tensor(0)
    law = pattern.bias(place, place)[0, 0] > -torch.inf
    assert torch.equal(seen(zero, zero, place[:, None], place[None]), law)
    assert law.any()
