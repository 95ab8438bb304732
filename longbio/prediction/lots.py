"""Notes as they are read, those that can't be read among them, cut into lots that are done at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import islice

from longbio.corpus.records import Document, Question
from longbio.errors import LongbioError

LOT_NOTES = 64
LOT_CHARS = 200_000
"""What a lot holds at most; a longer note is a lot of its own. Rows of a lot share passes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A note of which nothing can be said: its id (None where it couldn't be read), and a `LongbioError`'s
    parts."""

    id: str | None
    what: str
    where: str | None
    remedy: str | None

    @classmethod
    def of(cls, error: LongbioError, note_id: str | None = None) -> Failure:
        """Of an error that a note raised."""
        return cls(note_id, error.what, None if error.where is None else str(error.where), error.remedy)

    def error(self) -> LongbioError:
        """The error again."""
        return LongbioError(self.what, where=self.where, remedy=self.remedy)


Item = Document | Failure


@dataclass(frozen=True, slots=True)
class Lot:
    """Some notes that follow one another, and the digest of all notes up to the last of these."""

    items: tuple[Item, ...]
    digest: str

    @property
    def documents(self) -> list[Document]:
        """Those that could be read."""
        return [item for item in self.items if isinstance(item, Document)]


def items_done(items: Iterator[Item], count: int, digest: str) -> Iterator[Item]:
    """The first notes, which were done before: so many, with that digest. Raises LongbioError after them
    where they have changed."""
    digest_here, seen = "", 0
    for item in islice(items, count):
        digest_here, seen = next_digest(digest_here, item), seen + 1
        yield item
    if seen < count or digest_here != digest:
        raise LongbioError(
            f"the first {count:,} notes aren't those that were done before: the notes have changed",
            remedy="choose another --out, or bring the notes back",
        )


def lots_of(items: Iterable[Item], digest: str) -> Iterator[Lot]:
    """Cut notes that are to be done into lots; the digest is of those before them."""
    lot: list[Item] = []
    size = 0
    for item in items:
        added = _size(item)
        if lot and (len(lot) == LOT_NOTES or size + added > LOT_CHARS):
            yield Lot(tuple(lot), digest)
            lot, size = [], 0
        lot.append(item)
        size += added
        digest = next_digest(digest, item)
    if lot:
        yield Lot(tuple(lot), digest)


def digest_of(records: Iterable[Document | Question]) -> str:
    """A SHA-256 over all that is known of some documents or questions, in hexadecimal digits."""
    return reduce(next_digest, records, "")


def next_digest(digest: str, item: Item | Question) -> str:
    """The digest of some notes and one more: a SHA-256 in hexadecimal digits."""
    # A failure by what it is, not by its place: the folder may have moved.
    known = item.what if isinstance(item, Failure) else repr(item)
    return hashlib.sha256(f"{digest}\n{known}".encode("utf-8", "surrogatepass")).hexdigest()


def _size(item: Item) -> int:
    """Characters that are read of a note: each question reads it again."""
    return 0 if isinstance(item, Failure) else len(item.text) * max(1, len(item.questions))
