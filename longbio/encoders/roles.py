"""Which parts of a document every token should see: the roles of global tokens."""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["cls", "query", "headings"]
"""The first token; a question or first text; section headings."""

MAX_HEADING_WORDS = 8
MAX_HEADING_CHARS = 60
_HEADING = re.compile(r"^[ \t]*(?P<title>[^\W\d_][^\n.;?!|]*?)[ \t]*(?P<colon>:?)[ \t]*\r?$", re.M)


def section_headings(text: str) -> list[tuple[int, int]]:
    """Where section headings stand: what decides that a drug is an allergy and not a treatment.

    A heading is a line of its own, of at most 8 words and 60 characters without a full stop,
    that starts with a capital letter and ends in a colon, is written in capitals, or stands
    between a blank line and its text.

    Returns:
        (start_char, end_char) of each, without the spaces around it.
    """
    headings = []
    for match in _HEADING.finditer(text):
        title = match["title"]
        if len(title) > MAX_HEADING_CHARS or len(title.split()) > MAX_HEADING_WORDS:
            continue
        line_before = text[text.rfind("\n", 0, max(0, match.start() - 1)) + 1 : match.start()]
        after_blank = not line_before.strip()
        if title[0].isupper() and (match["colon"] or title.isupper() or after_blank):
            headings.append((match.start("title"), match.end("title")))
    return headings
