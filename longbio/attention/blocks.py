"""BigBird's patterns: the one a longbio model reads with, and the two of Hugging Face's class."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from longbio.attention.pattern import PADDING, SparsePattern, check_mask, number_documents

NEIGHBOURS = 1  # blocks seen to each side of a query's own
ENDS = 2  # the first and the last block of a document are global


def full_attention_tokens(block_tokens: int, random_blocks: int) -> int:
    """Documents up to this length are read with full attention, as Hugging Face has it."""
    return (3 + ENDS + 2 * random_blocks) * block_tokens


def block_sparse(
    valid_BT: Tensor,
    *,
    block_tokens: int,
    random_blocks: int,
    seed: int,
    document_BT: Tensor | None = None,
) -> SparsePattern:
    """Neighbouring blocks, the two ends of each document, and random blocks.

    A document of at most (5 + 2 * random_blocks) blocks is read with full attention. What a
    document sees depends on its own tokens only, and documents of different lengths keep the same random
    blocks as far as they have them.

    Args:
        valid_BT: bool, False for padding.
        block_tokens: tokens in a block.
        random_blocks: random blocks seen by each query block.
        seed: draws the random blocks.
        document_BT: integers, the documents packed into each row; None for one a row. Where
            there are several, each starts on a block border.

    Raises:
        ValueError: a wrong mask, a block of no tokens, a negative number of random blocks, a
            document that starts inside a block.
    """
    check_mask(valid_BT, "valid_BT")
    if block_tokens < 1 or random_blocks < 0:
        raise ValueError(f"block_tokens is {block_tokens} and random_blocks is {random_blocks}")

    rows, num_tokens = valid_BT.shape
    num_blocks = -(-num_tokens // block_tokens)
    document = number_documents(valid_BT, document_BT).cpu()
    counts_BHNN = torch.zeros(rows, 1, num_blocks, num_blocks, dtype=torch.int64)
    ticket_NN = _lottery(num_blocks, seed)
    full_tokens = full_attention_tokens(block_tokens, random_blocks)
    pattern = SparsePattern(document, torch.zeros_like(document, dtype=torch.bool), block_tokens=block_tokens)
    for start, stop in pattern.documents.tolist():
        row, start = divmod(start, num_tokens)
        stop -= row * num_tokens
        if document_BT is not None and start % block_tokens:
            raise ValueError(
                f"a document starts at token {start} of row {row}; with blocks of {block_tokens} "
                "every packed document starts on a block border"
            )
        first, behind = start // block_tokens, -(-stop // block_tokens)
        length = int((document[row, start:stop] != PADDING).sum())
        counts_BHNN[row, 0, first:behind, first:behind] = _seen_blocks(
            behind - first, ticket_NN, random_blocks, full=length <= full_tokens
        )
    return replace(pattern, counts_BHNN=counts_BHNN, cache={}).to(valid_BT.device)


def _seen_blocks(num_blocks: int, ticket_NN: Tensor, random_blocks: int, *, full: bool) -> Tensor:
    """(N, N) int64 of one document."""
    if full:
        return torch.ones(num_blocks, num_blocks, dtype=torch.int64)
    block_N = torch.arange(num_blocks)
    end_N = (block_N == 0) | (block_N == num_blocks - 1)
    near_NN = (block_N[:, None] - block_N[None, :]).abs() <= NEIGHBOURS
    fixed_NN = near_NN | end_N[:, None] | end_N[None, :]
    drawn_NN = _lowest(ticket_NN[:num_blocks, :num_blocks], ~fixed_NN, random_blocks)
    return (fixed_NN | drawn_NN).long()


def _lottery(num_blocks: int, seed: int) -> Tensor:
    """(N, N) int64 tickets, a hash of (seed, query block, key block) and of nothing else."""
    block_N = torch.arange(num_blocks)
    ticket = (seed * 1_000_003 + block_N[:, None]) * 1_000_003 + block_N[None, :] + 1
    for multiplier in (0x5851F42D4C957F2D, 0x14057B7EF767814F):
        ticket = (ticket ^ (ticket >> 29)) * multiplier
    return (ticket ^ (ticket >> 32)) & 0x7FFF_FFFF_FFFF


def _lowest(ticket_NN: Tensor, may_draw_NN: Tensor, how_many: int) -> Tensor:
    """Per query block, the `how_many` key blocks with the lowest tickets among the allowed."""
    how_many = min(how_many, len(ticket_NN))
    chosen = ticket_NN.masked_fill(~may_draw_NN, 1 << 62).topk(how_many, dim=1, largest=False).indices
    return torch.zeros_like(may_draw_NN).scatter_(1, chosen, True) & may_draw_NN
