"""Contexts in tokens: where the pieces of a new word stand, before and after it is one, and the states of a
frozen encoder over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind
from numpy.typing import NDArray
from torch import Tensor, nn

from longbio.corpus.words import make_readable
from longbio.encoders.batches import length_batches, mask_of, pad
from longbio.encoders.families import FAMILIES
from longbio.vocabulary.contexts import Context
from longbio.vocabulary.injection import CONTINUES, NewPiece, as_text
from longbio.vocabulary.word_counts import encode_words

TOKENS_AT_ONCE = 8192
"""Read by the encoder in one pass."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A context of a new piece in old tokens, and its word in new ones.

    Args:
        ids: old ids, between the tokenizer's first and last special token.
        word: first token of the word that holds the piece, and the one behind its last.
        span: the same of the tokens that the piece takes the place of.
        new_word: the word in new ids.
    """

    ids: NDArray[np.int32]
    word: tuple[int, int]
    span: tuple[int, int]
    new_word: NDArray[np.int32]


def encode(
    contexts: Mapping[int, Iterable[Context]], old: Any, new: Any, *, max_tokens: int, most: int | None = None
) -> dict[int, tuple[Encoded, ...]]:
    """Contexts in tokens, by the id of the piece; those where the piece isn't found are left out.

    Args:
        old: the tokenizer without the pieces.
        new: the tokenizer with them.
        max_tokens: special tokens included; more on the left and right are cut off.
        most: of each piece; the first are taken. None for all.
    """
    encodings: dict[int, tuple[Encoded, ...]] = {}
    for piece, of_piece in contexts.items():
        every = (_encode(context, piece, old, new, max_tokens) for context in of_piece)
        encodings[piece] = tuple(islice((one for one in every if one is not None), most))
    return encodings


def _encode(context: Context, piece: int, old: Any, new: Any, max_tokens: int) -> Encoded | None:
    before, after = (
        tokenizer.backend_tokenizer.encode(make_readable(context.text), add_special_tokens=False)
        for tokenizer in (old, new)
    )
    within = _overlapping(after.offsets, context.start, context.stop)
    new_word = after.ids[within[0] : within[1]]
    word = _overlapping(before.offsets, context.start, context.stop)
    if piece not in new_word or word[0] == word[1]:
        return None
    place = within[0] + new_word.index(piece)
    span = _overlapping(before.offsets, *after.offsets[place])
    if not word[0] <= span[0] < span[1] <= word[1]:
        return None
    room = max_tokens - 2 - (word[1] - word[0])
    if room < 0:
        return None
    # As much on the left as on the right, and on one side what the other leaves over.
    right = len(before.ids) - word[1]
    left = min(word[0], max(room // 2, room - right))
    right = min(right, room - left)
    first = word[0] - left
    ids = [old.cls_token_id, *before.ids[first : word[1] + right], old.sep_token_id]
    moved = 1 - first
    return Encoded(
        np.array(ids, dtype=np.int32),
        (word[0] + moved, word[1] + moved),
        (span[0] + moved, span[1] + moved),
        np.array(new_word, dtype=np.int32),
    )


def _overlapping(offsets: Sequence[tuple[int, int]], start: int, stop: int) -> tuple[int, int]:
    """The first token that shares characters with a stretch of text, and the one behind the last."""
    tokens = [n for n, (first, last) in enumerate(offsets) if first < stop and last > start]
    return (tokens[0], tokens[-1] + 1) if tokens else (0, 0)


def words_with(
    pieces: Iterable[NewPiece], counts: Mapping[str, int], new: Any, most: int
) -> dict[int, list[str]]:
    """For each piece the words whose new segmentation holds it, the `most` frequent first; `counts` is of
    words as the tokenizer's normaliser leaves them."""
    wanted = {piece.id for piece in pieces}
    words_of: dict[int, list[str]] = {}
    words = sorted(counts, key=lambda word: (-counts[word], word))
    for word, encoding in zip(words, encode_words(words, new), strict=True):
        for number in wanted.intersection(encoding.ids):
            of_piece = words_of.setdefault(number, [])
            if len(of_piece) < most:
                of_piece.append(word)
    return words_of


NOWHERE = "don't occur in the corpus"
NEVER_USED = "stand only within words that are written with other pieces"
NO_CONTEXT = "stand only in words of which no context can be taken (signs in them, or too long)"
STEP = "are steps to longer pieces, with which no word is written"


