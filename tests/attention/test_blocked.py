"""`blocked` against the law: output, dq, dk and dv, at awkward lengths, with hollow memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from longbio.attention import blocked, reference, tiles
from longbio.attention.blocks import block_sparse
from longbio.attention.pattern import SparsePattern, sliding_window

Tensors = Callable[..., tuple[Tensor, ...]]
Patterns = Callable[..., SparsePattern]
Results = Callable[..., dict[str, Tensor]]
Check = Callable[..., None]
LENGTHS = [1, 63, 111, 513, 1037]
KINDS = pytest.mark.parametrize("kind", ["window", "block"])

pytestmark = pytest.mark.usefixtures("hollow_memory")


def plan_of(pattern: SparsePattern) -> tiles.TilePlan:
    blocked.prepare(pattern)
    return pattern.cache["blocked"]


# ------------------------------------------------------------------------------------ the law


@pytest.mark.parametrize("head_size", [16, 64])
@pytest.mark.parametrize("globals_", ["no", "few"])
@pytest.mark.parametrize("length", LENGTHS)
def test_window(
    length: int,
    globals_: str,
    head_size: int,
    tensors: Tensors,
    window_pattern: Patterns,
    assert_lawful: Check,
) -> None:
    rows = 5 if length < 1000 else 2
    pattern = window_pattern(length, 37, globals_, rows=rows)
    assert_lawful(blocked.attend, tensors(length, head_size, rows=rows), pattern)


@pytest.mark.parametrize("globals_", ["many", "all"])
@pytest.mark.parametrize("length", [63, 300, 513])
def test_window_with_many_global_tokens(
    length: int, globals_: str, tensors: Tensors, window_pattern: Patterns, assert_lawful: Check
) -> None:
    assert_lawful(blocked.attend, tensors(length, heads=1), window_pattern(length, 8, globals_))


@pytest.mark.parametrize("window", [1, 127, 128, 129, 600])
def test_window_around_the_size_of_a_tile(
    window: int, tensors: Tensors, window_pattern: Patterns, assert_lawful: Check
) -> None:
    assert_lawful(blocked.attend, tensors(300), window_pattern(300, window))


@pytest.mark.parametrize("numbers", [(0, 1, 2, 3), (1, 3, 7, 16), (17, 0, 15, 1)])
def test_rows_of_different_numbers_of_global_tokens(
    numbers: tuple[int, ...], tensors: Tensors, assert_lawful: Check
) -> None:
    """Tiles of equal biases share one; those of another number of global tokens are not equal."""
    chosen = torch.arange(700) < torch.tensor(numbers)[:, None]
    pattern = sliding_window(torch.ones_like(chosen), chosen, window_tokens=16)
    assert_lawful(blocked.attend, tensors(700, rows=4, heads=1), pattern)


@pytest.mark.parametrize("kind", ["global", "padding"])
def test_the_first_key_of_a_tile_may_be_a_special_one(
    kind: str, tensors: Tensors, assert_lawful: Check
) -> None:
    """The tile of another row's same place has no such key, and another bias."""
    place = 2 * tiles.tile_tokens(16) - 16
    special = torch.zeros(2, 5 * tiles.tile_tokens(16), dtype=torch.bool)
    special[1, place] = True
    if kind == "global":
        everywhere = torch.ones_like(special)
        special[0, 0] = True  # rows of equally many global tokens
        pattern = sliding_window(everywhere, special, window_tokens=16)
    else:
        pattern = sliding_window(~special, None, window_tokens=16)
    assert place + special.shape[1] in plan_of(pattern).tiles_N9[:, 2]
    assert_lawful(blocked.attend, tensors(special.shape[1], rows=2, heads=1), pattern)


def test_packed_documents_of_different_numbers_of_global_tokens(
    tensors: Tensors, assert_lawful: Check
) -> None:
    position = torch.arange(1500)[None]
    document, own = position // 500, position % 500
    chosen = own < torch.tensor([1, 4, 2])[document]
    pattern = sliding_window(document >= 0, chosen, window_tokens=16, document_BT=document)
    assert_lawful(blocked.attend, tensors(1500, rows=1, heads=1), pattern)


