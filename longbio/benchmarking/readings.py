"""How an arm reads documents: a word for what has to be set, task by task."""

from __future__ import annotations

from typing import Literal

from longbio.errors import LongbioError

Reads = Literal["whole", "chunks-mean", "chunks-max", "chunks-attention", "first"]

Table = dict[str, tuple[str, ...]]


def _pooled(pooling: str) -> Table:
    windows = ("task.reading.part=windows", f"task.reading.pooling={pooling}")
    return {"classification": windows, "similarity": windows}


HEAD = ("task.reading.part=head",)
FIRST_WINDOW = ("task.first_window=true",)

READINGS: dict[Reads, Table] = {
    "whole": {},
    "chunks-mean": _pooled("mean"),
    "chunks-max": _pooled("max"),
    "chunks-attention": _pooled("attention"),
    "first": {"ner": FIRST_WINDOW, "qa": FIRST_WINDOW, "classification": HEAD, "similarity": HEAD},
}
"""Overrides by kind of task. Entities and answers of chunks are merged as those of any windows are, so
pooling is of documents alone."""


def overrides_of(reads: Reads | None, kind: str, chunk_tokens: int) -> tuple[str, ...]:
    """What makes a plan read so.

    Args:
        reads: None for as the plan says.
        kind: of the task.
        chunk_tokens: what a chunk holds, special tokens included; whole documents have none.

    Raises:
        LongbioError: the task can't be read so.
    """
    if reads is None:
        return ()
    if reads == "first" and kind not in READINGS[reads]:
        raise LongbioError(
            f"{kind} are read a pair at a time: there is no first chunk of a document",
            where="reads",
            remedy="leave the task out of this arm",
        )
    chunk = "null" if reads == "whole" else str(chunk_tokens)
    return (f"recipe.max_tokens={chunk}", *READINGS[reads].get(kind, ()))
