"""Documents that a tiny model learns in seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from longbio.corpus.records import Document, Span


@pytest.fixture(scope="session")
def drug_notes() -> Callable[[int], list[Document]]:
    """drug_notes(count): every `drug N` is a mention, and notes with a 7 are of another class."""

    def make(count: int) -> list[Document]:
        made = []
        for number in range(count):
            text, spans = "", []
            for place in range(12):
                text += "the patient, " * (1 + (number + place) % 3)
                spans.append(Span.of(len(text), len(text) + 6, "Drug"))
                text += f"drug {place % 10}. "
            made.append(Document(f"note-{number}", text, tuple(spans)))
        return made

    return make
