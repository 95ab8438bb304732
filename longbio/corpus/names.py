"""Names of a corpus' documents, none given twice."""

from __future__ import annotations

from collections import Counter


class Names:
    """Gives names, each to one document: the second that asks for `7` gets `7.2`."""

    def __init__(self) -> None:
        self._turns: Counter[str] = Counter()

    def of(self, name: str) -> str:
        """The name itself, or what it is called where others had it before."""
        while self._turns[name]:
            self._turns[name] += 1
            name = f"{name}.{self._turns[name]}"
        self._turns[name] = 1
        return name
