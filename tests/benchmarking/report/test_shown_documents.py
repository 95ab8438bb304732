"""Mentions in a text, however they lie."""

from __future__ import annotations

import re

from longbio.benchmarking.shown_documents import mark_mentions
from longbio.corpus.records import Document, Span

TEXT = "left <ventricular> and atrial failure"
OUTER, INNER = Span.of(0, 37, "Disease"), Span.of(23, 29, "Place")
BROKEN = Span(((5, 18), (30, 37)), "Finding")


def plain(page: str) -> str:
    return re.sub(r"<sup>.*?</sup>|</?mark[^>]*>", "", page)


def test_mentions_that_overlap_and_broken_ones_are_all_marked() -> None:
    gold = Document("a", TEXT, spans=(OUTER, BROKEN))
    found = Document("a", TEXT, spans=(OUTER, INNER))
    page = mark_mentions(gold, found, ["Disease", "Finding", "Place"], 1000)
    assert plain(page) == "left &lt;ventricular&gt; and atrial failure"
    assert '<mark class="wrong t2" title="wrong: Place">atrial<sup>Place</sup></mark>' in page
    assert '<mark class="missed t1" title="missed: Finding">&lt;ventricular&gt;</mark>' in page
    assert page.count("<sup>") == 3
    assert page.index('class="hit t0"') == page.index("class=")


def test_a_mention_beyond_the_cut_is_not_marked() -> None:
    document = Document("a", TEXT, spans=(OUTER, Span.of(0, 4, "Place")))
    page = mark_mentions(document, document, ["Disease", "Place"], 10)
    assert plain(page) == "left &lt;vent"
    assert page.count("<mark") == 1
