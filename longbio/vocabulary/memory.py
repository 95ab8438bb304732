"""How much memory new rows take, reckoned before the corpus is read."""

from __future__ import annotations

from pathlib import Path

import psutil

from longbio.errors import LongbioError

CONTEXT_BYTES = 1200
"""Of a context beside its letters and tokens: Python's own objects, of twice as many drawn."""

BYTES_PER_TOKEN = 24
"""Letters of the windows, and two numbers."""

COPIES = 6
"""Of the new rows: themselves, their gradients, two moments, the grown table, what is kept."""


def needed_bytes(pieces: int, width: int, contexts: int, context_tokens: int) -> int:
    """Memory of new rows and of their contexts, about; the model and the corpus' words aside.

    Args:
        pieces: new ones.
        width: of a row.
        contexts: of each piece, 0 for a method without.
        context_tokens: of each.
    """
    return pieces * (4 * width * COPIES + contexts * (CONTEXT_BYTES + context_tokens * BYTES_PER_TOKEN))


def refuse_beyond_memory(needed: int) -> None:
    """Raises LongbioError where more is needed than is free."""
    free = min(psutil.virtual_memory().available, _container_limit())
    if needed > free:
        raise LongbioError(
            f"the new pieces and their contexts need about {needed / 2**30:,.1f} GiB of memory,"
            f" {free / 2**30:,.1f} are free",
            where="terms",
            remedy="take fewer terms, or fewer or shorter contexts of each",
        )


def _container_limit() -> int:
    """What a container may take; more than anybody has where there is no limit."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):
        return 2**63
