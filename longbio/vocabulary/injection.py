"""New pieces in a tokenizer's own vocabulary: old ids stay, and nothing is an added token.

A word added by `add_tokens` is cut out of longer words or denied its plural. In the vocabulary
itself it is a piece like all others: `metoprolols` becomes `metoprolol ##s`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer, decoders

from longbio.errors import LongbioError

CONTINUES = "##"
"""What WordPiece writes before a piece that doesn't begin a word."""


@dataclass(frozen=True)
class NewPiece:
    """A piece that a vocabulary got: its id, which is the row of its embedding; what the old tokenizer makes
    of it; whether it is a term, and not a piece that merges need between."""

    piece: str
    id: int
    old_ids: tuple[int, ...]
    is_asked: bool = True


@dataclass(frozen=True)
class Injected:
    """A new tokenizer, its new pieces by ascending id, and terms that can't be pieces, by the reason.
    Byte-level BPE needs some pieces that nobody asked for."""

    tokenizer: Any
    pieces: tuple[NewPiece, ...]
    refused: dict[str, tuple[str, ...]]


def inject(tokenizer: Any, terms: Sequence[str]) -> Injected:
    """Put terms into the vocabulary of a WordPiece or byte-level BPE tokenizer: words, and pieces that begin
    with `##` for WordPiece.

    Raises:
        LongbioError: it is a tokenizer of another kind.
    """
    refuse_other_kinds(tokenizer)
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    # Added tokens are numbered from the vocabulary's end, unless they stand in it.
    for added in spec["added_tokens"]:
        spec["model"]["vocab"].setdefault(added["content"], added["id"])
    return KINDS[spec["model"]["type"]](tokenizer, spec, terms)


def refuse_other_kinds(tokenizer: Any) -> None:
    """Raises LongbioError for tokenizers that are neither WordPiece nor byte-level BPE."""
    backend = tokenizer.backend_tokenizer
    kind = json.loads(backend.to_str())["model"]["type"]
    if kind not in KINDS or (kind == "BPE" and not is_byte_level(backend)):
        raise LongbioError(
            f"a tokenizer of kind {kind}{' without bytes' if kind == 'BPE' else ''} can't be extended",
            where=getattr(tokenizer, "name_or_path", "tokenizer"),
            remedy="take a model with WordPiece or byte-level BPE",
        )


def is_byte_level(backend: Tokenizer) -> bool:
    """Whether a vocabulary writes bytes as letters, and a space as one of them."""
    return isinstance(backend.decoder, decoders.ByteLevel)


def as_text(piece: str, backend: Tokenizer) -> str:
    """A piece as people write it; `##` stays."""
    return str(backend.decoder.decode([piece])).strip() if is_byte_level(backend) else piece


def _word_piece(tokenizer: Any, spec: dict[str, Any], terms: Sequence[str]) -> Injected:
    vocabulary = tokenizer.get_vocab()
    pieces: dict[str, NewPiece] = {}
    refused: dict[str, list[str]] = {}
    unknown, longest = spec["model"]["unk_token"], spec["model"]["max_input_chars_per_word"]
    first_id = max(vocabulary.values()) + 1
    for term in terms:
        word = term.removeprefix(CONTINUES)
        reason = _fault(tokenizer, word)
        if reason is None and (term in vocabulary or term in pieces):
            reason = "already in the vocabulary"
        if reason is None and len(word) > longest:
            reason = f"longer than {longest} characters"
        if reason is not None:
            refused.setdefault(reason, []).append(term)
            continue
        old_ids = longest_match(word, vocabulary, continues=term.startswith(CONTINUES))
        pieces[term] = NewPiece(term, first_id + len(pieces), tuple(old_ids or [vocabulary[unknown]]))
    spec["model"]["vocab"] |= {piece.piece: piece.id for piece in pieces.values()}
    return _load_injected(tokenizer, spec, pieces, refused)


