"""Documents packed into one row equal each alone; padding is left out; rows don't meet."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from longbio.encoders.loading import load
from longbio.encoders.prepared_batch import batch_pattern

Batch = dict[str, Tensor]
MakeOurs = Callable[..., Any]
MakePacked = Callable[..., tuple[Batch, list[tuple[int, slice, Batch]]]]
ForFamily = Callable[[str, Batch], Batch]
MakeBatch = Callable[..., Batch]
Near = Callable[..., None]

ROWS = {
    # No document but the first starts on a block border; 101 is beyond a BigBird's full attention.
    "one row": ([[101, 37, 3, 61]], 7),
    "rows": ([[101, 37, 3, 61], [50], [1, 1, 90]], 0),
    "on block borders": ([[100, 36, 4, 60]], 0),
    "many global tokens": ([[128, 127, 126, 125, 124]], 1),
}


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
@pytest.mark.parametrize(("rows", "behind"), ROWS.values(), ids=ROWS.keys())
def test_documents_in_one_row_equal_each_alone(
    rows: list[list[int]],
    behind: int,
    kernel: str,
    family: str,
    make_ours: MakeOurs,
    make_packed: MakePacked,
    for_family: ForFamily,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    together = make_ours(family, kernel=kernel)
    apart = copy.deepcopy(together)
    batch, alone = make_packed(rows, behind)
    weight = torch.randn(*batch["input_ids"].shape, 32)
    weight *= (batch["document_ids"] >= 0)[:, :, None]

    packed = together(**for_family(family, batch), output_hidden_states=True)
    (packed.last_hidden_state * weight).sum().backward()
    assert len(packed.hidden_states) == 4
    assert torch.equal(packed.hidden_states[-1], packed.last_hidden_state)
    for row, place, document in alone:
        one = apart(**for_family(family, document), output_hidden_states=True)
        (one.last_hidden_state * weight[row : row + 1, place]).sum().backward()
        for layer, (given, wanted) in enumerate(zip(packed.hidden_states, one.hidden_states, strict=True)):
            assert_near(given[row, place], wanted[0], what=f"layer {layer}, tokens {place}")
    for states in packed.hidden_states:
        assert not states[batch["document_ids"] < 0].any()
    assert assert_same_gradients(together, apart, limit=1e-4) > 40


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
def test_documents_do_not_see_each_other(
    kernel: str,
    family: str,
    make_ours: MakeOurs,
    make_packed: MakePacked,
    for_family: ForFamily,
    assert_near: Near,
) -> None:
    model = make_ours(family, kernel=kernel)
    batch, alone = make_packed([[45, 60, 38], [60, 33, 50]])
    row, place, _ = alone[1]
    changed = {name: tensor.clone() for name, tensor in batch.items()}
    changed["input_ids"][row, place] = 64 - batch["input_ids"][row, place]
    changed["token_type_ids"][row, place] ^= 1
    with torch.no_grad():
        before, after = (model(**for_family(family, b)).last_hidden_state for b in (batch, changed))
    same = (before == after).all(dim=2)
    assert same[row, place].sum() == 0
    same[row, place] = True
    assert same.all()

    changed["global_attention_mask"][row, place] ^= 1
    with torch.no_grad():
        after = model(**for_family(family, changed)).last_hidden_state
    after[row, place] = before[row, place]
    assert_near(after, before)


def test_without_document_ids_they_would(
    family: str, make_ours: MakeOurs, make_packed: MakePacked, for_family: ForFamily
) -> None:
    """The test above could pass for another reason: here is that they matter."""
    model = make_ours(family, max_position_embeddings=400)
    batch, _ = make_packed([[45, 60, 38]], behind=0)
    with torch.no_grad():
        packed = model(**for_family(family, batch)).last_hidden_state
        del batch["document_ids"]
        joined = model(**for_family(family, batch)).last_hidden_state
    assert ((packed - joined).abs().amax(dim=2) > 1e-3).all()


def test_positions_of_documents_can_be_given(
    family: str, make_ours: MakeOurs, make_packed: MakePacked, for_family: ForFamily
) -> None:
    model = make_ours(family)
    batch, alone = make_packed([[45, 60], [38]])
    first = 1 if family == "longformer" else 0  # beside the padding token's own
    positions = torch.zeros_like(batch["input_ids"])
    for row, place, document in alone:
        positions[row, place] = first + torch.arange(document["input_ids"].shape[1])
    batch = for_family(family, batch)
    with torch.no_grad():
        by_itself = model(**batch)[0]
        given = model(**batch, position_ids=positions)[0]
        shifted = model(**batch, position_ids=positions + 1)[0]
    assert torch.equal(by_itself, given)
    assert (by_itself - shifted).abs().max() > 1e-3


def test_through_a_head(
    family: str,
    make_folder: Callable[..., Path],
    make_packed: MakePacked,
    for_family: ForFamily,
    assert_near: Near,
) -> None:
    """Heads hand a pattern through as `attention_mask`; those of a BigBird know document_ids too."""
    model = load(make_folder(family, "ner", num_labels=5), "ner", num_labels=5)
    batch, alone = make_packed([[45, 60], [38, 5, 33]])
    shape = tuple(batch["input_ids"].shape)
    labels = torch.randint(5, shape).masked_fill(batch["document_ids"] < 0, -100)
    chosen = batch["global_attention_mask"] if family == "longformer" else None
    pattern = batch_pattern(None, chosen, batch["document_ids"], shape, torch.device("cpu"))
    by_pattern = {name: batch[name] for name in ("input_ids", "token_type_ids")} | {"attention_mask": pattern}
    with torch.no_grad():
        output = model(**by_pattern, labels=labels)
        logits = []
        for row, place, document in alone:
            logits.append(model(**for_family(family, document)).logits[0])
            assert_near(output.logits[row, place], logits[-1])
        if family == "big_bird":
            assert torch.equal(model(**for_family(family, batch)).logits, output.logits)
    wanted = cross_entropy(torch.cat(logits), torch.cat([labels[row, place] for row, place, _ in alone]))
    assert_near(output.loss, wanted)


def test_a_row_may_be_longer_than_the_position_table(
    family: str, make_ours: MakeOurs, make_packed: MakePacked, for_family: ForFamily
) -> None:
    model = make_ours(family)
    batch, _ = make_packed([[128, 128, 20]])
    model(**for_family(family, batch))
    batch, _ = make_packed([[20, 129]])
    with pytest.raises(ValueError, match="129 tokens and the model 128 positions"):
        model(**for_family(family, batch))


def test_and_so_may_one_with_a_single_document(
    family: str, make_ours: MakeOurs, make_packed: MakePacked, for_family: ForFamily, assert_near: Near
) -> None:
    """The last row of a packed corpus, padded to the length of the others."""
    model = make_ours(family)
    batch, [(row, place, document)] = make_packed([[40]], behind=200)
    with torch.no_grad():
        given = model(**for_family(family, batch))[0]
        assert_near(given[row, place], model(**for_family(family, document))[0][0])


def test_a_document_in_two_pieces(family: str, make_ours: MakeOurs) -> None:
    model = make_ours(family)
    ids = torch.full((2, 30), 7)
    documents = torch.arange(30).div(10, rounding_mode="floor").expand(2, -1)
    model(ids, document_ids=documents)
    with pytest.raises(ValueError, match="come back after another document"):
        model(ids, document_ids=documents % 2)
    # Numbers needn't be in order, and rows may use the same ones.
    model(ids, document_ids=5 - documents)


def test_documents_on_both_sides_of_padding(
    family: str, make_ours: MakeOurs, make_packed: MakePacked, for_family: ForFamily, assert_near: Near
) -> None:
    """Padding before, between and behind documents."""
    model = make_ours(family)
    batch, alone = make_packed([[41, 30, 5]], behind=0)
    gap = torch.cat([torch.arange(3), torch.arange(41) + 6, torch.arange(30) + 50, torch.arange(5) + 80])
    spread = {
        name: torch.full((1, 90), -1 if name == "document_ids" else 0).index_copy(1, gap[3:], tensor)
        for name, tensor in batch.items()
    }
    starts = {0: 6, 41: 50, 71: 80}
    with torch.no_grad():
        given = model(**for_family(family, spread))[0][0]
        for _, place, document in alone:
            start = starts[place.start]
            wanted = model(**for_family(family, document))[0][0]
            assert_near(given[start : start + len(wanted)], wanted)
    assert not given[spread["document_ids"][0] < 0].any()


# ------------------------------------------------------------------------------------- padding


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padded_rows_equal_unpadded_ones(
    side: str,
    kernel: str,
    family: str,
    make_ours: MakeOurs,
    make_batch: MakeBatch,
    assert_near: Near,
    assert_same_gradients: Callable[..., int],
) -> None:
    together = make_ours(family, kernel=kernel)
    apart = copy.deepcopy(together)
    lengths = (97, 31, 128, 1)
    batch = make_batch(*lengths, side=side)
    real = batch["attention_mask"].bool()
    if family == "longformer":
        batch["global_attention_mask"] = (torch.rand(real.shape) < 0.1).long()
    elif side == "left":
        # Positions are columns, as in the stock class; other ones have to be given.
        batch["position_ids"] = (real.cumsum(1) - 1).clamp(min=0)
    weight = torch.randn(*real.shape, 32) * real[:, :, None]

    padded = together(**batch, output_hidden_states=True)
    (padded.last_hidden_state * weight).sum().backward()
    for row in range(len(lengths)):
        one = {name: tensor[row][real[row]][None] for name, tensor in batch.items()}
        output = apart(**one, output_hidden_states=True)
        (output.last_hidden_state * weight[row][real[row]]).sum().backward()
        for given, wanted in zip(padded.hidden_states, output.hidden_states, strict=True):
            assert_near(given[row][real[row]], wanted[0])
    for states in padded.hidden_states:
        assert not states[~real].any()
    assert assert_same_gradients(together, apart, limit=1e-4) > 40


def holes(rows: list[str]) -> Tensor:
    """(B, T) of 10 tokens a sign: # real, . padding."""
    return torch.tensor([[sign == "#" for sign in row] for row in rows]).repeat_interleave(10, dim=1)


