"""Whether a WordPiece tokenizer lower-cases and strips accents: as a file says, or as its vocabulary tells.

Transformers lower-cases wherever `tokenizer_config.json` says nothing, and then overlooks what
`tokenizer.json` says. A cased vocabulary read so never yields its pieces with capitals.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, normalizers

CAPITALS, ACCENTS = 0.05, 0.02
"""Shares of a vocabulary from which its capitals and accents count as intended: a cased one holds about a
third capitals, SciBERT's uncased one 0.6%, and 1.2% accents that its tokenizer strips."""

PREFIX = "##"
CONFIG, TOKENIZER = "tokenizer_config.json", "tokenizer.json"
USER = "--lowercase or --no-lowercase"
VOCABULARY = "the vocabulary"
NOTHING = "no file: BERT's default"
PROBE = "The Café ÅNGSTRÖM"


@dataclass(frozen=True)
class Stated:
    """What the files beside a vocabulary say of capitals and accents, and which; None for what they leave
    open. BERT strips accents where it lower-cases, if nothing else is said."""

    lowercase: bool | None = None
    strip_accents: bool | None = None
    lowercase_by: str = NOTHING
    accents_by: str = NOTHING


@dataclass(frozen=True)
class Casing:
    """How a tokenizer reads capitals and accents, and who decided it.

    Args:
        strip_accents: None for as `lowercase`.
        lowercase_by: a file, `VOCABULARY`, `USER` or `NOTHING`; `accents_by` too.
        lost: pieces of the vocabulary that text read so can never become.
        pieces: of the vocabulary, special ones left out.
    """

    lowercase: bool
    strip_accents: bool | None
    lowercase_by: str
    accents_by: str
    lost: int
    pieces: int

    @property
    def is_stated(self) -> bool:
        """A file or the user decided about capitals."""
        return self.lowercase_by not in (VOCABULARY, NOTHING)

    @property
    def is_doubtful(self) -> bool:
        """Transformers would have read text otherwise, or much of the vocabulary never comes out."""
        guessed = VOCABULARY in (self.lowercase_by, self.accents_by)
        return guessed or self.lost > ACCENTS * self.pieces

    @property
    def reads(self) -> str:
        """How text is read, and what decided it."""
        strips = self.lowercase if self.strip_accents is None else self.strip_accents
        capitals = "text is lower-cased" if self.lowercase else "capitals are kept"
        accents = f"accents are {'stripped' if strips else 'kept'}"
        if self.accents_by == self.lowercase_by:
            return f"{capitals} and {accents}, by {self.lowercase_by}"
        return f"{capitals}, by {self.lowercase_by}; {accents}, by {self.accents_by}"

    @property
    def loss(self) -> str:
        """What of the vocabulary no text can become."""
        return f"{self.lost:,} of {self.pieces:,} pieces can never come out"


def decide(pieces: Iterable[str], stated: Stated, lowercase: bool | None = None) -> Casing:
    """How text has to be read for this WordPiece vocabulary; what the user says goes before all else."""
    ordinary = [strip_prefix(piece) for piece in pieces if not is_special(piece)]
    strip_accents, accents_by = stated.strip_accents, stated.accents_by
    if lowercase is not None:
        lowercase_by = USER
    elif stated.lowercase is not None:
        lowercase, lowercase_by = stated.lowercase, stated.lowercase_by
    else:
        lowercase = num_lost(ordinary, lowercase=True, strip_accents=False) < CAPITALS * len(ordinary)
        lowercase_by = NOTHING if lowercase else VOCABULARY
    if strip_accents is None:
        accents_by = lowercase_by
        kept, lost = (num_lost(ordinary, lowercase=lowercase, strip_accents=strip) for strip in (False, None))
        if lost - kept >= max(1, ACCENTS * len(ordinary)):
            strip_accents, accents_by = False, VOCABULARY
    lost = num_lost(ordinary, lowercase=lowercase, strip_accents=strip_accents)
    return Casing(lowercase, strip_accents, lowercase_by, accents_by, lost, len(ordinary))


def num_lost(words: list[str], *, lowercase: bool, strip_accents: bool | None) -> int:
    """How many words this normaliser changes, so that no text read by it holds them."""
    normalizer = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=strip_accents, lowercase=lowercase
    )
    after = normalizer.normalize_str("\n".join(words)).split("\n")
    return sum(old != new for old, new in zip(words, after, strict=True)) if words else 0


def is_special(piece: str) -> bool:
    """`[CLS]`, `[unused7]`, `<s>`: no piece of a text."""
    return len(piece) > 2 and (piece[0], piece[-1]) in {("[", "]"), ("<", ">")}


def strip_prefix(piece: str) -> str:
    """A piece without the `##` of those that continue a word."""
    return piece.removeprefix(PREFIX) if len(piece) > len(PREFIX) else piece


def read_stated(tokenizer_config: Mapping[str, Any], tokenizer: Mapping[str, Any] | None) -> Stated:
    """What the content of `tokenizer_config.json` says, or where that is silent, that of `tokenizer.json`."""
    lowercase = tokenizer_config.get("do_lower_case")
    strip_accents = tokenizer_config.get("strip_accents")
    lowercase_by, accents_by = (NOTHING if flag is None else CONFIG for flag in (lowercase, strip_accents))
    if tokenizer is not None:
        steps = _steps(tokenizer.get("normalizer"))
        bert = next((step for step in steps if step.get("type") == "BertNormalizer"), None)
        kinds = {step.get("type") for step in steps}
        lowers = "Lowercase" in kinds or (bert is not None and bool(bert.get("lowercase")))
        strips = "StripAccents" in kinds if bert is None else bert.get("strip_accents")
        if lowercase is None:
            lowercase, lowercase_by = lowers, TOKENIZER
        if strip_accents is None and strips is not None:
            strip_accents, accents_by = strips, TOKENIZER
    return Stated(lowercase, strip_accents, lowercase_by, accents_by)


def _steps(normalizer: Any) -> list[Mapping[str, Any]]:
    if not isinstance(normalizer, Mapping):
        return []
    if normalizer.get("type") == "Sequence":
        return [step for inner in normalizer.get("normalizers", []) for step in _steps(inner)]
    return [normalizer]


def reads_alike(normalizer: Any, backend: Tokenizer) -> bool:
    """Whether a normaliser, as JSON, does to capitals and accents what a tokenizer's own does."""
    empty = {"type": "WordLevel", "vocab": {}, "unk_token": "?"}
    other = Tokenizer.from_str(
        json.dumps({"version": "1.0", "added_tokens": [], "normalizer": normalizer, "model": empty})
    )
    ours, theirs = (
        unicodedata.normalize("NFC", PROBE if used is None else used.normalize_str(PROBE)).strip(" ▁")
        for used in (other.normalizer, backend.normalizer)
    )
    return ours == theirs
