"""CoNLL: `documents.conll`, a word and its BIO tag on each line.

A document stands behind a line `-DOCSTART- (id)`, and one more such line ends the file. Its words
are its units, or else those of its text (`corpus.words`). A line end between two words ends a
sentence, unless a mention goes over it.

Tags hold less than mentions. A mention is widened to the words that it touches. A discontinuous
one, one whose words another has already (the first to start has them, of those the longest), and
one that touches no word are left out. Texts that weren't made of words come back with a space, or a
line feed, between their words. All of it is counted.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from longbio.corpus.readers.iob import BLANKS, BORDER
from longbio.corpus.records import Document, Span
from longbio.corpus.words import word_spans
from longbio.errors import LongbioError

FILE = "documents.conll"
WORD = re.compile(r"\S+")


def write(documents: Iterable[Document], folder: Path, counted: Counter[str] | None = None) -> None:
    """Writes documents so that reading them gives back their words and what tags hold of mentions.

    Units are in the order of the text. Mentions are `counted`: those written, widened and left out, by the
    reason. Raises LongbioError where a label isn't one word, or an id or a word can't stand in such a file.
    """
    counted = Counter() if counted is None else counted
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            if not document.id.isprintable() or not document.id:
                raise LongbioError(f"the document id {document.id!r} can't stand on a line", where=folder)
            file.write(f"-DOCSTART- ({document.id})\tO\n\n")
            file.writelines(_lines(document, counted))
        file.write("-DOCSTART-\tO\n")


def _lines(document: Document, counted: Counter[str]) -> Iterator[str]:
    words = document.units or tuple((start, end) for start, end in word_spans(document.text).tolist())
    for label in {span.label for span in document.spans}:
        if not WORD.fullmatch(label):
            raise LongbioError(f"the label {label!r} is not one word", where=document.id)
    tags = tags_of(document, words, counted)
    last_end = 0
    for number, (start, end) in enumerate(words):
        word, between = document.text[start:end], document.text[last_end:start]
        if word != word.strip(BLANKS) or set(word) & set("\t\n") or BORDER.match(word):
            raise LongbioError(
                f"the word at {start} can't stand on a line of its own",
                where=document.id,
                remedy="words hold no tab or line feed, no space at their ends, and are no -DOCSTART-",
            )
        if number and "\n" in between and not tags[number].startswith("I-"):
            yield "\n"
        yield f"{word}\t{tags[number]}\n"
        last_end = end
    yield "\n"


def tags_of(
    document: Document, words: Sequence[tuple[int, int]], counted: Counter[str] | None = None
) -> list[str]:
    """The BIO tag of each word; what tags can't hold of mentions is left out, and counted."""
    counted = Counter() if counted is None else counted
    tags = ["O"] * len(words)
    starts, ends = [start for start, _ in words], [end for _, end in words]
    for span in sorted(document.spans, key=lambda span: (span.start_char, -span.end_char, span.label)):
        touched = range(bisect_right(ends, span.start_char), bisect_left(starts, span.end_char))
        reason = _why_unwritten(span, touched, tags)
        if reason is not None:
            counted[f"{reason} mention left out"] += 1
            continue
        counted["mention written"] += 1
        is_whole = (span.start_char, span.end_char) == (words[touched[0]][0], words[touched[-1]][1])
        counted["mention widened to whole words"] += not is_whole
        for number in touched:
            tags[number] = f"{'B' if number == touched[0] else 'I'}-{span.label}"
    return tags


def _why_unwritten(span: Span, touched: range, tags: list[str]) -> str | None:
    """Why tags can't hold a mention; None where they can."""
    if not span.is_contiguous:
        return "discontinuous"
    if not touched:
        return "wordless"
    return "overlapping" if any(tags[number] != "O" for number in touched) else None