def why_without(pieces: Sequence[NewPiece], counts: Mapping[str, int], new: Any) -> dict[str, list[str]]:
    """Pieces for which no context was found, by the reason; `counts` and `new` as for `words_with`."""
    backend = new.backend_tokenizer
    texts = [as_text(piece.piece, backend).removeprefix(CONTINUES).encode() for piece in pieces]
    words = "\n".join(counts).encode()
    seek = BytesAhoCorasick(texts, matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA)
    in_words = {number for number, _, _ in seek.find_matches_as_indexes(words, overlapping=True)}
    used = words_with(pieces, counts, new, 1)
    reasons: dict[str, list[str]] = {}
    for number, piece in enumerate(pieces):
        if piece.id in used:
            reason = NO_CONTEXT
        elif not piece.is_asked:
            reason = STEP
        else:
            reason = NEVER_USED if number in in_words else NOWHERE
        reasons.setdefault(reason, []).append(piece.piece)
    return reasons


def pack(contexts: Mapping[int, Sequence[Encoded]]) -> dict[str, Tensor]:
    """Contexts as tensors, to be kept; `unpack` takes them back."""
    every = [(piece, one) for piece, of_piece in contexts.items() for one in of_piece]
    none = np.zeros(0, dtype=np.int32)
    places = [(piece, len(one.ids), len(one.new_word), *one.word, *one.span) for piece, one in every]
    return {
        "ids": torch.from_numpy(np.concatenate([none, *(one.ids for _, one in every)])),
        "new_ids": torch.from_numpy(np.concatenate([none, *(one.new_word for _, one in every)])),
        "places": torch.tensor(places, dtype=torch.int64).reshape(-1, 7),
    }


def unpack(tensors: Mapping[str, Tensor]) -> dict[int, list[Encoded]]:
    """Contexts by the id of their piece."""
    lengths, new_lengths = tensors["places"][:, 1:3].T.tolist()
    ids, new_ids = tensors["ids"].split(lengths), tensors["new_ids"].split(new_lengths)
    contexts: dict[int, list[Encoded]] = {}
    for (piece, _, _, *borders), old, new in zip(tensors["places"].tolist(), ids, new_ids, strict=True):
        word, span = (borders[0], borders[1]), (borders[2], borders[3])
        contexts.setdefault(piece, []).append(Encoded(old.numpy(), word, span, new.numpy()))
    return contexts


@torch.inference_mode()
def span_states(
    model: nn.Module,
    encoded: Sequence[Encoded],
    layers: Sequence[int],
    padding_id: int,
    *,
    on_context: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """(C, H) float32: the mean over the tokens of each context's span, and over layers: 0 for the embeddings,
    1 for the first. Nothing above the deepest is computed."""
    device = next(model.parameters()).device
    states: dict[int, Tensor] = {}
    with _cut_above(model, max(layers)) as encoder:
        for numbers in length_batches([len(context.ids) for context in encoded], TOKENS_AT_ONCE):
            rows = [encoded[n].ids for n in numbers]
            output = encoder(
                input_ids=pad(rows, padding_id).to(device),
                attention_mask=mask_of(rows).to(device),
                output_hidden_states=True,
            )
            state_BTH = sum(output.hidden_states[layer].float() for layer in layers) / len(layers)
            span_BT = mean_weights([encoded[n].span for n in numbers], state_BTH.shape[1], device)
            state_BH = torch.einsum("bt,bth->bh", span_BT, state_BTH).cpu()
            states.update(zip(numbers, state_BH, strict=True))
            on_context(len(states))
    return torch.stack([states[n] for n in range(len(encoded))])


def mean_weights(spans: Sequence[tuple[int, int]], length: int, device: Any) -> Tensor:
    """(B, T) weights that take the mean over each span."""
    first_B, last_B = torch.tensor(spans, device=device).T
    column_T = torch.arange(length, device=device)
    inside_BT = ((column_T >= first_B[:, None]) & (column_T < last_B[:, None])).float()
    return inside_BT / inside_BT.sum(1, keepdim=True)


@contextmanager
def _cut_above(model: Any, deepest: int) -> Iterator[Any]:
    """The encoder without the layers above one, which are put back."""
    base = model.base_model
    family = FAMILIES.get(base.config.model_type, FAMILIES["bert"])
    stack = base.get_submodule(family.layers.removesuffix(".layer"))
    whole = stack.layer
    if deepest > len(whole):
        raise ValueError(f"layer {deepest} is asked for and the model has {len(whole)}")
    # transformers collects no states, the embeddings' included, where there is no layer.
    stack.layer = nn.ModuleList(whole[: max(1, deepest)])
    try:
        yield base
    finally:
        stack.layer = whole
