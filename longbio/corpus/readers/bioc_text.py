"""The text of a BioC document: its passages, each laid at its offset, whatever the offsets count."""

from __future__ import annotations

from dataclasses import dataclass

from bioc import BioCDocument, BioCPassage, BioCSentence

from longbio.corpus.counting import CHARACTERS, length
from longbio.errors import LongbioError

MAX_GAP = 100_000
"""Characters that may lie between two passages; more is taken for a broken offset."""

MAX_BLANKS = 1_000_000
"""Characters by which what lies between passages may outgrow the passages, in all of a file."""


@dataclass
class Filling:
    """How much of a file's texts is passages, and how much was filled in between them."""

    characters: int = 0
    blanks: int = 0

    def add(self, passage: str, gap: int, where: str) -> None:
        """Count a passage and the gap before it.

        Raises:
            LongbioError: it is more filling than a file may have.
        """
        self.characters += len(passage)
        self.blanks += gap
        if self.blanks > self.characters + MAX_BLANKS:
            raise LongbioError(
                f"{self.blanks:,} characters lie between passages, and {self.characters:,} in them",
                where=where,
                remedy="give passages the offsets that they have in the document",
            )


def text_of(bioc: BioCDocument, where: str, filling: Filling, unit: str = CHARACTERS) -> str:
    """The passages (of one without text, its sentences) at their offsets, blanks between them.

    Args:
        bioc: the document.
        where: its place.
        filling: of its file.
        unit: what the offsets count.

    Raises:
        LongbioError: passages overlap or lie far apart.
    """
    pieces: list[str] = []
    end = 0
    for each in sorted(laid(bioc), key=lambda each: each.offset):
        gap = each.offset - end
        if not 0 <= gap <= MAX_GAP:
            raise LongbioError(
                f"a passage begins at {each.offset}, and the one before ends at {end}",
                where=where,
                remedy="passages may not overlap, nor lie far apart",
            )
        filling.add(each.text, gap, where)
        pieces += ["\n" + " " * (gap - 1) if gap else "", each.text]
        end = each.offset + length(each.text, unit)
    return "".join(pieces)


def laid(bioc: BioCDocument) -> list[BioCPassage | BioCSentence]:
    """The passages, or sentences, that a document's text is made of."""
    parts: list[BioCPassage | BioCSentence] = []
    for passage in bioc.passages:
        parts += [passage] if passage.text else passage.sentences
    return [part for part in parts if part.text]
