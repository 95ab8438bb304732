"""The rows of global tokens, against a softmax written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from longbio.attention import dense
from longbio.attention.dense import FOLDED_TOKENS, attend_from_few, attend_from_global, global_rows
from longbio.attention.pattern import SparsePattern, sliding_window

HEADS, SIZE, WIDTH = 2, 16, 24

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def packed() -> Callable[[float], SparsePattern]:
    """Two rows of 150 tokens: five documents, padding between, inside and behind them."""

    def make(share: float) -> SparsePattern:
        document = torch.full((2, 150), -1)
        document[0, :60] = 0
        document[0, 60:63] = 1
        document[0, 70:140] = 2
        document[0, 90:95] = -1
        document[1, 10:100] = 0
        document[1, 100:150] = 7
        chosen = torch.rand(document.shape) < share
        chosen[0, 61] = chosen[1, 20] = True
        chosen[1, 100:150] = False  # a document without any
        return sliding_window(document >= 0, chosen, window_tokens=4, document_BT=document)

    return make


@pytest.fixture
def projections() -> tuple[nn.Linear, nn.Linear]:
    return nn.Linear(WIDTH, HEADS * SIZE).double(), nn.Linear(WIDTH, HEADS * SIZE).double()


def by_hand(query_GHD: Tensor, key_NHD: Tensor, value_NHD: Tensor, pattern: SparsePattern) -> Tensor:
    """(G, H, D) float64, one query and one head after the other."""
    document = pattern.document_BT.flatten().tolist()
    made = []
    for query_HD, position in zip(query_GHD.double(), pattern.global_positions.tolist(), strict=True):
        row = position // 150 * 150
        seen = [n for n in range(row, row + 150) if document[n] == document[position]]
        heads = []
        for head in range(HEADS):
            weights = (key_NHD[seen, head].double() @ query_HD[head] / SIZE**0.5).softmax(dim=0)
            heads.append(weights @ value_NHD[seen, head].double())
        made.append(torch.stack(heads))
    return torch.stack(made)


def heads(states: Tensor) -> Tensor:
    return states.unflatten(-1, (HEADS, SIZE))


def near(ours: Tensor, law: Tensor, limit: float = 1e-5) -> bool:
    assert ours.shape == law.shape
    return bool((ours - law).abs().max() <= limit * law.abs().max().clamp(min=1.0))


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_few(
    share: float, packed: Callable[[float], SparsePattern], projections: tuple[nn.Linear, nn.Linear]
) -> None:
    pattern = packed(share)
    rows = global_rows(pattern)
    assert rows is not None
    assert rows.plan is None
    assert 2 <= len(rows.index_G) <= FOLDED_TOKENS
    key, value = projections
    hidden = torch.randn(300, WIDTH, dtype=torch.float64, requires_grad=True)
    query = torch.randn(len(rows.index_G), HEADS, SIZE, dtype=torch.float64, requires_grad=True)
    given = (hidden, query, *key.parameters(), *value.parameters())
    weight = torch.randn(len(rows.index_G), HEADS, SIZE, dtype=torch.float64)

    output = attend_from_few(query, hidden, key, value, rows)
    law = by_hand(query, heads(key(hidden)), heads(value(hidden)), pattern)
    assert near(output, law, 1e-12)
    ours = torch.autograd.grad((output * weight).sum(), given)
    theirs = torch.autograd.grad((law * weight).sum(), given)
    for mine, other in zip(ours, theirs, strict=True):
        assert near(mine, other, 1e-12)


@pytest.mark.parametrize("gpu", [False, pytest.param(True, marks=needs_gpu)])
def test_few_in_half_precision(
    gpu: bool, packed: Callable[[float], SparsePattern], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU computes it, and on one."""
    device = torch.device("cuda" if gpu else "cpu")
    if not gpu:
        monkeypatch.setattr(dense, "_computing_dtype", lambda *_: torch.bfloat16)
    pattern = packed(0.1)
    key, value = nn.Linear(WIDTH, HEADS * SIZE), nn.Linear(WIDTH, HEADS * SIZE)
    hidden = torch.randn(300, WIDTH)
    query = torch.randn(len(pattern.global_positions), HEADS, SIZE).bfloat16()
    law = by_hand(query, heads(key(hidden)), heads(value(hidden)), pattern)
    rows = global_rows(pattern.to(device))
    assert rows is not None
    output = attend_from_few(query.to(device), hidden.to(device), key.to(device), value.to(device), rows)
    assert output.dtype == torch.bfloat16
    assert dense._computing_dtype(query.to(device), hidden.to(device)) == torch.bfloat16
    assert near(output.cpu(), law, 0.02)


