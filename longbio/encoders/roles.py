"""Which parts of a document every token should see: the roles of global tokens."""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["cls", "query", "headings"]
"""The first token; a question or first text; section headings."""

MAX_HEADING_WORDS = 8
MAX_HEADING_CHARS = 60
_BLANKS = " \t"
_TITLE = re.compile(r"[^\W\d_][^.;?!|]*")


def section_headings(text: str) -> list[tuple[int, int]]:
    """Where section headings stand: what decides that a drug is an allergy and not a treatment.

    A heading is a line of its own, of at most 8 words and 60 characters without a full stop,
    that starts with a capital letter and ends in a colon, is written in capitals, or stands
    between a blank line and its text.

    Returns:
        (start_char, end_char) of each, without the spaces around it.
    """
    headings = []
    after_blank, line_start = True, 0
    # Line by line, and without a pattern that looks for a line's end: that tries every space as one.
    for line in text.split("\n"):
        title, has_colon = _without_colon(line.removesuffix("\r"))
        if _may_be_title(title) and (has_colon or title.isupper() or after_blank):
            start_char = line_start + len(line) - len(line.lstrip(_BLANKS))
            headings.append((start_char, start_char + len(title)))
        after_blank = not line.strip()
        line_start += len(line) + 1
    return headings


def _without_colon(line: str) -> tuple[str, bool]:
    """A line without the spaces around it and the colon at its end, and whether it has one."""
    body = line.strip(_BLANKS)
    title = body.removesuffix(":")
    return title.rstrip(_BLANKS), title != body


def _may_be_title(title: str) -> bool:
    return (
        title[:1].isupper()
        and len(title) <= MAX_HEADING_CHARS
        and len(title.split()) <= MAX_HEADING_WORDS
        and _TITLE.fullmatch(title) is not None
    )