def longest_match(word: str, vocabulary: dict[str, int], *, continues: bool = False) -> list[int] | None:
    """Ids that WordPiece cuts a normalised word into, or None where it gives up; `continues`: it stands
    within a longer one."""
    ids, start = [], 0
    while start < len(word):
        prefix = CONTINUES if continues or start else ""
        stops = range(len(word), start, -1)
        stop = next((stop for stop in stops if prefix + word[start:stop] in vocabulary), None)
        if stop is None:
            return None
        ids.append(vocabulary[prefix + word[start:stop]])
        start = stop
    return ids


def _byte_pairs(tokenizer: Any, spec: dict[str, Any], terms: Sequence[str]) -> Injected:
    """Each term gets the merges that build it, last of all, from the pieces it is cut into now."""
    vocabulary = tokenizer.get_vocab()
    model = spec["model"]
    merges: dict[tuple[str, str], int] = {}
    pieces: dict[str, NewPiece] = {}
    refused: dict[str, list[str]] = {}
    first_id = max(vocabulary.values()) + 1
    for term in terms:
        old_ids = tokenizer(f" {term}", add_special_tokens=False)["input_ids"]
        # The vocabulary writes a word with the space before it.
        old = tokenizer.convert_ids_to_tokens(old_ids)
        current = _merge(old, merges)
        between = pieces.get(current[0]) if len(current) == 1 else None
        if between is not None and not between.is_asked:
            pieces[between.piece] = replace(between, is_asked=True)
            continue
        reason = _fault(tokenizer, term)
        if reason is None and (len(current) == 1 or "".join(old) in vocabulary):
            reason = "already in the vocabulary"
        if reason is not None:
            refused.setdefault(reason, []).append(term)
            continue
        while len(current) > 1:
            pair, joined = (current[0], current[1]), current[0] + current[1]
            merges[pair] = len(merges)
            if joined not in vocabulary and joined not in pieces:
                length = len(joined)
                covered = [sum(len(piece) for piece in old[: n + 1]) for n in range(len(old))]
                parts = old_ids[: covered.index(length) + 1]
                is_asked = length == len("".join(old))
                pieces[joined] = NewPiece(joined, first_id + len(pieces), tuple(parts), is_asked)
            current = [joined, *current[2:]]
    model["vocab"] |= {piece.piece: piece.id for piece in pieces.values()}
    old_merges = model["merges"]
    as_lists = not old_merges or not isinstance(old_merges[0], str)
    model["merges"] = old_merges + [list(pair) if as_lists else " ".join(pair) for pair in merges]
    return _load_injected(tokenizer, spec, pieces, refused)


def _merge(pieces: list[str], merges: dict[tuple[str, str], int]) -> list[str]:
    """Pieces after the merges that apply, the earliest first."""
    current = list(pieces)
    while True:
        ranked = [(merges[pair], n) for n, pair in enumerate(pairwise(current)) if pair in merges]
        if not ranked:
            return current
        _, n = min(ranked)
        current[n : n + 2] = [current[n] + current[n + 1]]


def _load_injected(
    tokenizer: Any, spec: dict[str, Any], pieces: dict[str, NewPiece], refused: dict[str, list[str]]
) -> Injected:
    made = copy.deepcopy(tokenizer)
    made._tokenizer = Tokenizer.from_str(json.dumps(spec))
    if not tokenizer.get_vocab().items() <= made.get_vocab().items():
        raise LongbioError(
            "ids of its old pieces would change",
            where=getattr(tokenizer, "name_or_path", "tokenizer"),
            remedy="take a tokenizer whose added tokens are its last",
        )
    return Injected(made, tuple(pieces.values()), {reason: tuple(words) for reason, words in refused.items()})


def _fault(tokenizer: Any, word: str) -> str | None:
    """Why a word can't be a piece, or None."""
    if not word:
        return "empty"
    if any(character.isspace() or not character.isprintable() for character in word):
        return "white space or control characters"
    backend = tokenizer.backend_tokenizer
    normal = backend.normalizer.normalize_str(word) if backend.normalizer else word
    if normal != word:
        return "not as the tokenizer writes words (casing, accents)"
    cut = backend.pre_tokenizer.pre_tokenize_str(word) if backend.pre_tokenizer else []
    return "more than one word to the tokenizer" if len(cut) > 1 else None


KINDS = {"WordPiece": _word_piece, "BPE": _byte_pairs}