MASKS = {
    "holes": ["##.######.#", ".##..##..##"],
    "a row of padding": ["###########", "...........", "#########.."],
    "a row of padding first": ["...........", "#########.."],
    "nothing but padding": ["...........", "..........."],
    "one row with a hole": ["#####.#####"],
}


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS.keys())
def test_padding_is_zero_and_has_no_part_in_anything(
    rows: list[str], kernel: str, family: str, make_ours: MakeOurs
) -> None:
    model = make_ours(family, kernel=kernel)
    mask = holes(rows)
    masks = {"attention_mask": mask.long()}
    if family == "longformer":
        masks["global_attention_mask"] = (torch.rand(mask.shape) < 0.2).long()
    embeds = torch.randn(*mask.shape, 32, requires_grad=True)
    output = model(inputs_embeds=embeds, **masks, output_hidden_states=True)
    assert output.last_hidden_state.isfinite().all()
    for states in output.hidden_states:
        assert not states[~mask].any()

    # Even a loss that reads padding sends nothing through it.
    (output.last_hidden_state * torch.randn_like(output.last_hidden_state)).sum().backward()
    assert embeds.grad is not None
    assert not embeds.grad[~mask].any()
    assert bool(embeds.grad[mask].any()) == bool(mask.any())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())

    other = torch.where(mask[:, :, None], embeds, torch.randn_like(embeds))
    again = model(inputs_embeds=other, **masks).last_hidden_state
    assert torch.equal(again, output.last_hidden_state)