def test_many(packed: Callable[[float], SparsePattern]) -> None:
    pattern = packed(0.7)
    rows = global_rows(pattern)
    assert rows is not None
    assert rows.plan is not None
    assert rows.bias_G1N is None
    assert len(rows.index_G) > FOLDED_TOKENS
    assert torch.equal(rows.index_G, pattern.global_positions)
    made = [torch.randn(size, HEADS, SIZE, requires_grad=True) for size in (len(rows.index_G), 300, 300)]
    weight = torch.randn(len(rows.index_G), HEADS, SIZE)

    output = attend_from_global(*made, rows)
    law = by_hand(*made, pattern)
    assert near(output, law)
    ours = torch.autograd.grad((output * weight).sum(), made)
    theirs = torch.autograd.grad((law * weight).sum(), made)
    for mine, other in zip(ours, theirs, strict=True):
        assert near(mine, other)


def test_many_in_more_than_one_tile() -> None:
    """Longer than a tile of queries, and the last tile shorter than the others."""
    valid = torch.ones(1, 300, dtype=torch.bool)
    valid[0, 290:] = False
    pattern = sliding_window(valid, torch.ones_like(valid), window_tokens=4)
    rows = global_rows(pattern)
    assert rows is not None
    assert rows.plan is not None
    starts = [0, *rows.plan.tiles_N9[:, 1].tolist()]
    assert len(starts) > 3
    assert starts[-1] == 290
    assert starts[-1] - starts[-2] < dense.GLOBAL_TILE
    query, key, value = (torch.randn(size, HEADS, SIZE) for size in (290, 300, 300))
    output = attend_from_global(query, key, value, rows)
    for start, stop in pairwise(starts):
        scores = torch.einsum("ghd,nhd->hgn", query[start:stop], key[:290]) / SIZE**0.5
        wanted = torch.einsum("hgn,nhd->ghd", scores.softmax(dim=2), value[:290])
        assert near(output[start:stop], wanted)


def test_both_are_one_function_and_meet_at_the_limit(projections: tuple[nn.Linear, nn.Linear]) -> None:
    key, value = projections
    results, positions = [], None
    hidden = torch.randn(100, WIDTH, dtype=torch.float64)
    query = torch.randn(FOLDED_TOKENS + 1, HEADS, SIZE, dtype=torch.float64)
    for count in (FOLDED_TOKENS, FOLDED_TOKENS + 1):
        chosen = torch.zeros(1, 100, dtype=torch.bool)
        chosen[0, :count] = True
        pattern = sliding_window(torch.ones_like(chosen), chosen, window_tokens=4)
        rows = global_rows(pattern)
        assert rows is not None
        assert (rows.plan is None) == (count == FOLDED_TOKENS)
        assert rows.bias_G1N is None  # one document without padding: nothing to hide
        positions = rows.index_G
        if rows.plan is None:
            results.append(attend_from_few(query[:count], hidden, key, value, rows))
        else:
            made = heads(key(hidden)), heads(value(hidden))
            results.append(attend_from_global(query[:count], *made, rows)[:FOLDED_TOKENS])
    assert positions is not None
    assert near(*results, 1e-12)


def test_a_pattern_without_global_tokens_has_no_rows(packed: Callable[[float], SparsePattern]) -> None:
    valid = torch.ones(2, 30, dtype=torch.bool)
    pattern = sliding_window(valid, None, window_tokens=4)
    assert global_rows(pattern) is None
    assert global_rows(sliding_window(~valid, valid, window_tokens=4)) is None
    made = packed(0.1)
    assert global_rows(made) is global_rows(made)


