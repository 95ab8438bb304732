"""Words with a tag each, in two lists: `tokens` and `ner_tags`, as `datasets` has them.

{"tokens": ["Tarva", "helps"], "ner_tags": ["B-Drug", "O"]}
{"tokens": ["Tarva", "helps"], "ner_tags": [1, 0]}      names from the column's features
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from longbio.corpus.readers.iob import TAG, mentions_of_tags
from longbio.corpus.reading import Reading
from longbio.corpus.records import Span
from longbio.errors import LongbioError

Piece = tuple[int, int]


def are_words(cell: Any) -> bool:
    """Whether a cell is a list of words."""
    return isinstance(cell, list) and bool(cell) and all(isinstance(word, str) for word in cell)


def laid(words: Sequence[str], text: str | None) -> tuple[str, tuple[Piece, ...]]:
    """The text that words make, with a space between two, and where each stands in it.

    Args:
        words: of the text; empty ones are in none.
        text: theirs, where it is known: taken if it is the words and white space.
    """
    if text is not None:
        places, last = [], 0
        for word in words:
            start = text.find(word, last) if word else -1
            if start < 0 or text[last:start].strip():
                break
            places.append((start, last := start + len(word)))
        if len(places) == len(words) and not text[last:].strip():
            return text, tuple(places)
    places, length = [], 0
    for number, word in enumerate(words):
        length += number > 0
        places.append((length, length + len(word)))
        length += len(word)
    return " ".join(words), tuple(places)


def spans_of(
    tags: Sequence[str | int],
    names: Sequence[str] | None,
    places: Sequence[Piece],
    column: str,
    where: str,
    reading: Reading,
) -> tuple[Span, ...]:
    """The mentions that tags make.

    Args:
        tags: one for each word.
        names: of tags that are numbers; None where they aren't known, and nothing is read then.
        places: of the words.
        column: the name of the tags' column.
        where: the row's place.
        reading: counts rows whose tags have no names.

    Raises:
        LongbioError: there are more or fewer tags than words, or one is no tag.
    """
    if len(tags) != len(places):
        raise LongbioError(f"there are {len(places)} words and {len(tags)} tags", where=where)
    numbers = any(not isinstance(tag, str) for tag in tags)
    if numbers and names is None:
        reading.passed_over.note(f"row whose {column!r} are numbers without names", where)
        return ()
    named = [_named(tag, names or (), where) for tag in tags]
    # A word without a character, as some corpora have them, can't be a mention's.
    kept = [(tag, place) for tag, place in zip(named, places, strict=True) if place[0] < place[1]]
    return tuple(
        sorted(mentions_of_tags([tag for tag, _ in kept], [place for _, place in kept], borders=set()))
    )


def _named(tag: str | int, names: Sequence[str], where: str) -> str:
    if not isinstance(tag, str):
        if not 0 <= tag < len(names):
            raise LongbioError(f"tag {tag} is none of the {len(names)} that have names", where=where)
        tag = names[tag]
    if not TAG.fullmatch(tag):
        raise LongbioError(
            "a tag is none of O and, with a type, B-, I-, E-, S-, L-, U-",
            where=where,
            remedy="name the column of the tags with tags=",
        )
    return tag
