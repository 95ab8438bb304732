"""BIO tags: what is made of mentions, and what mentions are made of.

A word is what the tokenizer splits at spaces and punctuation, or the corpus; its first token carries the
tag. Tags are flat: of mentions that overlap the longest is learned, and a discontinuous mention has no tag
at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longbio.corpus.records import Document, Span
from longbio.encoders.tokens import Tokens
from longbio.tasks.task import IGNORED

OUTSIDE = 0

Tags = NDArray[np.int64]


class Words(NamedTuple):
    """Where the words of a document are.

    Args:
        heads: (W,) the index of the first token of each.
        starts: (W,) its first character.
        ends: (W,) the character behind its last.
    """

    heads: Tags
    starts: Tags
    ends: Tags


@dataclass(frozen=True)
class Labels:
    """The entity types of a corpus, and the BIO tags made of them.

    Tag 0 is O; type i has 2i + 1 for its first word and 2i + 2 for the others.
    """

    types: tuple[str, ...]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Labels:
        """Every type that occurs, in alphabetical order."""
        return cls(tuple(sorted({span.label for document in documents for span in document.spans})))

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Labels:
        """The types behind a model's tags, which may come in any order."""
        return cls(tuple(name.removeprefix("B-") for name in names if name.startswith("B-")))

    def names(self) -> dict[int, str]:
        """The tag of each class, as a model's `id2label` has it."""
        tags = [f"{prefix}-{kind}" for kind in self.types for prefix in "BI"]
        return dict(enumerate(["O", *tags]))


@dataclass(frozen=True)
class Tagged:
    """A document's tags, and how many of its mentions no tag can express.

    Args:
        tags: (N,) a tag at the first token of each word, -100 elsewhere.
        lost: mentions that are discontinuous, overlap a longer one, or share a word with one.
    """

    tags: Tags
    lost: int


def encode(document: Document, tokens: Tokens, labels: Labels) -> Tagged:
    """Tag the words of a document with its mentions.

    Raises:
        ValueError: a mention's type isn't among the labels.
    """
    heads, starts, ends = words_of(tokens)
    tags = np.full(len(tokens.ids), IGNORED, dtype=np.int64)
    tags[heads] = OUTSIDE
    lost = 0

    for span in sorted(document.spans, key=lambda span: span.start_char - span.end_char):
        if span.label not in labels.types:
            raise ValueError(f"the type {span.label!r} is not among {labels.types}")
        first = int(np.searchsorted(ends, span.start_char, side="right"))
        last = int(np.searchsorted(starts, span.end_char, side="left"))
        inside = heads[first:last]
        if not span.is_contiguous or not len(inside) or tags[inside].any():
            lost += 1
            continue
        kind = labels.types.index(span.label)
        tags[inside] = 2 * kind + 2
        tags[inside[0]] = 2 * kind + 1
    return Tagged(tags, lost)


def decode(
    tags: Tags, words: Words, labels: Labels, first_words: Tags | None = None
) -> list[tuple[Span, slice]]:
    """Mentions from the tags of a document's words, and the words of each.

    An I that follows nothing of its type starts a mention, as conlleval reads it.

    Args:
        tags: (W,) of the words, or of the first of them.
        words: of the document.
        labels: what the tags mean.
        first_words: those before which every mention ends.
    """
    found: list[tuple[Span, slice]] = []
    borders = set() if first_words is None else set(first_words.tolist())
    kind, first = -1, 0
    for word, tag in enumerate([*tags.tolist(), OUTSIDE]):
        here, begins = (tag - 1) // 2 if tag else -1, tag % 2 == 1 or word in borders
        if kind >= 0 and (here != kind or begins):
            span = Span.of(int(words.starts[first]), int(words.ends[word - 1]), labels.types[kind])
            found.append((span, slice(first, word)))
        if here != kind or begins:
            kind, first = here, word
    return found


def first_words_of(document: Document, words: Words) -> Tags:
    """The words that begin a line, which is a sentence where a corpus comes in words."""
    line_ends = [match.start() for match in re.finditer("\n", document.text)] if document.units else []
    return np.flatnonzero(np.diff(np.searchsorted(line_ends, words.ends - 1))) + 1


def words_of(tokens: Tokens) -> Words:
    """The words of a document; spaces, which some tokenizers read as words without a character, are none."""
    if not len(tokens.words):
        return Words(*(np.zeros(0, dtype=np.int64),) * 3)
    heads = np.flatnonzero(np.diff(tokens.words, prepend=tokens.words[0] - 1))
    starts, token_ends = tokens.offsets.T
    ends = np.maximum.reduceat(np.where(token_ends > starts, token_ends, 0), heads)
    is_word = ends > starts[heads]
    return Words(heads[is_word], starts[heads][is_word], ends[is_word])
