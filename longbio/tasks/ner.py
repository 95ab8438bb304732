"""Named entities: a BIO tag per word, and mentions in characters of the original text.

A word is what the tokenizer splits at spaces and punctuation; its first token carries the tag.
Tags are flat: of mentions that overlap the longest is learned, and a discontinuous mention has no
tag at all. What can't be tagged is counted, and stays in the score as missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from longbio.corpus.records import Document, Span
from longbio.encoders.tokens import Tokens

IGNORED = -100
OUTSIDE = 0

Tags = NDArray[np.int64]


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
    def from_names(cls, names: Mapping[int, str]) -> Labels:
        """The types behind a model's `id2label`."""
        return cls(tuple(names[i].removeprefix("B-") for i in range(1, len(names), 2)))

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
    heads = word_heads(tokens)
    starts, ends = _word_bounds(tokens, heads)
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


def decode(tags: Tags, tokens: Tokens, labels: Labels) -> tuple[Span, ...]:
    """Mentions from the tags of a whole document.

    An I that follows nothing of its type starts a mention, as conlleval reads it.

    Args:
        tags: (N,) tag of each token; those of a word's later tokens are not looked at.
        tokens: the document.
        labels: what the tags mean.
    """
    heads = word_heads(tokens)
    starts, ends = _word_bounds(tokens, heads)
    spans: list[Span] = []
    kind, first = -1, 0
    for word, tag in enumerate([*tags[heads].tolist(), OUTSIDE]):
        here, begins = (tag - 1) // 2 if tag else -1, tag % 2 == 1
        if kind >= 0 and (here != kind or begins):
            spans.append(Span.of(int(starts[first]), int(ends[word - 1]), labels.types[kind]))
        if here != kind or begins:
            kind, first = here, word
    return tuple(spans)


def word_heads(tokens: Tokens) -> NDArray[np.int64]:
    """The index of the first token of each word."""
    if not len(tokens.words):
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.diff(tokens.words, prepend=tokens.words[0] - 1))


def _word_bounds(tokens: Tokens, heads: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    if not len(heads):
        return heads, heads
    ends = np.maximum.reduceat(tokens.offsets[:, 1], heads)
    return tokens.offsets[heads, 0], ends


def summed_loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Cross-entropy in nats, summed over the words of the batch.

    Args:
        model: a token classifier, wrapped for parallel training or not.
        batch: its inputs and `labels` (B, T), -100 where there is no tag.
    """
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    logits = model(**inputs).logits.float()
    return cross_entropy(
        logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=IGNORED, reduction="sum"
    )
