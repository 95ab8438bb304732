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
        letters = {kind: {letter for letter, of in self.tags.values() if of == kind} for kind in self.types}
        every = set().union(*letters.values())
        return bool(every & set(ENDS)) and all(each & set(BEGINS) for each in letters.values())

    def classes_of(self, tag: str) -> list[str]:
        """The names of the classes that mean one of our tags: O, or B- or I- and a type."""
        if tag == "O":
            return list(self.outside)
        wanted, kind = BEGINS if tag[0] == "B" else INSIDE, tag[2:]
        return [name for name, (letter, of) in self.tags.items() if of == kind and letter in wanted]


def scheme_of(names: Iterable[str]) -> Scheme | None:
    """The scheme of a tagger's classes; None where they are of none that is known.

    Args:
        names: `O` and, in any order, `B-Drug`, `B_Drug`, `Drug-B`, `B` or, for IO, `Drug`.
    """
    every = list(dict.fromkeys(names))
    outside = tuple(name for name in every if name in OUTSIDE)
    inside = [name for name in every if name not in OUTSIDE]
    if "O" not in outside or not inside:
        return None
    for spelling in SPELLINGS:
        found = {name: match for name in inside if (match := spelling.fullmatch(name))}
        letters = {match["letter"] for match in found.values()}
        if len(found) == len(inside) and letters & {"B", "I"}:
            kinds = {name: match.groupdict().get("type", UNNAMED) for name, match in found.items()}
            return Scheme({name: (found[name]["letter"], kinds[name]) for name in inside}, outside)
        if found and letters & {"B", "I"}:
            return None
    return Scheme({name: ("I", name) for name in inside}, outside)
