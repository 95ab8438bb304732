"""The law against a softmax written out by hand, in float64, from a predicate of two positions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from longbio.attention import reference
from longbio.attention.blocks import block_sparse
from longbio.attention.pattern import SparsePattern, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Patterns = Callable[..., SparsePattern]
Results = Callable[..., dict[str, Tensor]]
Count = Callable[[int, int, int, int], int]


def by_hand(query: Tensor, key: Tensor, value: Tensor, count: Count) -> Tensor:
    """Each key counts `count(row, head, query, key)` times; a query that sees nothing gives zero."""
    query, key, value = (tensor.double() for tensor in (query, key, value))
    rows, heads, length, size = query.shape
    outputs = []
    for row in range(rows):
        for head in range(heads):
            for q in range(length):
                counts = torch.tensor([count(row, head, q, k) for k in range(length)]).double()
                scores = key[row, head] @ query[row, head, q] / size**0.5
                weights = counts * (scores - scores.max()).exp()
                total = weights.sum() if counts.sum() else 1.0
                outputs.append((weights / total) @ value[row, head])
    return torch.stack(outputs).reshape(query.shape)


def assert_lawful(made: tuple[Tensor, ...], pattern: SparsePattern, count: Count) -> None:
    query, key, value, grad = made
    output = reference.attend(query, key, value, pattern)
    wanted = by_hand(query, key, value, count)
    assert (output - wanted).abs().max() < 1e-6
    ours = torch.autograd.grad(output, (query, key, value), grad)
    for mine, theirs in zip(
        ours, torch.autograd.grad(wanted, (query, key, value), grad.double()), strict=True
    ):
        assert (mine - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("globals_", ["no", "few", "many", "all"])
@pytest.mark.parametrize(("length", "window"), [(1, 1), (7, 1), (40, 5), (40, 100)])
def test_sliding_window(
    length: int, window: int, globals_: str, tensors: Tensors, window_pattern: Patterns
) -> None:
    pattern = window_pattern(length, window, globals_)
    valid, chosen = pattern.valid_BT.tolist(), pattern.global_BT.tolist()

    def count(row: int, _: int, q: int, k: int) -> int:
        if not (valid[row][q] and valid[row][k]):
            return 0
        return int(abs(q - k) <= window or chosen[row][k])

    assert_lawful(tensors(length, rows=5), pattern, count)


def test_packed_documents_of_a_window(tensors: Tensors, packed_pattern: Patterns) -> None:
    pattern = packed_pattern("window", (1, 20, 3))
    document, chosen = pattern.document_BT[0].tolist(), pattern.global_BT[0].tolist()
    assert document == [0] + [1] * 20 + [2] * 3 + [-1] * 5

    def count(row: int, _: int, q: int, k: int) -> int:
        if document[q] != document[k] or document[q] == -1:
            return 0
        return int(abs(q - k) <= 9 or chosen[k])

    assert_lawful(tensors(29, rows=1), pattern, count)


@pytest.mark.parametrize(("length", "block"), [(1, 4), (29, 3), (41, 2)])
def test_blocks(length: int, block: int, tensors: Tensors, block_pattern: Patterns) -> None:
    pattern = block_pattern(length, block)
    assert pattern.counts_BHNN is not None
    valid, counts = pattern.valid_BT.tolist(), pattern.counts_BHNN.tolist()

    def count(row: int, _: int, q: int, k: int) -> int:
        if not (valid[row][q] and valid[row][k]):
            return 0
        return counts[row][0][q // block][k // block]

    assert_lawful(tensors(length, rows=5), pattern, count)


def test_packed_documents_of_blocks(tensors: Tensors, packed_pattern: Patterns) -> None:
    pattern = packed_pattern("block", (38, 7))
    assert pattern.counts_BHNN is not None
    document, counts = pattern.document_BT[0].tolist(), pattern.counts_BHNN[0, 0].tolist()

    def count(row: int, _: int, q: int, k: int) -> int:
        together = document[q] == document[k] != -1
        return counts[q // 4][k // 4] if together else 0

    assert_lawful(tensors(len(document), rows=1), pattern, count)


def test_blocks_count_several_times_and_differ_from_head_to_head(tensors: Tensors) -> None:
    counts = [
        [[[1, 0, 4], [2, 1, 0], [0, 3, 1]], [[0, 2, 0], [1, 0, 1], [5, 1, 0]]],
        [[[1, 1, 1], [0, 0, 0], [1, 0, 2]], [[2, 0, 1], [1, 1, 1], [0, 0, 7]]],
    ]
    pattern = SparsePattern(
        torch.zeros(2, 9, dtype=torch.int64),
        torch.zeros(2, 9, dtype=torch.bool),
        block_tokens=3,
        counts_BHNN=torch.tensor(counts),
    )

    def count(row: int, head: int, q: int, k: int) -> int:
        return counts[row][head][q // 3][k // 3]

    assert_lawful(tensors(9, rows=2), pattern, count)


@pytest.mark.parametrize("kept", [reference.KEPT_TOKENS, 100])
def test_length_above_the_query_chunk(kept: int, tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    """The law works in chunks, with biases that are kept or made anew; neither must show."""
    monkeypatch.setattr(reference, "KEPT_TOKENS", kept)
    length = 2 * reference.QUERY_CHUNK + 5
    valid = torch.ones(1, length, dtype=torch.bool)
    query, key, value, _ = tensors(length, rows=1, heads=1)
    pattern = sliding_window(valid, None, window_tokens=3)
    output = reference.attend(query, key, value, pattern)
    assert ("reference" in pattern.cache) == (kept > length)

    far = (torch.arange(length)[:, None] - torch.arange(length)).abs() > 3
    scores = (query.double() @ key.double().transpose(2, 3) / 4).masked_fill(far, -torch.inf)
    assert (output - scores.softmax(-1) @ value.double()).abs().max() < 1e-6


def test_biases_are_made_once_for_all_layers(
    tensors: Tensors, window_pattern: Patterns, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = window_pattern(40, 3)
    query, key, value, _ = tensors(40)
    first = reference.attend(query, key, value, pattern)
    monkeypatch.setattr(SparsePattern, "bias", lambda *_: pytest.fail("made twice"))
    assert torch.equal(reference.attend(query, key, value, pattern), first)


@pytest.mark.parametrize("kind", ["window", "block"])
def test_padding_gives_zero_and_gets_no_gradient(
    kind: str, tensors: Tensors, pattern_of: Patterns, results: Results
) -> None:
    pattern = pattern_of(kind, 111)
    assert not pattern.valid_BT[4].any()
    plain = results(reference.attend, tensors(111), pattern)
    padding = ~pattern.valid_BT[:, None, :, None].expand_as(plain["output"])
    huge = tuple(tensor.detach().masked_fill(padding, 1e15).requires_grad_() for tensor in tensors(111))
    for name, wanted in results(reference.attend, huge, pattern).items():
        assert torch.equal(wanted, plain[name]), name
        assert (wanted[padding] == 0).all(), name
        assert wanted[:4].abs().sum() > 0, name


@pytest.mark.parametrize("kind", ["window", "block"])
def test_a_packed_document_is_the_document_alone(
    kind: str, tensors: Tensors, packed_pattern: Patterns, results: Results
) -> None:
    lengths = (5, 90, 64, 130)
    pattern = packed_pattern(kind, lengths)
    made = tensors(pattern.num_tokens, rows=1)
    packed = results(reference.attend, made, pattern)
    for (start, stop), length in zip(pattern.documents.tolist(), lengths, strict=True):
        assert stop - start == length
        if kind == "window":
            chosen = torch.arange(length)[None] == 0
            alone = sliding_window(torch.ones_like(chosen), chosen, window_tokens=9)
        else:
            valid = torch.ones(1, length, dtype=torch.bool)
            alone = block_sparse(valid, block_tokens=4, random_blocks=1, seed=0)
        part = tuple(tensor[:, :, start:stop].detach().requires_grad_() for tensor in made)
        for name, wanted in results(reference.attend, part, alone).items():
            assert (packed[name][:, :, start:stop] - wanted).abs().max() < 1e-5, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, tensors: Tensors) -> None:
    valid = torch.ones(2, 50, dtype=torch.bool)
    pattern = block_sparse(valid, block_tokens=4, random_blocks=1, seed=0)
    query, key, value, _ = tensors(50, rows=2, dtype=dtype)
    output = reference.attend(query, key, value, pattern)
    exact = reference.attend(query.float(), key.float(), value.float(), pattern)
    assert output.dtype == dtype
    assert torch.equal(output, exact.to(dtype))


def test_double_precision_is_computed_in_double(tensors: Tensors, window_pattern: Patterns) -> None:
    pattern = window_pattern(40, 5)
    query, key, value, _ = tensors(40, dtype=torch.float64)
    output = reference.attend(query, key, value, pattern)
    chosen = pattern.global_BT.tolist()
    valid = pattern.valid_BT.tolist()

    def count(row: int, _: int, q: int, k: int) -> int:
        return int(valid[row][q] and valid[row][k] and (abs(q - k) <= 5 or chosen[row][k]))

    assert (output - by_hand(query, key, value, count)).abs().max() < 1e-13


def test_weights_are_multiplied_with_what_was_kept(tensors: Tensors, window_pattern: Patterns) -> None:
    length = reference.QUERY_CHUNK + 20
    pattern = window_pattern(length, 12)
    query, key, _, _ = tensors(length, rows=5)
    # Values of a unit basis: the output is the matrix of weights itself.
    eye = torch.eye(length).expand(5, 2, length, length)
    query, key = (torch.nn.functional.pad(tensor, (0, length - 16)) for tensor in (query, key))
    keep = torch.rand(5, 2, length, length)
    weights = reference.attend(query, key, eye, pattern)
    assert torch.equal(reference.attend(query, key, eye, pattern, keep_BHTT=keep), weights * keep)


def test_dropout_drops_weights_and_keeps_the_mean(tensors: Tensors) -> None:
    valid = torch.ones(1, 64, dtype=torch.bool)
    pattern = sliding_window(valid, None, window_tokens=64)
    query, key, _, _ = tensors(64, head_size=64, rows=1, heads=8)
    torch.manual_seed(0)
    eye = torch.eye(64).expand(1, 8, 64, 64)
    weights = reference.attend(query, key, eye, pattern, dropout=0.25)
    kept = weights / reference.attend(query, key, eye, pattern)
    assert ((kept == 0) | ((kept - 4 / 3).abs() < 1e-4)).all()
    assert abs((kept == 0).float().mean().item() - 0.25) < 0.01
