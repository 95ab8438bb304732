"""Whether mentions stand where their offsets say: every reader counts, and says what it left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from longbio.errors import LongbioError

MAX_MISALIGNED = 0.01
"""Of the mentions of a corpus, the share that may be left out; more is another text's annotations."""


@dataclass
class Alignment:
    """Mentions that were checked against their text, and the faults of those that were left out.

    Args:
        mentions: checked.
        faults: (what, where) of each that isn't in the text as it says; never the text itself.
    """

    mentions: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    def holds(self, fault: str | None, where: str) -> bool:
        """Count a mention, and its fault if it has one."""
        self.mentions += 1
        if fault is not None:
            self.faults.append((fault, where))
        return fault is None

    def add(self, other: Alignment) -> None:
        """Count what another has counted, too."""
        self.mentions += other.mentions
        self.faults += other.faults

    def refuse_beyond(self, share: float) -> None:
        """Raises LongbioError, with the first fault, when more than a share of the mentions has one."""
        if len(self.faults) > share * self.mentions:
            fault, where = self.faults[0]
            raise LongbioError(
                f"{fault}; {len(self.faults):,} of {self.mentions:,} mentions are not where they say",
                where=where,
                remedy="use the text that the annotations were made on, line ends included",
            )