@pytest.mark.parametrize("many", [False, True])
def test_dropout(
    many: bool,
    packed: Callable[[float], SparsePattern],
    projections: tuple[nn.Linear, nn.Linear],
) -> None:
    """It drops weights, not results: with one value for all, results are how much is kept."""
    pattern = packed(0.7 if many else 0.1)
    rows = global_rows(pattern)
    assert rows is not None
    key, value = projections
    with torch.no_grad():
        value.weight.zero_()  # every value is the bias
    hidden = torch.randn(300, WIDTH, dtype=torch.float64)
    query = torch.randn(len(rows.index_G), HEADS, SIZE, dtype=torch.float64)

    def run(dropout: float) -> Tensor:
        with torch.no_grad():
            if many:
                made = heads(key(hidden)), heads(value(hidden))
                return attend_from_global(query, *made, rows, dropout=dropout)
            return attend_from_few(query, hidden, key, value, rows, dropout=dropout)

    bias = heads(value.bias)
    assert near(run(0.0), bias.expand(len(query), -1, -1), 1e-12)
    kept = torch.stack([(run(0.4) / bias).mean(dim=2) for _ in range(400)])  # (runs, G, H)
    assert near(kept.mean(dim=0), torch.ones(len(query), HEADS).double(), 0.2)
    assert (kept.std(dim=0) > 0.02).all()
    torch.manual_seed(5)
    first, second = run(0.4), run(0.4)
    torch.manual_seed(5)
    assert torch.equal(run(0.4), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("many", [False, True])
def test_gradients_with_dropout(
    many: bool, packed: Callable[[float], SparsePattern], projections: tuple[nn.Linear, nn.Linear]
) -> None:
    """The backward pass drops what the forward pass dropped: the slope in a random direction."""
    pattern = packed(0.7 if many else 0.1)
    rows = global_rows(pattern)
    assert rows is not None
    key, value = projections
    hidden = torch.randn(300, WIDTH, dtype=torch.float64)
    query = torch.randn(len(rows.index_G), HEADS, SIZE, dtype=torch.float64)
    direction = torch.randn_like(hidden), torch.randn_like(query)
    weight = torch.randn_like(query)

    def loss(step: Tensor) -> Tensor:
        torch.manual_seed(2)
        states, queries = hidden + step * direction[0], query + step * direction[1]
        if many:
            made = heads(key(states)), heads(value(states))
            return (attend_from_global(queries, *made, rows, dropout=0.3) * weight).sum()
        return (attend_from_few(queries, states, key, value, rows, dropout=0.3) * weight).sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(step), step)
    with torch.no_grad():
        small = torch.tensor(1e-5, dtype=torch.float64)
        wanted = (loss(small) - loss(-small)) / (2 * small)
    assert abs(slope) > 1e-2
    assert abs(slope - wanted) < 1e-5 * abs(wanted)


def test_bf16(packed: Callable[[float], SparsePattern], projections: tuple[nn.Linear, nn.Linear]) -> None:
    """Computed in float32, given back as it came; under autocast too."""
    pattern = packed(0.1)
    rows = global_rows(pattern)
    assert rows is not None
    key, value = (projection.bfloat16() for projection in projections)
    hidden = torch.randn(300, WIDTH).bfloat16()
    query = torch.randn(len(rows.index_G), HEADS, SIZE).bfloat16()
    with torch.no_grad():
        output = attend_from_few(query, hidden, key, value, rows)
        with torch.autocast("cpu", torch.bfloat16):
            inside = attend_from_few(query, hidden, key, value, rows)
        exact = [
            heads(nn.functional.linear(hidden.double(), p.weight.double(), p.bias.double()))
            for p in (key, value)
        ]
        law = by_hand(query, *exact, pattern)
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, inside)
    assert near(output.double(), law.bfloat16().double(), 2**-8)
