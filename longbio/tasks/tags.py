"""BIO tags: what is made of mentions, and what mentions are made of.

A word is what the text's own borders make one (`corpus.words`), or the corpus, where it comes in words; its
first token carries the tag. Tags are flat: of mentions that overlap the longest is learned, and a
discontinuous mention, or one that begins or ends within a word, has no tag at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Span
from longbio.encoders.batches import IGNORED
from longbio.encoders.token_windows import Tokens, tokenize
from longbio.tasks.metrics import Counts, count_entities, micro

OUTSIDE = 0

Tags = NDArray[np.int64]


class Words(NamedTuple):
    """Where the words of a document are: the first token of each, its first character, the one behind its
    last."""

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

    def names(self) -> dict[int, str]:
        """The tag of each class, as a model's `id2label` has it."""
        tags = [f"{prefix}-{kind}" for kind in self.types for prefix in "BI"]
        return dict(enumerate(["O", *tags]))


@dataclass(frozen=True)
class Tagged:
    """A document's tags (N,), at the first token of each word, -100 elsewhere; and the mentions that they
    don't give back, each with the reason."""

    tags: Tags
    lost: tuple[tuple[Span, str], ...]


IN_PIECES = "mentions in several pieces"
OVERLAPPING = "mentions that overlap a longer one"
WITHIN_WORD = "mentions that begin or end within a word"
WITHOUT_TOKEN = "mentions that no token stands for"
OVER_LINES = "mentions over the end of a sentence"
UNLEARNED = "mentions of types that aren't learned"


def encode(document: Document, tokens: Tokens, labels: Labels) -> Tagged:
    """Tag the words of a document with its mentions: those that come back as they are, the longest first.

    Raises:
        ValueError: a mention's type isn't among the labels.
    """
    words = words_of(tokens)
    tags = np.full(len(tokens.ids), IGNORED, dtype=np.int64)
    tags[words.heads] = OUTSIDE
    first_words = first_words_of(document, words)
    lost: list[tuple[Span, str]] = []

    for span in sorted(document.spans, key=lambda span: span.start_char - span.end_char):
        if span.label not in labels.types:
            raise ValueError(f"the type {span.label!r} is not among {labels.types}")
        inside, reason = _words_inside(span, words, first_words)
        heads = words.heads[inside]
        if not reason and tags[heads].any():
            reason = OVERLAPPING
        if reason:
            lost.append((span, reason))
            continue
        kind = labels.types.index(span.label)
        tags[heads] = 2 * kind + 2
        tags[heads[0]] = 2 * kind + 1
    return Tagged(tags, tuple(lost))


def _words_inside(span: Span, words: Words, first_words: Tags) -> tuple[slice, str]:
    """The words of a mention, and why they don't give it back; empty where they do."""
    if not span.is_contiguous:
        return slice(0, 0), IN_PIECES
    first = int(np.searchsorted(words.ends, span.start_char, side="right"))
    stop = int(np.searchsorted(words.starts, span.end_char, side="left"))
    if stop <= first:
        return slice(0, 0), WITHOUT_TOKEN
    inside = slice(first, stop)
    if np.searchsorted(first_words, first, side="right") < np.searchsorted(first_words, stop, side="left"):
        return inside, OVER_LINES
    is_whole = words.starts[first] == span.start_char and words.ends[stop - 1] == span.end_char
    return inside, "" if is_whole else WITHIN_WORD


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
    mentions: list[tuple[Span, slice]] = []
    borders = set() if first_words is None else set(first_words.tolist())
    kind, first = -1, 0
    for word, tag in enumerate([*tags.tolist(), OUTSIDE]):
        kind_here, begins = (tag - 1) // 2 if tag else -1, tag % 2 == 1 or word in borders
        if kind >= 0 and (kind_here != kind or begins):
            span = Span.of(int(words.starts[first]), int(words.ends[word - 1]), labels.types[kind])
            mentions.append((span, slice(first, word)))
        if kind_here != kind or begins:
            kind, first = kind_here, word
    return mentions


@dataclass(frozen=True)
class Ceiling:
    """What a tagger that makes no mistake would score: counts of the mentions that tags give back, against
    those that are there; and those lost, by the reason, with the place of the first."""

    counts: Counts
    lost: PassedOver

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"f1": self.counts.f1, "lost": dict(self.lost), "lost_at": self.lost.places}


def ceiling(documents: Sequence[Document], tokenizer: Any, labels: Labels | None = None) -> Ceiling:
    """Tag documents with their own mentions, and read the tags again. Mentions of types that aren't among the
    labels are lost; without labels, every type that occurs is tagged."""
    labels = labels or Labels.of(documents)
    counts, lost = Counts(), PassedOver()
    for document in documents:
        tokens = tokens_of(document, tokenizer)
        words = words_of(tokens)
        tags = encode_learned(document, tokens, labels, lost)[words.heads]
        decoded = decode(tags, words, labels, first_words_of(document, words))
        counts += micro(count_entities(document.spans, [span for span, _ in decoded]))
    return Ceiling(counts, lost)


def encode_learned(document: Document, tokens: Tokens, labels: Labels, lost: PassedOver) -> Tags:
    """Tags of the mentions whose types are among the labels; counts the others, and those that aren't given
    back."""
    known = tuple(span for span in document.spans if span.label in labels.types)
    lost.note(UNLEARNED, document.id, len(document.spans) - len(known))
    tagged = encode(replace(document, spans=known), tokens, labels)
    for span, reason in tagged.lost:
        lost.note(reason, f"{document.id}, character {span.start_char}")
    return tagged.tags


def tokens_of(document: Document, tokenizer: Any) -> Tokens:
    """A document in tokens, its words the text's, or the corpus's where it comes in words."""
    tokens = tokenize(document.text, tokenizer)
    return tokens.with_words(document.units) if document.units else tokens


def first_words_of(document: Document, words: Words) -> Tags:
    """The words that begin a line, which is a sentence where a corpus comes in words."""
    line_ends = [match.start() for match in re.finditer("\n", document.text)] if document.units else []
    return np.flatnonzero(np.diff(np.searchsorted(line_ends, words.ends - 1))) + 1


def words_of(tokens: Tokens) -> Words:
    """The words of a document that have a token."""
    _, heads = np.unique(tokens.words, return_index=True)
    starts, ends = tokens.word_spans.T
    return Words(heads[len(heads) - len(starts) :], starts, ends)
