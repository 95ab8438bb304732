"""Token distillation: new rows learn to stand for the pieces they take the place of.

After Dobler et al. (ICLR 2026, decoders), for encoders: the frozen model reads a context in old
pieces; reading it with the new piece, it shall have the same states on both sides of the word and,
on the word, their mean. Positions keep the gap that the merged pieces leave. A small masked-LM term
gives the row its place in the tied decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn.functional import cross_entropy

from longbio.artifacts.atomic_files import write_bytes_atomically
from longbio.encoders.batches import length_batches, mask_of, pad
from longbio.encoders.families import first_position
from longbio.masked_lm.head import only_at
from longbio.vocabulary.encoded_contexts import Encoded, mean_weights

KEPT, KEPT_EVERY = "distilled.safetensors", 200


@dataclass(frozen=True)
class DistilSettings:
    """How rows learn. The rate is a share of the size of a number in a row: of the rows' length divided by
    the square root of their width; `layer` is that whose states are matched, -1 for the last."""

    epochs: int = 1
    learning_rate: float = 0.1
    layer: int = -1
    mlm_weight: float = 0.1
    batch_tokens: int = 4096


def distilled_rows(
    model: Any,
    start_NH: Tensor,
    start_N: Tensor,
    encoded: Sequence[Encoded],
    first_new: int,
    tokenizer: Any,
    settings: DistilSettings,
    seed: int,
    kept: Path,
    on_step: Callable[[int], None],
) -> Tensor:
    """Rows that learned; those of pieces without a context stay as they were.

    Args:
        model: a masked-LM model in evaluation mode, without dropout; its weights are frozen.
        start_NH: rows to begin with: the calibrated mean.
        start_N: biases of the decoder; they stay.
        encoded: contexts, whose `new_word` holds ids from `first_new` on.
        kept: a file for what was learned, so that a killed run goes on.

    Returns:
        (N, H) float32.
    """
    model.requires_grad_(False)
    rows_NH = start_NH.clone().to(model.get_input_embeddings().weight).requires_grad_(True)
    size = float(start_NH.norm(dim=1).mean()) / start_NH.shape[1] ** 0.5
    adam = RowAdam(rows_NH, settings.learning_rate * size)
    student = _Student(model, rows_NH, start_N.to(rows_NH), first_new)
    done = _take_up(kept, adam)
    draw = torch.Generator().manual_seed(seed)
    step = 0
    for _ in range(settings.epochs):
        batches = list(length_batches([len(context.ids) for context in encoded], settings.batch_tokens))
        for number in torch.randperm(len(batches), generator=draw).tolist():
            step += 1
            if step <= done:
                continue
            batch = [encoded[n] for n in batches[number]]
            _loss(student, batch, tokenizer, settings).backward()
            adam.step({int(i) - first_new for one in batch for i in one.new_word if i >= first_new})
            on_step(step)
            if step % KEPT_EVERY == 0:
                _keep(kept, adam, step)
    return rows_NH.detach().float().cpu()


class RowAdam:
    """Adam for rows that are seldom in a batch: those that aren't stay, and each counts its own steps.

    Ordinary Adam moves every row at every step: by the momentum of a batch long ago, and by the small
    gradients that all rows get from the softmax, made as large as any.
    """

    BETAS = (0.9, 0.999)

    def __init__(self, rows_NH: Tensor, rate: float) -> None:
        self.rows_NH, self.rate = rows_NH, rate
        self.first_NH, self.second_NH = torch.zeros_like(rows_NH), torch.zeros_like(rows_NH)
        self.steps_N = rows_NH.new_zeros(len(rows_NH))

    @torch.no_grad()
    def step(self, rows: Collection[int]) -> None:
        """Move these rows against their gradients, and forget the gradients of all."""
        assert self.rows_NH.grad is not None
        rows_M = torch.tensor(sorted(rows), device=self.rows_NH.device)
        gradient_MH = self.rows_NH.grad[rows_M]
        self.rows_NH.grad = None
        self.steps_N[rows_M] += 1
        moments = []
        for beta, moment_NH, value_MH in zip(
            self.BETAS, (self.first_NH, self.second_NH), (gradient_MH, gradient_MH.square()), strict=True
        ):
            moment_NH[rows_M] = beta * moment_NH[rows_M] + (1 - beta) * value_MH
            moments.append(moment_NH[rows_M] / (1 - beta ** self.steps_N[rows_M])[:, None])
        self.rows_NH[rows_M] -= self.rate * moments[0] / (moments[1].sqrt() + 1e-8)

    @property
    def state(self) -> dict[str, Tensor]:
        """What is needed to go on; to be written into, too."""
        rows_NH = self.rows_NH.detach()
        return {"rows": rows_NH, "first": self.first_NH, "second": self.second_NH, "steps": self.steps_N}


def _keep(file: Path, adam: RowAdam, step: int) -> None:
    tensors = {name: tensor.cpu().contiguous() for name, tensor in adam.state.items()}
    write_bytes_atomically(file, save({"step": torch.tensor(step), **tensors}))


def _take_up(file: Path, adam: RowAdam) -> int:
    """Take up what a killed run kept; returns the steps it had done."""
    if not file.is_file():
        return 0
    kept = load_file(file)
    for name, tensor in adam.state.items():
        tensor.copy_(kept[name])
    return int(kept["step"])


@dataclass(frozen=True, eq=False)
class _Student:
    """The frozen model with rows behind its table's."""

    model: Any
    rows_NH: Tensor
    bias_N: Tensor
    first_new: int

    def states(self, ids_BT: Tensor, mask_BT: Tensor, position_BT: Tensor, layer: int) -> Tensor:
        """(B, T, H) of old and new ids."""
        is_new_BT = ids_BT >= self.first_new
        embedded_BTH = self.model.get_input_embeddings()(ids_BT.masked_fill(is_new_BT, 0))
        embedded_BTH = embedded_BTH.index_put((is_new_BT,), self.rows_NH[ids_BT[is_new_BT] - self.first_new])
        output = self.model.base_model(
            inputs_embeds=embedded_BTH,
            attention_mask=mask_BT,
            position_ids=position_BT,
            output_hidden_states=True,
        )
        return output.hidden_states[layer]

    def logits(self, ids_BT: Tensor, mask_BT: Tensor, position_BT: Tensor, at_M: Tensor) -> Tensor:
        """(M, V + N) of old ids at flat positions; gradients go to the rows and no further."""
        state_M: list[Tensor] = []
        decoder = self.model.get_output_embeddings()
        handle = decoder.register_forward_pre_hook(lambda _, inputs: state_M.append(inputs[0]))
        try:
            with torch.no_grad(), only_at(self.model, at_M):
                old_MV = self.model(input_ids=ids_BT, attention_mask=mask_BT, position_ids=position_BT).logits
        finally:
            handle.remove()
        new_MN = state_M[0] @ self.rows_NH.T + self.bias_N
        return torch.cat([old_MV[:, : self.first_new], new_MN], dim=1)