@pytest.mark.parametrize(("length", "block"), [(1, 4), (63, 2), (111, 4), (513, 16), (1037, 16), (1037, 64)])
@pytest.mark.parametrize("random_blocks", [0, 1, 3])
def test_blocks(
    length: int,
    block: int,
    random_blocks: int,
    tensors: Tensors,
    block_pattern: Patterns,
    assert_lawful: Check,
) -> None:
    head_size = 64 if block == 4 else 16
    rows = 5 if length < 1000 else 3
    pattern = block_pattern(length, block, random_blocks, rows=rows)
    assert_lawful(blocked.attend, tensors(length, head_size, rows=rows, heads=1), pattern)


def test_blocks_with_counts_above_one(tensors: Tensors, assert_lawful: Check) -> None:
    """What stock BigBird computes in evaluation counts block 0 several times."""
    draw = torch.Generator().manual_seed(0)
    document = torch.zeros(2, 61, dtype=torch.int64)
    document[1, 50:] = -1
    counts = torch.zeros(2, 16, 16, dtype=torch.int64)
    counts.diagonal(dim1=1, dim2=2).fill_(1)
    counts[:, :, 0] = 4
    counts.scatter_(2, torch.randint(16, (2, 16, 2), generator=draw), 2)
    nowhere = torch.zeros(2, 61, dtype=torch.bool)
    pattern = SparsePattern(document, nowhere, block_tokens=4, counts_BHNN=counts[:, None])
    assert len(plan_of(pattern).far)
    assert_lawful(blocked.attend, tensors(61, rows=2), pattern)


@KINDS
@pytest.mark.parametrize("head_size", [16, 32, 64, 96, 128])
def test_head_sizes(
    head_size: int, kind: str, tensors: Tensors, pattern_of: Patterns, assert_lawful: Check
) -> None:
    assert_lawful(blocked.attend, tensors(300, head_size), pattern_of(kind, 300))


@KINDS
def test_4096_tokens(kind: str, tensors: Tensors, assert_lawful: Check) -> None:
    valid = (torch.arange(4096) < 4001)[None]
    if kind == "window":
        pattern = sliding_window(valid, torch.arange(4096)[None] % 1500 == 0, window_tokens=256)
    else:
        pattern = block_sparse(valid, block_tokens=64, random_blocks=3, seed=0)
    assert_lawful(blocked.attend, tensors(4096, 16, rows=1, heads=1), pattern)


@KINDS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(
    kind: str,
    dtype: torch.dtype,
    tensors: Tensors,
    pattern_of: Patterns,
    results: Results,
    assert_close: Check,
) -> None:
    pattern = pattern_of(kind, 300)
    made = tensors(300, dtype=dtype)
    exact = (*(tensor.detach().float().requires_grad_() for tensor in made[:3]), made[3].float())
    ours = results(blocked.attend, made, pattern)
    assert {tensor.dtype for tensor in ours.values()} == {dtype}
    law = results(reference.attend, exact, pattern)
    assert_close(ours, law, output=2e-2, gradients=2e-2)


@KINDS
def test_inputs_and_gradients_that_are_views(
    kind: str, tensors: Tensors, pattern_of: Patterns, results: Results
) -> None:
    """Heads split from one projection, keys and values of one tensor, the gradient of a sum."""
    pattern = pattern_of(kind, 111)
    hidden, other, _, _ = (tensor.detach() for tensor in tensors(111, head_size=32, heads=1))
    query, key = (
        tensor[:, 0].unflatten(2, (2, 16)).transpose(1, 2).requires_grad_() for tensor in (hidden, other)
    )
    value = query.detach().flip(2)[..., ::2].repeat_interleave(2, dim=3).mT.contiguous().mT.requires_grad_()
    assert not any(tensor.is_contiguous() for tensor in (query, key, value))
    grad = torch.ones(1, 1, 1, 1).expand(query.shape)
    law = results(reference.attend, (query, key, value, grad), pattern)
    for name, ours in results(blocked.attend, (query, key, value, grad), pattern).items():
        assert (ours - law[name]).abs().max() < 1e-5, name


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_a_gradient_of_one_input_alone(
    wanted: int, tensors: Tensors, window_pattern: Patterns, results: Results
) -> None:
    made = tensors(111)
    pattern = window_pattern(111, 9)
    everything = results(blocked.attend, made, pattern)
    alone = [tensor.detach().requires_grad_(place == wanted) for place, tensor in enumerate(made[:3])]
    output = blocked.attend(*alone, pattern)
    (gradient,) = torch.autograd.grad(output, alone[wanted], made[3])
    assert torch.equal(gradient, everything[("dq", "dk", "dv")[wanted]])


