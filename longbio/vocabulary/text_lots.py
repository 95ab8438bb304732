"""The texts of a corpus in lots of equal work, given to several processes in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from longbio.corpus.texts import Text
from longbio.workers import in_order

CHARACTERS_AT_ONCE = 2_000_000

T = TypeVar("T")

OnTexts = Callable[[int], None]
"""Told how many texts have been read."""


class Part(NamedTuple):
    """A text, or a part of a very long one: its number in the corpus, its text's group (or number), its
    characters."""

    number: int
    group: str | int
    text: str


Lot = list[Part]


def in_processes(
    work: Callable[[Lot], T], texts: Iterable[Text], processes: int, on_texts: OnTexts = lambda count: None
) -> Iterator[T]:
    """What `work` makes of each lot, in the order of the corpus.

    Args:
        work: can be pickled; each process keeps its own copy of it.
        texts: streamed; what is read ahead of the work is bounded.
        processes: 1 for none beside this one.

    Raises:
        LongbioError: a process died.
    """
    results: Iterator[tuple[int, T]]
    if processes <= 1:
        results = ((count, work(lot)) for count, lot in lots_of(texts))
    else:
        remedy = (
            f"take fewer processes than {processes}; a script of your own must start below"
            " `if __name__ == '__main__':`"
        )
        results = in_order(_do, lots_of(texts), processes, _begin, work, remedy=remedy)
    done = 0
    for count, result in results:
        yield result
        done += count
        on_texts(done)


def lots_of(texts: Iterable[Text]) -> Iterator[tuple[int, Lot]]:
    """How many texts end in a lot, and its parts, `CHARACTERS_AT_ONCE` together."""
    lot: Lot = []
    size = ended = number = 0
    for position, text in enumerate(texts):
        for part in _parts(text.text):
            lot.append(Part(number, position if text.group is None else text.group, part))
            number, size = number + 1, size + len(part)
            if size >= CHARACTERS_AT_ONCE:
                yield ended, lot
                lot, size, ended = [], 0, 0
        ended += 1
    if lot or ended:
        yield ended, lot


def _parts(text: str) -> Iterator[str]:
    """A text, or, of a very long one, parts that end with a line or a word, outside of `[** **]`."""
    start = 0
    while len(text) - start > CHARACTERS_AT_ONCE:
        stop = start + CHARACTERS_AT_ONCE
        border = max(text.rfind("\n", start, stop), text.rfind(" ", start, stop))
        stop = border + 1 if border > start else stop
        opened = text.rfind("[**", start, stop)
        if opened > max(start, text.rfind("**]", start, stop)):
            stop = opened
        yield text[start:stop]
        start = stop
    yield text[start:]


_work: Callable[[Lot], Any]


def _begin(work: Callable[[Lot], Any]) -> None:
    global _work
    _work = work


def _do(lot: Lot) -> Any:
    return _work(lot)
