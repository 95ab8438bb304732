"""Documents of any length become sequences of one length, nothing dropped and little padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longbio.masked_lm.masking import Bools, Ids
from longbio.pretraining.shards import TokenizedCorpus

FRAME = 2
"""[CLS] and [SEP] of each piece."""


@dataclass(frozen=True, eq=False)
class PackingPlan:
    """Which piece of which document stands in which sequence.

    Args:
        pieces_P3: document, first token, token after the last; sequence by sequence.
        starts_R1: of each sequence its first piece; one more at the end.
        block_tokens: pieces begin on multiples of it.
    """

    pieces_P3: Ids
    starts_R1: Ids
    max_tokens: int
    block_tokens: int = 1

    def __len__(self) -> int:
        return len(self.starts_R1) - 1

    def pieces(self, row: int) -> Ids:
        """(pieces, 3) of one sequence."""
        return self.pieces_P3[self.starts_R1[row] : self.starts_R1[row + 1]]

    @property
    def filled(self) -> float:
        """Share of all positions that isn't padding; 1 for no sequences."""
        tokens = int((self.pieces_P3[:, 2] - self.pieces_P3[:, 1] + FRAME).sum())
        return tokens / (len(self) * self.max_tokens) if len(self) else 1.0


def plan(
    lengths: Ids, chosen: Ids, max_tokens: int, block_tokens: int = 1, *, alone: bool = False
) -> PackingPlan:
    """Pack pieces of documents by best fit, the longest first.

    Documents that are too long are cut at the maximum; what is left of them is packed with the
    others. The same documents give the same plan.

    Args:
        lengths: (D,) tokens of all documents.
        chosen: the documents to pack, by number; empty ones are left out.
        block_tokens: of BigBird's blocks: a piece begins with one.
        alone: one piece a sequence, for models that can't keep documents apart.

    Raises:
        ValueError: a sequence has no room for a token between its special ones.
    """
    room = max_tokens - FRAME
    if room < 1:
        raise ValueError(f"sequences of {max_tokens} tokens have no room between [CLS] and [SEP]")
    count = -(-lengths[chosen] // room)
    document = np.repeat(chosen, count)
    number = np.arange(len(document)) - np.repeat(np.cumsum(count) - count, count)
    start = number * room
    stop = np.minimum(start + room, lengths[document])
    width = -(-(stop - start + FRAME) // block_tokens) * block_tokens

    order = np.argsort(-width, kind="stable")
    row_of = np.empty(len(order), dtype=np.int64)
    capacity = -(-max_tokens // block_tokens) * block_tokens
    row_of[order] = range(len(order)) if alone else _best_fit(width[order].tolist(), capacity)
    by_row = np.lexsort((-width, row_of))
    pieces = np.stack([document, start, stop], axis=1)[by_row]
    rows = int(row_of.max()) + 1 if len(row_of) else 0
    starts = np.searchsorted(row_of[by_row], np.arange(rows + 1))
    return PackingPlan(pieces, starts, max_tokens, block_tokens)


def _best_fit(widths: Sequence[int], capacity: int) -> list[int]:
    """The row of each width, those given in falling order: the fullest row that has room."""
    # with_room[r]: rows that have r positions left. A bit set tells the smallest r that will do.
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    has_any, rows, row_of = 0, 0, []
    for width in widths:
        fitting = has_any >> width
        if fitting:
            left = width + (fitting & -fitting).bit_length() - 1
            row = with_room[left].pop()
            if not with_room[left]:
                has_any &= ~(1 << left)
        else:
            left, row, rows = capacity, rows, rows + 1
        row_of.append(row)
        left -= width
        if left:
            with_room[left].append(row)
            has_any |= 1 << left
    return row_of


@dataclass(frozen=True, eq=False)
class Packed:
    """One sequence, special tokens in place.

    Args:
        ids: (T,) token ids; padding between BigBird's documents.
        ordinary: (T,) True for tokens of documents, False for [CLS], [SEP] and padding.
        word_starts: (T,) True where a word begins.
        document_ids: (T,) number of the piece, -1 for padding.
    """

    ids: Ids
    ordinary: Bools
    word_starts: Bools
    document_ids: Ids


@dataclass(frozen=True)
class Frame:
    """Ids of [CLS], [SEP] and padding."""

    first: int
    last: int
    padding: int

    @classmethod
    def of(cls, tokenizer: Any) -> Frame:
        """Of a transformers tokenizer."""
        return cls(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)


def pack_row(corpus: TokenizedCorpus, pieces: Ids, frame: Frame, block_tokens: int = 1) -> Packed:
    """Put pieces of documents, (P, 3) of one sequence, into it."""
    widths = pieces[:, 2] - pieces[:, 1] + FRAME
    begins = np.concatenate([[0], np.cumsum(-(-widths // block_tokens) * block_tokens)])
    total = int(begins[-2] + widths[-1])
    ids = np.full(total, frame.padding, dtype=np.int64)
    ordinary, word_starts = np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
    document_ids = np.full(total, -1, dtype=np.int64)
    for number, ((document, start, stop), begin, width) in enumerate(
        zip(pieces.tolist(), begins.tolist(), widths.tolist(), strict=False)
    ):
        end = begin + width
        inner = slice(begin + 1, end - 1)
        ids[inner], word_starts[inner] = corpus.piece(document, start, stop)
        ids[begin], ids[end - 1] = frame.first, frame.last
        ordinary[inner] = True
        document_ids[begin:end] = number
    return Packed(ids, ordinary, word_starts, document_ids)