def _loss(student: _Student, batch: Sequence[Encoded], tokenizer: Any, settings: DistilSettings) -> Tensor:
    """The mean over contexts: states on the word, states beside it, and the word guessed."""
    model, device = student.model, student.rows_NH.device
    padding, offset = tokenizer.pad_token_id, first_position(model.config)
    old = [context.ids for context in batch]
    new = [[*c.ids[: c.word[0]], *c.new_word, *c.ids[c.word[1] :]] for c in batch]
    old_BT, old_mask_BT = pad(old, padding).to(device), mask_of(old).to(device)
    new_BT, new_mask_BT = pad(new, padding).to(device), mask_of(new).to(device)
    position_BT = pad([_positions(context, offset) for context in batch], 0).to(device)
    with torch.no_grad():
        wanted_BTH = model.base_model(
            input_ids=old_BT, attention_mask=old_mask_BT, output_hidden_states=True
        ).hidden_states[settings.layer]
    state_BTH = student.states(new_BT, new_mask_BT, position_BT, settings.layer)

    def on_word(states_BTH: Tensor, words: list[tuple[int, int]]) -> Tensor:
        return torch.einsum("bt,bth->bh", mean_weights(words, states_BTH.shape[1], device), states_BTH)

    new_word = [(context.word[0], context.word[0] + len(context.new_word)) for context in batch]
    on_old, on_new = on_word(wanted_BTH, [context.word for context in batch]), on_word(state_BTH, new_word)
    loss = (on_new - on_old).square().mean(1).sum()

    old_places = [_places_beside(context, 0) for context in batch]
    longer = [len(context.new_word) - (context.word[1] - context.word[0]) for context in batch]
    new_places = [_places_beside(context, more) for context, more in zip(batch, longer, strict=True)]
    old_place_BT, new_place_BT = pad(old_places, 0).to(device), pad(new_places, 0).to(device)
    row_B1 = torch.arange(len(batch), device=device)[:, None]
    apart_BT = (state_BTH[row_B1, new_place_BT] - wanted_BTH[row_B1, old_place_BT]).square().mean(2)
    beside_BT = mask_of(old_places).to(apart_BT)
    loss = loss + ((apart_BT * beside_BT).sum(1) / beside_BT.sum(1)).sum()
    if settings.mlm_weight:
        in_word_BT = mean_weights(new_word, state_BTH.shape[1], device) > 0
        masked_BT = new_BT.masked_fill(in_word_BT, tokenizer.mask_token_id)
        at_M = in_word_BT.flatten().nonzero().flatten()
        logits = student.logits(masked_BT, new_mask_BT, position_BT, at_M)
        loss = loss + settings.mlm_weight * cross_entropy(logits, new_BT[in_word_BT], reduction="sum")
    return loss / len(batch)


def _places_beside(context: Encoded, moved: int) -> list[int]:
    """Places left and right of the word, those on the right moved by so many tokens."""
    return [*range(context.word[0]), *(n + moved for n in range(context.word[1], len(context.ids)))]


def _positions(context: Encoded, offset: int) -> list[int]:
    """Where the old tokens stood: the new word where its first piece did, and a gap behind it."""
    first, stop = context.word
    within = [min(first + n, stop - 1) for n in range(len(context.new_word))]
    return [offset + n for n in [*range(first), *within, *range(stop, len(context.ids))]]