@KINDS
def test_gradients_agree_with_finite_differences(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "tile_tokens", lambda _: 3)
    draw = torch.Generator().manual_seed(0)
    made = [torch.randn(1, 2, 9, 4, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(3)]
    valid = torch.ones(1, 9, dtype=torch.bool)
    valid[0, 7] = False
    if kind == "window":
        pattern = sliding_window(valid, torch.arange(9)[None] == 1, window_tokens=2)
    else:
        pattern = block_sparse(valid, block_tokens=1, random_blocks=0, seed=0)
    assert len(plan_of(pattern).far)
    assert torch.autograd.gradcheck(lambda *tensors: blocked.attend(*tensors, pattern), tuple(made))


# ------------------------------------------------------------------------ padding and documents


@KINDS
def test_padding_gives_zero_and_gets_no_gradient(
    kind: str, tensors: Tensors, pattern_of: Patterns, results: Results
) -> None:
    """Whatever the padding tokens hold."""
    pattern = pattern_of(kind, 111)
    assert not pattern.valid_BT[4].any()
    plain = results(blocked.attend, tensors(111), pattern)
    padding = ~pattern.valid_BT[:, None, :, None].expand_as(plain["output"])
    huge = tuple(tensor.detach().masked_fill(padding, 1e15).requires_grad_() for tensor in tensors(111))
    for name, ours in results(blocked.attend, huge, pattern).items():
        assert torch.equal(ours, plain[name]), name
        assert (ours[padding] == 0).all(), name
        assert ours[:4].abs().sum() > 0, name


@KINDS
@pytest.mark.parametrize("rows", [0, 2])
def test_a_batch_without_a_token(kind: str, rows: int, tensors: Tensors, results: Results) -> None:
    valid = torch.zeros(rows, 37, dtype=torch.bool)
    if kind == "window":
        pattern = sliding_window(valid, ~valid, window_tokens=3)
    else:
        pattern = block_sparse(valid, block_tokens=4, random_blocks=1, seed=0)
    assert len(plan_of(pattern).tiles_N9) == 0
    for ours in results(blocked.attend, tensors(37, rows=rows), pattern).values():
        assert ours.shape == (rows, 2, 37, 16)
        assert (ours == 0).all()


DOCUMENTS = (5, 90, 64, 170)


@KINDS
def test_a_packed_document_is_the_document_alone(
    kind: str, tensors: Tensors, packed_pattern: Patterns, results: Results
) -> None:
    pattern = packed_pattern(kind, DOCUMENTS)
    made = tensors(pattern.num_tokens, rows=1)
    packed = results(blocked.attend, made, pattern)
    for (start, stop), length in zip(pattern.documents.tolist(), DOCUMENTS, strict=True):
        assert stop - start == length
        if kind == "window":
            chosen = torch.arange(length)[None] == 0
            alone = sliding_window(torch.ones_like(chosen), chosen, window_tokens=9)
        else:
            valid = torch.ones(1, length, dtype=torch.bool)
            alone = block_sparse(valid, block_tokens=4, random_blocks=1, seed=0)
        part = tuple(tensor[:, :, start:stop].detach().requires_grad_() for tensor in made)
        for name, wanted in results(blocked.attend, part, alone).items():
            assert (packed[name][:, :, start:stop] - wanted).abs().max() < 1e-5, name


@KINDS
@pytest.mark.parametrize("changed", range(4))
def test_other_documents_change_no_bit(
    changed: int, kind: str, tensors: Tensors, packed_pattern: Patterns, results: Results
) -> None:
    pattern = packed_pattern(kind, DOCUMENTS)
    made = tensors(pattern.num_tokens, rows=1)
    start, stop = pattern.documents[changed].tolist()
    others = tuple(tensor.detach().clone() for tensor in made)
    for tensor in others:
        tensor[:, :, start:stop] = 3 * torch.randn(tensor[:, :, start:stop].shape)
    others = (*(tensor.requires_grad_() for tensor in others[:3]), others[3])

    before, after = (results(blocked.attend, given, pattern) for given in (made, others))
    for name in before:
        same = torch.ones(pattern.num_tokens, dtype=torch.bool)
        same[start:stop] = False
        assert torch.equal(before[name][:, :, same], after[name][:, :, same]), name
        assert (before[name] - after[name])[:, :, start:stop].abs().max() > 0.1, name


def test_a_document_in_two_pieces_is_refused(tensors: Tensors) -> None:
    document = torch.tensor([[0, 0, 1, 1, 0]])
    pattern = sliding_window(document >= 0, None, window_tokens=1, document_BT=document)
    query, key, value, _ = tensors(5, rows=1)
    with pytest.raises(ValueError, match="document_ids come back after another document"):
        blocked.attend(query, key, value, pattern)


def test_tensors_are_checked(tensors: Tensors, window_pattern: Patterns) -> None:
    query, key, value, _ = tensors(40)
    with pytest.raises(ValueError, match="query has 5 rows of 40 tokens, the pattern 5 of 41"):
        blocked.attend(query, key, value, window_pattern(41, 3))


def test_a_pattern_of_each_heads_own_is_left_to_the_reference(pattern_of: Patterns) -> None:
    machine = {"device": torch.device("cpu"), "dtype": torch.float32, "dropout": 0.1}
    pattern = pattern_of("block", 30)
    assert pattern.counts_BHNN is not None
    several = SparsePattern(
        pattern.document_BT,
        pattern.global_BT,
        block_tokens=4,
        counts_BHNN=pattern.counts_BHNN.expand(-1, 2, -1, -1),
    )
    assert "differs from head to head" in str(blocked.supports(several, **machine))
    assert reference.supports(several, **machine) is None
    for easy in (pattern, pattern_of("window", 30), None):
        assert blocked.supports(easy, **machine) is None


# ------------------------------------------------------------------------------- plan and memory


@KINDS
def test_work_is_sparse(kind: str, window_pattern: Patterns, block_pattern: Patterns) -> None:
    """The intended branch runs: no tile of an inner query looks at every key."""
    pattern = window_pattern(1037, 37, rows=1) if kind == "window" else block_pattern(1037, 16, 1, rows=1)
    plan = plan_of(pattern)
    start, stop, low, high, _, num_far, _, _, _ = plan.tiles_N9.unbind(dim=1)
    assert ((stop - start) * (high - low + num_far)).sum() < 0.35 * 1037**2
    assert len(plan.far)


def test_tiles_of_equal_biases_share_one(window_pattern: Patterns) -> None:
    valid = torch.ones(3, 4096, dtype=torch.bool)
    plan = plan_of(sliding_window(valid, None, window_tokens=64))
    assert len(plan.tiles_N9) == 3 * 4096 / 64
    assert len(plan.tiles_N9[:, 6].unique()) == 3  # a row's first tile, its last, and all others


@pytest.mark.parametrize(("number", "together"), [(1, True), (tiles.FEW_GLOBALS, True), (200, False)])
def test_tiles_share_their_far_keys_while_these_are_few(number: int, together: bool) -> None:
    """Scores of shared keys are held for all of a group's queries: of many keys that would be a lot."""
    chosen = torch.arange(2048)[None] < number
    plan = plan_of(sliding_window(torch.ones_like(chosen), chosen, window_tokens=16))
    sizes = [len(group.tiles) for group in tiles.groups(plan.tiles_N9, plan.far, plan.bias)]
    assert sum(sizes) == 2048 / 64
    assert sizes == ([sum(sizes)] if together else [1] * len(sizes))


def test_the_plan_is_made_once_for_all_layers(
    tensors: Tensors, window_pattern: Patterns, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = window_pattern(111, 9)
    query, key, value, _ = tensors(111)
    first = blocked.attend(query, key, value, pattern)
    monkeypatch.setattr(blocked, "plan", lambda _: pytest.fail("made twice"))
    assert torch.equal(blocked.attend(query, key, value, pattern), first)


def one_row(length: int, kind: str) -> SparsePattern:
    valid = torch.ones(1, length, dtype=torch.bool)
    if kind == "block":
        return block_sparse(valid, block_tokens=64, random_blocks=1, seed=0)
    return sliding_window(valid, torch.arange(length)[None] == length // 2, window_tokens=64)


def most_bytes_at_once(work: Callable[[], Any]) -> int:
    """The largest sum of what is allocated and not yet freed, as torch's allocator has it."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        work()
    held = most = 0
    changes = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def assert_linear(sizes: list[int]) -> None:
    """Of lengths that double, growth doubles; that of a square would be four times."""
    assert sizes[0] > 0
    assert sizes[2] - sizes[1] <= 2.5 * (sizes[1] - sizes[0]) + 0.02 * sizes[2], sizes


@KINDS
def test_the_plan_is_linear_in_the_length(kind: str) -> None:
    plans = [plan_of(one_row(length, kind)) for length in (2048, 4096, 8192)]
    for name in ("tiles_N9", "far", "bias", "real_N"):
        assert_linear([getattr(plan, name).numel() for plan in plans])


@KINDS
def test_memory_is_linear_in_the_length(kind: str, tensors: Tensors, results: Results) -> None:
    sizes = []
    for length in (1024, 2048, 4096):
        pattern, made = one_row(length, kind), tensors(length, rows=1, heads=1)
        plan_of(pattern)
        sizes.append(
            most_bytes_at_once(lambda made=made, pattern=pattern: results(blocked.attend, made, pattern))
        )
    assert_linear(sizes)
    assert sizes[-1] < 4096**2 / 2, sizes  # half of what one bool for each pair of tokens takes


def test_65536_tokens(tensors: Tensors) -> None:
    length, ends = 65_536, 256
    pattern = one_row(length, "window")
    query, key, value, _ = (tensor.detach() for tensor in tensors(length, rows=1, heads=1))
    output = blocked.attend(query, key, value, pattern)
    for start in (0, length - ends):
        index = torch.arange(start, start + ends)
        scores = query[:, :, index] @ key.mT / 4 + pattern.bias(index, torch.arange(length))
        assert (output[:, :, index] - scores.softmax(dim=-1) @ value).abs().max() < 1e-5


# -------------------------------------------------------------------------------------- dropout


def kept(pattern: SparsePattern, heads: int, dropout: float, seed: Tensor) -> Tensor:
    """(B, H, T, T): what `blocked` multiplies the weights with, drawn again tile by tile."""
    plan, length = plan_of(pattern), pattern.num_tokens
    coins = blocked.Dropout(dropout, seed, torch.device("cpu"))
    keep_BHTT = torch.zeros(len(pattern.document_BT), heads, length, length)
    for tile in tiles.tiles(plan.tiles_N9, plan.far, plan.bias):
        drawn_HQK = coins.keep(torch.zeros(heads, *tile.bias_QK.shape))
        assert drawn_HQK is not None
        query = torch.arange(tile.query.start, tile.query.stop)
        key = torch.cat([torch.arange(tile.near.start, tile.near.stop), tile.far])
        seen_QK = tile.bias_QK.isfinite() & plan.real_N[query][:, None]
        q, k = seen_QK.nonzero().unbind(dim=1)
        assert torch.equal(query[q] // length, key[k] // length)
        place = (query[q] // length, slice(None), query[q] % length, key[k] % length)
        keep_BHTT[place] = drawn_HQK[:, q, k].T / (1.0 - dropout)
    return keep_BHTT


@KINDS
@pytest.mark.parametrize("dropout", [0.1, 0.6])
def test_dropout_is_the_laws_under_the_same_mask(
    dropout: float,
    kind: str,
    tensors: Tensors,
    window_pattern: Patterns,
    block_pattern: Patterns,
    results: Results,
    assert_close: Check,
) -> None:
    pattern = window_pattern(150, 9, seed=3) if kind == "window" else block_pattern(150, 4)
    assert len(plan_of(pattern).far)
    made = tensors(150)
    torch.manual_seed(7)
    ours = results(blocked.attend, made, pattern, dropout=dropout)

    torch.manual_seed(7)
    keep_BHTT = kept(pattern, 2, dropout, torch.randint(1 << 62, (1,)))
    assert_close(ours, results(reference.attend, made, pattern, keep_BHTT=keep_BHTT))
    without = results(blocked.attend, made, pattern)
    for name, plain in without.items():
        assert (ours[name] - plain).abs().max() > 0.1, name


def chance(same: Tensor, probability: float) -> bool:
    """Whether so many of a bool tensor are true, within five standard deviations."""
    deviation = (probability * (1 - probability) / same.numel()) ** 0.5
    return abs(same.float().mean().item() - probability) < 5 * deviation


def coins(seed: int, rate: float, num_tiles: int = 1) -> Tensor:
    """(tiles, H, Q, K) bool: which weights are kept."""
    made = blocked.Dropout(rate, torch.tensor([seed]), torch.device("cpu"))
    drawn = []
    for _ in range(num_tiles):
        keep = made.keep(torch.zeros(4, 64, 200))
        assert keep is not None
        assert ((keep == 0) | (keep == 1)).all()
        drawn.append(keep.bool())
    assert made.scale == 1 / (1 - rate)
    return torch.stack(drawn)


@pytest.mark.parametrize("seed", [0, 1, -1 % 2**62, 12345678901234567])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_so_many_weights_are_dropped_and_none_tells_of_another(rate: float, seed: int) -> None:
    drawn = coins(seed, rate, num_tiles=4)
    assert chance(drawn, 1 - rate)
    for dim in (0, 1, 2):  # tiles, heads, queries: none has its own rate
        assert all(chance(part, 1 - rate) for part in drawn.unbind(dim))

    alike = (1 - rate) ** 2 + rate**2
    for dim in (0, 1, 2, 3):  # nor do neighbours resemble each other
        for distance in (1, 2, 16):
            if distance < drawn.shape[dim]:
                first, second = drawn.unfold(dim, distance + 1, 1)[..., [0, -1]].unbind(-1)
                assert chance(first == second, alike), (dim, distance)


@pytest.mark.parametrize("other", [1, 2, 1 << 16, 1 << 31, (1 << 32) + 1, 0x9E3779B9])
def test_another_seed_is_another_mask(other: int) -> None:
    for seed in (0, 987654321987654321):
        assert torch.equal(coins(seed, 0.5), coins(seed, 0.5))
        assert chance(coins(seed, 0.5) == coins(seed ^ other, 0.5), 0.5)


def test_no_rate_no_mask() -> None:
    none = blocked.Dropout(0.0, torch.tensor([3]), torch.device("cpu"))
    assert none.keep(torch.zeros(1, 2, 3)) is None
    assert none.scale == 1


@KINDS
def test_dropout_takes_one_number_from_the_global_generator(
    kind: str, tensors: Tensors, pattern_of: Patterns
) -> None:
    pattern = pattern_of(kind, 111)
    query, key, value, grad = tensors(111)
    torch.manual_seed(7)
    torch.randint(1 << 62, (1,))
    wanted = torch.get_rng_state()

    torch.manual_seed(7)
    output = blocked.attend(query, key, value, pattern, dropout=0.4)
    assert torch.equal(torch.get_rng_state(), wanted)
    torch.rand(11)  # what other layers draw in between
    between = torch.get_rng_state()
    gradients = torch.autograd.grad(output, (query, key, value), grad)
    assert torch.equal(torch.get_rng_state(), between)

    torch.manual_seed(7)
    again = blocked.attend(query, key, value, pattern, dropout=0.4)
    assert torch.equal(again, output)
    for first, second in zip(gradients, torch.autograd.grad(again, (query, key, value), grad), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(blocked.attend(query, key, value, pattern, dropout=0.4), output)


@KINDS
def test_no_dropout_draws_nothing(
    kind: str, tensors: Tensors, pattern_of: Patterns, results: Results
) -> None:
    pattern = pattern_of(kind, 111)
    before = torch.get_rng_state()
    results(blocked.attend, tensors(111), pattern)
    assert torch.equal(torch.get_rng_state(), before)


@KINDS
def test_every_layer_has_a_mask_of_its_own(kind: str, tensors: Tensors, pattern_of: Patterns) -> None:
    """With values of a unit basis the output is the weights themselves."""
    length = 111
    pattern = pattern_of(kind, length)
    query, key, _, _ = (torch.nn.functional.pad(tensor, (0, length - 16)) for tensor in tensors(length))
    eye = torch.eye(length).expand(5, 2, length, length)
    first, second = (blocked.attend(query, key, eye, pattern, dropout=0.5) == 0 for _ in range(2))
    position = torch.arange(length)
    seen = pattern.bias(position, position).isfinite().expand_as(first)
    assert chance((first == second)[seen], 0.5)
    assert chance(first[seen], 0.5)


# ---------------------------------------------------------------------------- custom operations


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@KINDS
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled(
    dropout: float, kind: str, tensors: Tensors, packed_pattern: Patterns, results: Results
) -> None:
    """Other tiles for the same shape are one more graph, of free sizes, and never another one."""
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(blocked.attend, backend=counter, fullgraph=True)
    patterns = [
        packed_pattern(kind, lengths) for lengths in ((100, 300), (16, 16, 280, 88), (200, 200), (72, 328))
    ]
    assert len({pattern.num_tokens for pattern in patterns}) == 1
    shapes, graphs = set(), []
    for pattern in patterns:
        plan = plan_of(pattern)
        shapes.add((plan.far.shape, plan.bias.shape))
        made = tensors(pattern.num_tokens, rows=1)
        torch.manual_seed(5)
        ours = results(compiled, made, pattern, dropout=dropout)
        graphs.append(counter.frame_count)
        torch.manual_seed(5)
        for name, eager in results(blocked.attend, made, pattern, dropout=dropout).items():
            assert torch.equal(ours[name], eager), name
    assert len(shapes) > 1
    assert graphs[0] == 1
    assert graphs[-1] <= 2


@KINDS
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_operations_are_what_they_say(
    dropout: float, kind: str, tensors: Tensors, pattern_of: Patterns
) -> None:
    pattern = pattern_of(kind, 111)
    plan = plan_of(pattern)
    query, key, value, grad = (blocked.flatten(tensor.detach()) for tensor in tensors(111))
    rest = (plan.tiles_N9, plan.far, plan.bias, plan.real_N, dropout, torch.tensor([3]))
    output = torch.ops.longbio.blocked(query, key, value, *rest)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.longbio.blocked, (query, key, value, *rest), test_utils=checks)
    torch.library.opcheck(
        torch.ops.longbio.blocked_backward, (grad, query, key, value, output, *rest), test_utils=checks
    )


def test_seeds_that_differ_in_one_high_bit_draw_other_masks() -> None:
    like = torch.empty(2, 128, 640)
    plain = blocked.Dropout(0.5, torch.tensor([1]), torch.device("cpu")).keep(like)
    assert plain is not None
    for bit in (1, 31, 32, 33, 40, 61):
        other = blocked.Dropout(0.5, torch.tensor([1 ^ 1 << bit]), torch.device("cpu")).keep(like)
        assert other is not None
        assert abs((plain == other).float().mean().item() - 0.5) < 0.01, bit


def test_a_pattern_of_several_heads_is_refused(tensors: Tensors) -> None:
    valid = torch.ones(1, 8, dtype=torch.bool)
    counts = torch.ones(1, 2, 2, 2, dtype=torch.int64)
    pattern = SparsePattern(valid.long() - 1, ~valid, block_tokens=4, counts_BHNN=counts)
    query, key, value, _ = tensors(8, rows=1, heads=2)
    with pytest.raises(ValueError, match="head to head"):
        blocked.attend(query, key, value, pattern)
