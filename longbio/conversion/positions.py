"""Position tables: 512 rows become 4,096, numbered as the long model counts."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

How = Literal["tile", "interpolate"]


def stretch(rows: Tensor, max_tokens: int, how: How) -> Tensor:
    """Rows for `max_tokens` positions out of the source's.

    Args:
        rows: (source positions, hidden size), the rows of real positions only.
        max_tokens: positions wanted.
        how: `tile` repeats the rows, which keeps every distance within a tile as it was learned
            (Longformer, Beltagy et al. 2020, section 5); `interpolate` spreads them evenly.

    Returns:
        (max_tokens, hidden size), storage of its own.
    """
    if how == "tile":
        return rows.repeat(-(-max_tokens // len(rows)), 1)[:max_tokens].clone()
    spread = torch.nn.functional.interpolate(
        rows.float().T[None], size=max_tokens, mode="linear", align_corners=True
    )
    return spread[0].T.to(rows.dtype).contiguous()


def number(rows: Tensor, special_rows: Tensor | None, first_row: int) -> Tensor:
    """The table of a model whose first token has row `first_row`.

    Args:
        rows: (max_tokens, hidden size).
        special_rows: the source's own rows before its first position, or None.
        first_row: 0 for a BigBird, `pad_token_id + 1` for a Longformer.

    Returns:
        (first_row + max_tokens, hidden size). Special rows the source hasn't are zero, as the
        padding row of a fresh embedding is.
    """
    table = rows.new_zeros(first_row + len(rows), rows.shape[1])
    table[first_row:] = rows
    if special_rows is not None:
        shared = min(first_row, len(special_rows))
        table[:shared] = special_rows[:shared]
    return table