@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS.keys())
def test_a_padded_row_does_not_depend_on_its_batch(
    rows: list[str], family: str, make_ours: MakeOurs, assert_near: Near
) -> None:
    model = make_ours(family)
    mask = holes(rows)
    ids = torch.randint(5, 60, mask.shape)
    run = partial(model, return_dict=True)
    with torch.no_grad():
        together = run(ids, attention_mask=mask.long()).last_hidden_state
        for row in range(len(rows)):
            alone = run(ids[row : row + 1], attention_mask=mask[row : row + 1].long()).last_hidden_state[0]
            assert_near(alone, together[row])


def test_a_row_does_not_depend_on_whether_others_are_packed(
    family: str, make_ours: MakeOurs, assert_near: Near
) -> None:
    """Padded on the left or with a hole, beside a row of one document and beside one of two."""
    model = make_ours(family)
    ids = torch.randint(5, 60, (3, 100))
    documents = torch.zeros(3, 100, dtype=torch.int64)
    documents[1, :20] = -1
    documents[2, 30:40] = -1
    ids[documents < 0] = 0
    packed = documents.clone()
    packed[0, 50:] = 1
    with torch.no_grad():
        before, after = (model(ids, document_ids=given)[0] for given in (documents, packed))
    assert (before[0, 50:] - after[0, 50:]).abs().max() > 1e-3
    assert_near(after[1:], before[1:])


def test_only_real_tokens_are_computed(family: str, make_ours: MakeOurs, make_batch: MakeBatch) -> None:
    model = make_ours(family)
    seen = []
    for layer in model.encoder.layer:
        layer.output.dense.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[:2]))
    with torch.no_grad():
        model(**make_batch(120, 8, 4))
        assert seen == [(1, 132)] * 3
        seen.clear()
        model(**make_batch(120, 120))
        assert seen == [(2, 120)] * 3
