"""CoNLL and BLURB: a word and its tag on each line, a blank line behind each sentence.

    Naloxone<TAB>B-Chemical
    reverses<TAB>O

Tags of any scheme are read by one rule, conlleval's: a mention begins at B, S or U, and where the
type changes or nothing of it came before; it ends at E, S, L and U, and before whatever isn't its
own. That reads IO, IOB1, IOB2, BIOES and BILOU. The text is not in such a file: it is made of the
words with a space between, and a line feed between sentences. The word is the first column, or the
second where the first counts the words of a sentence, or of the file.

Rows of tables have the same in two lists, as `datasets` has them:

    {"tokens": ["Tarva", "helps"], "ner_tags": ["B-Drug", "O"]}
    {"tokens": ["Tarva", "helps"], "ner_tags": [1, 0]}      names from the column's features
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longbio.corpus.file_text import read_lines
from longbio.corpus.files import stem_of
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span
from longbio.corpus.tag_schemes import BEGINS, ENDS, LETTERS, UNNAMED
from longbio.errors import LongbioError

ENDINGS = (".txt", ".tsv", ".conll", ".iob", ".iob2", ".bio")
TAG = re.compile(rf"O|[{LETTERS}](?:-(?P<type>\S+))?")
BORDER = re.compile(r"-DOCSTART-|###MEDLINE:")
NAMED = re.compile(r"(?:-DOCSTART- \((?P<name>.+)\)|###MEDLINE:\s*(?P<id>\S+))(?:\s+O)?")
NUMBER = re.compile(r"[0-9]{1,9}")

BLANKS = string.whitespace
"""What stands between columns: ASCII's alone, for a no-break space may be a word."""

GAP = re.compile(r"\s+", re.ASCII)

SNIFFED_LINES = 50
"""Lines of a file that have to have a tag, all of them, for it to be taken for words with tags."""

LETTERS_ALONE = 10
"""Lines that tags of a letter alone need to be taken for such: two lines of a note may end so, "Blood
type O" and "Hepatitis B"."""


Place = tuple[int, int]


@dataclass
class _Words:
    """Sentences of words and tags that become a document."""

    name: str | None = None
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    borders: set[int] = field(default_factory=set)
    """How many words there are before each sentence."""


def looks_like(beginning: str) -> bool:
    """Whether the first lines of a file are words with tags."""
    lines = [line for line in beginning.split("\n")[:-1] if line.strip() and not BORDER.match(line)]
    # A word may be empty here: bytes that are no UTF-8 were left out of it.
    rows = [_cut(line) for line in lines]
    if len(rows) < 2 or not all(_tag(row) for row in rows[:SNIFFED_LINES]):
        return False
    tags = [tag for row in rows if (tag := _tag(row))]
    types = [tag[2:] for tag in tags if tag != "O"]
    is_table = len({len(row) for row in rows[:SNIFFED_LINES]}) == 1
    if not any(types):
        words = [row[0].strip(BLANKS) for row in rows]
        return len(rows) >= LETTERS_ALONE and is_table and not any(GAP.search(word) for word in words)
    # A note's lines may end in B-cell and I-131, too.
    return "\t" in beginning or (is_table and ("O" in tags or len(set(types)) < len(types)))


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """What stands between `-DOCSTART-` or `###MEDLINE:` lines, a document at a time; `units` are the words.

    In a file with one such line at most, that names nothing, each sentence is a document. They are named by
    file and number, or as `-DOCSTART- (name)` or `###MEDLINE:name` says.
    """
    for file in files:
        yield from _read_file(file, reading)


def _read_file(file: Path, reading: Reading) -> Iterator[Document]:
    by_section, is_numbered = _layout_of(read_lines(file, reading.encoding, "\n"))
    reading.remarks.note("files whose first column counts the words, and is none of them", file, is_numbered)
    lines = read_lines(file, reading.encoding, "\n")
    parts = _parts(lines, file, by_section=by_section, is_numbered=is_numbered)
    filled = (part for part in parts if part.words or part.name)
    for number, part in enumerate(filled, start=1):
        text, units = _text_of(part.words, part.borders)
        spans = tuple(_mentions(part.tags, units, part.borders))
        yield Document(part.name or f"{stem_of(file)}-{number:06}", text, spans, tuple(units))


def _layout_of(lines: Iterable[str]) -> tuple[bool, bool]:
    """Whether borders make documents, and whether the first of several columns counts words.

    A column of numbers counts where it goes up by one from word to word, from 0 or 1, and begins again,
    if at all, with a sentence. Lines are read as far as both are known.
    """
    borders, is_named, is_numbered = 0, False, True
    last, steps, begins = -9, 0, True
    for line in lines:
        if BORDER.match(line):
            borders += 1
            is_named = is_named or NAMED.fullmatch(line.rstrip("\r\n")) is not None
            begins = True
        elif not line.strip():
            begins = True
        elif is_numbered:
            columns = _cut(line)
            digits = NUMBER.fullmatch(columns[0].strip(BLANKS)) if len(columns) > 2 else None
            number = int(digits[0]) if digits else -1
            is_numbered = number == last + 1 or (begins and number in (0, 1))
            steps += number == last + 1
            last, begins = number, False
        if not is_numbered and (borders > 1 or is_named):
            break
    return borders > 1 or is_named, is_numbered and steps > 0


