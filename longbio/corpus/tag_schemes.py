"""Schemes of tags: what the letter of a tag says of where a mention begins and ends.

IO, IOB1, IOB2, BIOES and BILOU, in files (`readers/iob.py`) and in the classes of taggers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

BEGINS, INSIDE, ENDS = "BSU", "IEL", "ESLU"
"""Letters at which a mention begins, and goes on; those of `ENDS` end it too."""

LETTERS = "BIESLU"

UNNAMED = "Entity"
"""The type of tags that are a letter alone."""

OUTSIDE = ("O", "X", "[CLS]", "[SEP]", "[PAD]", "<pad>", "PAD")
"""Classes of words in no mention; and of what is no word: pieces that continue one, special tokens."""

SPELLINGS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<letter>[{LETTERS}])[-_:](?P<type>.+)",
        rf"(?P<type>.+)[-_:](?P<letter>[{LETTERS}])",
        rf"(?P<letter>[{LETTERS}])",
    )
)


@dataclass(frozen=True)
class Scheme:
    """The classes of a tagger.

    Args:
        tags: of each class in a mention its letter and its type, by the class' name.
        outside: names of the others.
    """

    tags: dict[str, tuple[str, str]]
    outside: tuple[str, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """In the order of their first classes."""
        return tuple(dict.fromkeys(kind for _, kind in self.tags.values()))

    @property
    def says_where_mentions_begin(self) -> bool:
        """Whether each does with a letter of its own. B-, I- and O don't say: in IOB1, B- is for a
        mention right behind another one of its type, and all others begin with I-."""
        letters_of: dict[str, set[str]] = {}
        for letter, kind in self.tags.values():
            letters_of.setdefault(kind, set()).add(letter)
        some_end = not set(ENDS).isdisjoint(letter for letter, _ in self.tags.values())
        return some_end and all(letters & set(BEGINS) for letters in letters_of.values())

    def classes_of(self, bio_tag: str) -> list[str]:
        """The names of the classes that mean one of our tags: O, or B- or I- and a type."""
        if bio_tag == "O":
            return list(self.outside)
        wanted, kind = BEGINS if bio_tag[0] == "B" else INSIDE, bio_tag[2:]
        return [
            name for name, (letter, its_kind) in self.tags.items() if its_kind == kind and letter in wanted
        ]


def scheme_of(names: Iterable[str]) -> Scheme | None:
    """The scheme of a tagger's classes; None where they are of none that is known.

    Args:
        names: `O` and, in any order, `B-Drug`, `B_Drug`, `Drug-B`, `B` or, for IO, `Drug`.
    """
    classes = list(dict.fromkeys(names))
    outside = tuple(name for name in classes if name in OUTSIDE)
    inside = [name for name in classes if name not in OUTSIDE]
    if "O" not in outside or not inside:
        return None
    for spelling in SPELLINGS:
        matches = {name: match for name in inside if (match := spelling.fullmatch(name))}
        letters = {match["letter"] for match in matches.values()}
        if len(matches) == len(inside) and letters & {"B", "I"}:
            kinds = {name: match.groupdict().get("type", UNNAMED) for name, match in matches.items()}
            return Scheme({name: (matches[name]["letter"], kinds[name]) for name in inside}, outside)
        if matches and letters & {"B", "I"}:
            return None
    return Scheme({name: ("I", name) for name in inside}, outside)
