"""Token distillation: new rows learn to stand for the pieces they take the place of.

After Dobler et al. (ICLR 2026, decoders), for encoders: the frozen model reads a context in old
pieces; reading it with the new piece, it shall have the same states on both sides of the word and,
on the word, their mean. Positions keep the gap that the merged pieces leave. A small masked-LM term
gives the row its place in the tied decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from longbio.masked_lm.head import only_at
from longbio.pretraining.learning import first_position
from longbio.vocabulary.spans import Encoded
from longbio.vocabulary.states import batches_by_length, padded, spread
from longbio.vocabulary.work import Work

KEPT, KEPT_EVERY = "distilled", 200
ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of a weight."""


@dataclass(frozen=True)
class DistilSettings:
    """How rows learn.

    Args:
        epochs: over all contexts.
        learning_rate: Adam's, as a share of the rows' length divided by the square root of their
            width: of the size of a number in a row.
        layer: whose states are matched; -1 for the last.
        mlm_weight: of the masked-LM term.
        batch_tokens: of a step.
        seed: of the order.
    """

    epochs: int = 1
    learning_rate: float = 0.1
    layer: int = -1
    mlm_weight: float = 0.1
    batch_tokens: int = 4096
    seed: int = 0


def distilled_rows(
    model: Any,
    start_NH: Tensor,
    start_N: Tensor,
    encoded: Sequence[Encoded],
    first_new: int,
    tokenizer: Any,
    settings: DistilSettings,
    work: Work | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """Rows that learned; those of pieces without a context stay as they were.

    Args:
        model: a masked-LM model in evaluation mode, without dropout; it stays as it is.
        start_NH: rows to begin with: the calibrated mean.
        start_N: biases of the decoder; they stay.
        encoded: contexts, whose `new_word` holds ids from `first_new` on.
        first_new: id of the first new row.
        tokenizer: gives the ids of padding and [MASK].
        settings: how they learn.
        work: keeps what was learned, so that a killed run goes on.
        on_step: told of every step.

    Returns:
        (N, H) float32.
    """
    old_VH = model.get_input_embeddings().weight.detach()[:first_new]
    bias = model.get_output_embeddings().bias.detach()
    biases = torch.cat([bias[:first_new], start_N.to(bias)])
    rows_NH = start_NH.clone().to(old_VH).requires_grad_(True)
    size = float(start_NH.norm(dim=1).mean()) / start_NH.shape[1] ** 0.5
    optimizer = torch.optim.Adam([rows_NH], lr=settings.learning_rate * size)
    names = _names_of_tables(model)

    def student(ids_BT: Tensor, mask_BT: Tensor, position_BT: Tensor) -> Any:
        table = torch.cat([old_VH, rows_NH])
        weights = dict.fromkeys(names["rows"], table) | dict.fromkeys(names["biases"], biases)
        inputs = {"input_ids": ids_BT, "attention_mask": mask_BT, "position_ids": position_BT}
        return functional_call(model, weights, (), inputs | {"output_hidden_states": True}, tie_weights=False)

    done = _resumed(work, rows_NH, optimizer)
    draw = torch.Generator().manual_seed(settings.seed)
    step = 0
    for _ in range(settings.epochs):
        batches = list(batches_by_length([len(each.ids) for each in encoded], settings.batch_tokens))
        for number in torch.randperm(len(batches), generator=draw).tolist():
            step += 1
            if step <= done:
                continue
            loss = _loss(model, student, [encoded[n] for n in batches[number]], tokenizer, settings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            on_step(step)
            if work is not None and step % KEPT_EVERY == 0:
                state = optimizer.state[rows_NH]
                work.keep(KEPT, {"rows": rows_NH.detach().cpu(), **{n: state[n].cpu() for n in ADAM}})
    return rows_NH.detach().float().cpu()


def _resumed(work: Work | None, rows_NH: Tensor, optimizer: torch.optim.Adam) -> int:
    """Take up what a killed run kept; returns the steps it had done."""
    kept = None if work is None else work.known(KEPT)
    if kept is None:
        return 0
    with torch.no_grad():
        rows_NH.copy_(kept["rows"])
    optimizer.state[rows_NH] = {name: kept[name].to(rows_NH.device) for name in ADAM}
    optimizer.state[rows_NH]["step"] = kept["step"]
    return int(kept["step"])


def _loss(
    model: Any,
    student: Callable[..., Any],
    batch: Sequence[Encoded],
    tokenizer: Any,
    settings: DistilSettings,
) -> Tensor:
    device = next(model.parameters()).device
    padding, offset = tokenizer.pad_token_id, first_position(model)
    old_BT, old_mask_BT = (x.to(device) for x in padded([each.ids for each in batch], padding))
    new_BT, new_mask_BT = (
        x.to(device)
        for x in padded([[*e.ids[: e.word[0]], *e.new_word, *e.ids[e.word[1] :]] for e in batch], padding)
    )
    position_BT, _ = padded([_positions(each, offset) for each in batch], 0)
    new_word = [(each.word[0], each.word[0] + len(each.new_word)) for each in batch]
    with torch.no_grad():
        wanted = model.base_model(
            input_ids=old_BT, attention_mask=old_mask_BT, output_hidden_states=True
        ).hidden_states[settings.layer]
    position_BT = position_BT.to(device)
    found = student(new_BT, new_mask_BT, position_BT).hidden_states[settings.layer]

    def on_word(states: Tensor, spans: list[tuple[int, int]]) -> Tensor:
        return torch.einsum("bt,bth->bh", spread(spans, states.shape[1], device), states)

    loss = (on_word(found, new_word) - on_word(wanted, [e.word for e in batch])).square().mean(1).sum()
    outside = torch.stack(
        [
            (found[row, _beside(each, len(each.new_word))] - wanted[row, _beside(each, None)]).square().mean()
            for row, each in enumerate(batch)
        ]
    )
    loss = loss + outside.sum()
    if settings.mlm_weight:
        in_word_BT = spread(new_word, new_BT.shape[1], device) > 0
        masked_BT = new_BT.masked_fill(in_word_BT, tokenizer.mask_token_id)
        with only_at(model, in_word_BT.flatten().nonzero().flatten()):
            logits = student(masked_BT, new_mask_BT, position_BT).logits
        loss = loss + settings.mlm_weight * cross_entropy(logits, new_BT[in_word_BT], reduction="sum")
    return loss / len(batch)


def _beside(each: Encoded, new_tokens: int | None) -> list[int]:
    """Places left and right of the word, in old tokens or in new ones."""
    stop = each.word[1]
    moved = 0 if new_tokens is None else new_tokens - (each.word[1] - each.word[0])
    return [*range(each.word[0]), *(n + moved for n in range(stop, len(each.ids)))]


def _positions(each: Encoded, offset: int) -> list[int]:
    """Where the old tokens stood: the new word where its first piece did, and a gap behind it."""
    first, stop = each.word
    within = [min(first + n, stop - 1) for n in range(len(each.new_word))]
    return [offset + n for n in [*range(first), *within, *range(stop, len(each.ids))]]


def _names_of_tables(model: Any) -> dict[str, list[str]]:
    """What the model calls its table of rows and the decoder's bias, every name of each."""
    weights = {
        "rows": model.get_input_embeddings().weight,
        "biases": model.get_output_embeddings().bias,
    }
    named = list(model.named_parameters(remove_duplicate=False))
    return {kind: [name for name, weight in named if weight is found] for kind, found in weights.items()}