def _parts(lines: Iterable[str], file: Path, *, by_section: bool, is_numbered: bool) -> Iterator[_Words]:
    part = _Words()
    for number, line in enumerate(lines, start=1):
        is_border = BORDER.match(line) is not None
        if is_border or not line.strip():
            part.borders.add(len(part.words))
            if is_border or not by_section:
                yield part
                named = NAMED.fullmatch(line.rstrip("\r\n")) if by_section else None
                part = _Words((named["name"] or named["id"]) if named else None)
            continue
        columns = _cut(line)
        word, tag = columns[min(is_numbered, len(columns) - 1)].strip(BLANKS), _tag(columns)
        if not word or not tag:
            raise LongbioError(
                "this line is no word with a tag",
                where=f"{file}, line {number}",
                remedy="write word, tab, tag: O, or B- and I- with a type; or name another format",
            )
        part.words.append(word)
        part.tags.append(tag)
    yield part


def _cut(line: str) -> list[str]:
    line = line.rstrip(BLANKS)  # a column behind the tag that is empty is none
    return line.split("\t") if "\t" in line else GAP.split(line.lstrip(BLANKS))


def _tag(columns: list[str]) -> str | None:
    tag = columns[-1].strip(BLANKS)
    return tag if len(columns) > 1 and TAG.fullmatch(tag) else None


def _text_of(words: Sequence[str], borders: Collection[int] = ()) -> tuple[str, list[Place]]:
    """The text that words make, with a space between two, and where each stands in it.

    Before the words that borders count, there is a line feed instead.
    """
    pieces: list[str] = []
    places: list[Place] = []
    length = 0
    for number, word in enumerate(words):
        separator = "" if not number else "\n" if number in borders else " "
        pieces += [separator, word]
        places.append((length + len(separator), length := length + len(separator) + len(word)))
    return "".join(pieces), places


def _mentions(tags: Sequence[str], units: Sequence[Place], borders: Collection[int] = ()) -> Iterator[Span]:
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


def are_words(cell: Any) -> bool:
    """Whether a row's cell is a list of words."""
    return isinstance(cell, list) and bool(cell) and all(isinstance(word, str) for word in cell)


def are_tags(cell: Any, words: Sequence[str]) -> bool:
    """Whether a row's cell is a list of tags, or of the numbers of tags of these words."""
    if not isinstance(cell, list) or not cell:
        return False
    if all(isinstance(tag, str) for tag in cell):
        return all(TAG.fullmatch(tag) for tag in cell)
    return len(cell) == len(words) and all(type(tag) is int for tag in cell)


def place_words(words: Sequence[str], text: str | None) -> tuple[str, list[Place]]:
    """The text of a row's words, and where each stands in it; empty ones are in none.

    Their text is taken, where it is known, if it is the words and white space.
    """
    if text is not None:
        places, last = list[Place](), 0
        for word in words:
            start = text.find(word, last) if word else -1
            if start < 0 or text[last:start].strip():
                break
            places.append((start, last := start + len(word)))
        if len(places) == len(words) and not text[last:].strip():
            return text, places
    return _text_of(words)


def spans_of(
    tags: Sequence[str | int],
    names: Sequence[str] | None,
    places: Sequence[Place],
    column: str,
    where: str,
    reading: Reading,
) -> tuple[Span, ...]:
    """The mentions that a row's tags make, which stand in a column, one for each word's place.

    Tags that are numbers need names; without them nothing is read, and that is counted. Raises LongbioError
    where there are more or fewer tags than words, or one is no tag.
    """
    if len(tags) != len(places):
        raise LongbioError(f"there are {len(places)} words and {len(tags)} tags", where=where)
    if names is None and any(not isinstance(tag, str) for tag in tags):
        reading.passed_over.note(f"row whose {column!r} are numbers without names", where)
        return ()
    named = [_name_of(tag, names or (), where) for tag in tags]
    # A word without a character, as some corpora have them, can't be a mention's.
    kept = [(tag, place) for tag, place in zip(named, places, strict=True) if place[0] < place[1]]
    return tuple(sorted(_mentions([tag for tag, _ in kept], [place for _, place in kept])))


def _name_of(tag: str | int, names: Sequence[str], where: str) -> str:
    if not isinstance(tag, str):
        if not 0 <= tag < len(names):
            raise LongbioError(f"tag {tag} is none of the {len(names)} that have names", where=where)
        tag = names[tag]
    if not TAG.fullmatch(tag):
        raise LongbioError(
            "a tag is none of O and, with a type, B-, I-, E-, S-, L-, U-",
            where=where,
            remedy="name the column of the tags with tags=",
        )
    return tag
