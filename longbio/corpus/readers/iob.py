"""CoNLL and BLURB: a word and its tag on each line, a blank line behind each sentence.

    Naloxone<TAB>B-Chemical
    reverses<TAB>O

Tags of any scheme are read by one rule, conlleval's: a mention begins at B, S or U, and where the
type changes or nothing of it came before; it ends at E, S, L and U, and before whatever isn't its
own. That reads IO, IOB1, IOB2, BIOES and BILOU. The text is not in such a file: it is made of the
words with a space between, and a line feed between sentences.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Document, Span
from longbio.corpus.rows import read_lines
from longbio.corpus.tag_schemes import BEGINS, ENDS, LETTERS, UNNAMED
from longbio.errors import LongbioError

SUFFIXES = (".txt", ".tsv", ".conll", ".iob", ".iob2", ".bio")
TAG = re.compile(rf"O|[{LETTERS}](?:-(?P<type>\S+))?")
BORDER = re.compile(r"-DOCSTART-|###MEDLINE:")
NAMED = re.compile(r"-DOCSTART- \((?P<name>.+)\)(?:\tO)?")

BLANKS = string.whitespace
"""What stands between columns: ASCII's alone, for a no-break space may be a word."""

GAP = re.compile(r"\s+", re.ASCII)


@dataclass
class _Words:
    """Sentences of words and tags that become a document."""

    name: str | None = None
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    sentences: list[int] = field(default_factory=list)
    """How many words there are before each sentence but the first."""

    def end_sentence(self) -> None:
        if self.words and (not self.sentences or self.sentences[-1] != len(self.words)):
            self.sentences.append(len(self.words))


def recognises(path: Path) -> bool:
    """Whether the first lines of a file, or of one of a folder's first files, are words with tags."""
    return any(_is_tagged(beginning) for beginning in beginnings_of(path, SUFFIXES))


def _is_tagged(text: str) -> bool:
    lines = [line for line in text.split("\n")[:-1] if line.strip() and not BORDER.match(line)][:50]
    # One line alone may be a note: "Blood type O". A word may be empty here: bytes that are no UTF-8
    # were left out of it.
    return len(lines) > 1 and all(_tag(_cut(line)) for line in lines)


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every such file of a folder, a document at a time.

    Args:
        path: the file or folder.
        reading: its encoding.

    Yields:
        What stands between `-DOCSTART-` or `###MEDLINE:` lines, or, in a file with one of them at
        most, each sentence; in the file's order, named by file and number, or, between borders, as
        `-DOCSTART- (name)` says. `units` are the words.

    Raises:
        LongbioError: a file is not UTF-8, or a line has no tag.
    """
    for file in files_of(path, SUFFIXES):
        yield from _read_file(file, reading)


def _read_file(file: Path, reading: Reading) -> Iterator[Document]:
    borders = (line for line in read_lines(file, reading.encoding, "\n") if BORDER.match(line))
    by_section = len(list(islice(borders, 2))) > 1
    lines = read_lines(file, reading.encoding, "\n")
    documents = (words for words in _parts(lines, by_section, file) if words.words or words.name)
    for number, words in enumerate(documents, start=1):
        yield _document(words.name or f"{file.stem}-{number:06}", words)


def _parts(lines: Iterable[str], by_section: bool, file: Path) -> Iterator[_Words]:
    part = _Words()
    for number, line in enumerate(lines, start=1):
        is_border = BORDER.match(line) is not None
        if is_border or not line.strip():
            part.end_sentence()
            if is_border or not by_section:
                yield part
                named = NAMED.fullmatch(line.rstrip("\r\n")) if by_section else None
                part = _Words(named["name"] if named else None)
            continue
        columns = _columns(line)
        if columns is None:
            raise LongbioError(
                "this line is no word with a tag",
                where=f"{file}, line {number}",
                remedy="write word, tab, tag: O, or B- and I- with a type; or name another format",
            )
        part.words.append(columns[0])
        part.tags.append(columns[1])
    yield part


def _columns(line: str) -> tuple[str, str] | None:
    """The first and the last column of a line; None where that is no tag."""
    columns = _cut(line)
    word, tag = columns[0].strip(BLANKS), _tag(columns)
    return (word, tag) if word and tag else None


def _cut(line: str) -> list[str]:
    line = line.rstrip(BLANKS)  # a column behind the tag that is empty is none
    return line.split("\t") if "\t" in line else GAP.split(line.lstrip(BLANKS))


def _tag(columns: list[str]) -> str | None:
    tag = columns[-1].strip(BLANKS)
    return tag if len(columns) > 1 and TAG.fullmatch(tag) else None


def _document(name: str, part: _Words) -> Document:
    pieces: list[str] = []
    units: list[tuple[int, int]] = []
    borders, length = set(part.sentences), 0
    for number, word in enumerate(part.words):
        if number:
            pieces.append("\n" if number in borders else " ")
            length += 1
        units.append((length, length + len(word)))
        pieces.append(word)
        length += len(word)
    return Document(name, "".join(pieces), tuple(_mentions(part.tags, units, borders)), tuple(units))


def _mentions(tags: list[str], units: list[tuple[int, int]], borders: set[int]) -> Iterator[Span]:
    """Of tags; none goes on behind the words that borders count."""
    first, kind = 0, None
    for number, tag in enumerate([*tags, "O"]):
        here = None if tag == "O" else tag[2:] or UNNAMED
        ended = number in borders or (number > 0 and tags[number - 1][0] in ENDS)
        if kind is not None and (here != kind or ended or tag[0] in BEGINS):
            yield Span.of(units[first][0], units[number - 1][1], kind)
            kind = None
        if here is not None and kind is None:
            first, kind = number, here
