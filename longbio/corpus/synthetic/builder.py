"""A note that grows at its end and knows where its mentions are because it put them there."""

from __future__ import annotations

from functools import cache
from string import Formatter

from longbio.corpus.records import Document, Span


class NoteBuilder:
    """Text and mentions, appended piece by piece; nothing is ever searched for."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._spans: list[Span] = []
        self.num_chars = 0

    def write(self, text: str) -> None:
        """Appends text that is no mention."""
        self._pieces.append(text)
        self.num_chars += len(text)

    def ends_with(self, text: str) -> bool:
        """Whether the piece appended last ends with `text`."""
        return bool(self._pieces) and self._pieces[-1].endswith(text)

    def mention(self, text: str, label: str) -> None:
        """Appends a mention: all of `text` and nothing else.

        Raises:
            ValueError: `text` is empty, spans lines or has spaces around it.
        """
        if not text or text != text.strip() or "\n" in text:
            raise ValueError(f"{text!r} is no mention: empty, on two lines or padded")
        self._spans.append(Span.of(self.num_chars, self.num_chars + len(text), label))
        self.write(text)

    def extend(self, other: NoteBuilder) -> None:
        """Appends all of another builder, its mentions moved along."""
        offset = self.num_chars
        for span in other._spans:
            self._spans.append(Span.of(offset + span.start_char, offset + span.end_char, span.label))
        self.write("".join(other._pieces))

    def document(self, document_id: str) -> Document:
        """What has been written so far."""
        return Document(id=document_id, text="".join(self._pieces), spans=tuple(self._spans))


@cache
def parse(template: str) -> tuple[tuple[str, str | None], ...]:
    """A template as (words, slot) pairs; the last slot is None where the template ends in words.

    `parse("{drug} was held.")` is `(("", "drug"), (" was held.", None))`.
    """
    return tuple((words, slot) for words, slot, _, _ in Formatter().parse(template))
