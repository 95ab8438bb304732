"""i2b2 2010, concepts, assertions, relations: files of lines that name words by line and token.

    concept/1.con   c="chest pain" 12:3 12:4||t="problem"
    ast/1.ast       c="chest pain" 12:3 12:4||t="problem"||a="present"
    rel/1.rel       c="aspirin" 14:0 14:0||r="TrAP"||c="chest pain" 12:3 12:4
    txt/1.txt       the note, a sentence a line

Lines count from 1, tokens from 0, and the end token belongs to the mention; the words of a mention
are in lower case. What a token is was never said, and matters where a line begins with spaces or has
several in a row. So three countings are tried (see `COUNTINGS`), and a file's is that under which most
of its concepts are the words they say, compared without case and with white space alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.file_text import number_lines, read_markup, read_text
from longbio.corpus.files import is_part, kind_of, stem_of
from longbio.corpus.readers.locating import MentionsById, locate_mentions
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Span
from longbio.errors import LongbioError

Tokens = dict[int, list[tuple[int, int]]]
"""Of each line that is named, by its number, where its tokens start and end in the text."""

ENDINGS = (".txt", ".con", ".ast", ".rel")
DEPTHS = ("*", "*/*", "*/*/*", "*/*/*/*")
"""As deep as the release from its root: <part>/<hospital>/concept/*.con."""

NUMBER = r"[0-9]{1,9}"
PLACE = f"{NUMBER}:{NUMBER} {NUMBER}:{NUMBER}"
CONCEPT = rf'c="(.*)" ({NUMBER}):({NUMBER}) ({NUMBER}):({NUMBER})'
CON = re.compile(rf'{CONCEPT}\|\|t="([^"]+)"\s*')
AST = re.compile(rf'{CONCEPT}\|\|t="([^"]+)"\|\|a="([^"]+)"\s*')
# Its end is looked at first: without it, each place where the first concept may end would be tried.
REL = re.compile(rf'(?=.*" {PLACE}\s*$){CONCEPT}\|\|r="([^"]+)"\|\|{CONCEPT}\s*')


COUNTINGS = (
    re.compile(r"\S+", re.ASCII),
    re.compile(r"\A(?=\s)|\S+", re.ASCII),
    re.compile(r"(?<![^ ])[^ ]*"),
)
"""What stands between white space (ASCII's alone: a no-break space belongs to its word); the same, but white
space that begins a line has an empty token before it (as Java splits); what stands between single spaces,
empty tokens among it. Of equals the first is taken."""


def _stretch(place: tuple[str, ...], tokens: Tokens, text: str) -> tuple[int, int] | None:
    """Where in the text the words of a place stand; None where they don't, under this counting.

    A place is the words, line and token of the first, and line and token of the last.
    """
    words, numbers = place[0], [int(number) for number in place[1:5]]
    ends = []
    for line, token in (numbers[:2], numbers[2:]):
        if token >= len(tokens.get(line, ())):
            return None
        ends.append(tokens[line][token])
    start_char, end_char = ends[0][0], ends[1][1]
    covered = text[start_char:end_char]
    if not covered or covered.lower().split() != words.lower().split():
        return None
    return start_char, end_char


def recognises(path: Path) -> bool:
    """Whether a folder, or those in it, hold `.con` files."""
    return path.is_dir() and any(
        kind_of(file) == ".con" and is_part(file) for depth in DEPTHS for file in path.glob(depth)
    )


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a folder of notes and their annotations, in one folder or in several up to four deep.

    Files belong together by their stems. Left out with a concept are the assertions and relations that are
    about it, and so are relations of a place that has two concepts. Passed over, too: "notes without
    concepts", texts that have no `.con`; only they may have one name in two folders.

    Yields:
        The documents, sorted by id (the file's stem). An assertion is the attribute "assertion"; the head of
        a relation is what stands on its left.

    Raises:
        LongbioError: as all readers; and a `.con` has no `.txt`, an `.ast` or `.rel` no `.con`, or two files
            have one stem and ending.
    """
    files = _files(path)
    for suffix, needs in ((".con", ".txt"), (".ast", ".con"), (".rel", ".con")):
        for stem in sorted(files[suffix].keys() - files[needs].keys()):
            raise LongbioError(
                f"annotations without their {needs} file",
                where=files[suffix][stem][0],
                remedy=f"put {stem}{needs} into the same folder, or one beside it",
            )
    if not files[".con"]:
        raise LongbioError("the folder holds no .con file", where=path)

    if bare := files[".txt"].keys() - files[".con"].keys():
        notes = [file for stem in sorted(bare) for file in files[".txt"][stem]]
        reading.passed_over.note("notes without concepts", notes[0], len(notes))
    for stem in sorted(files[".con"]):
        of_suffix = {suffix: _only(files[suffix][stem]) for suffix in ENDINGS if stem in files[suffix]}
        yield _read_one(stem, of_suffix, reading)


def _files(path: Path) -> dict[str, dict[str, list[Path]]]:
    """Files by ending and stem."""
    if not path.is_dir():
        raise LongbioError("there is no such folder", where=path, remedy="give the folder of the notes")
    files: dict[str, dict[str, list[Path]]] = {suffix: {} for suffix in ENDINGS}
    for file in sorted(file for depth in DEPTHS for file in path.glob(depth)):
        if kind_of(file) in ENDINGS and is_part(file):
            files[kind_of(file)].setdefault(stem_of(file), []).append(file)
    return files


def _only(files: list[Path]) -> Path:
    if len(files) > 1:
        raise LongbioError(
            f"another folder has a file of this name: {files[0].parent}",
            where=files[1],
            remedy="read one part of the corpus at a time",
        )
    return files[0]


def _read_one(stem: str, files: dict[str, Path], reading: Reading) -> Document:
    text = read_text(files[".txt"], reading.encoding)
    concepts = list(_lines(files[".con"], CON, reading))

    def fault(fields: tuple[str, ...], tokens: Tokens) -> str | None:
        is_there = _stretch(fields, tokens, text) is not None
        return None if is_there else "the concept's words are not at the lines and tokens it names"

    countings = _countings(text, {int(line) for fields, _ in concepts for line in (fields[1], fields[3])})
    tokens, located = locate_mentions(concepts, countings, fault, reading)
    mentions = MentionsById()
    for fields in located:
        stretch = _stretch(fields, tokens, text)
        assert stretch is not None
        mentions.spans[stretch].add(Span.of(*stretch, fields[5]))

    for fields, where in _lines(files.get(".ast"), AST, reading):
        spans = mentions.spans.get(_stretch(fields, tokens, text), set())
        about = {span for span in spans if span.label == fields[5]}
        mentions.attributes |= {Attribute(span, "assertion", fields[6]) for span in about}
        if not about:
            reading.passed_over.note("attributes of what was not read", where)
    for fields, where in _lines(files.get(".rel"), REL, reading):
        head, tail = (_stretch(place, tokens, text) for place in (fields, fields[6:]))
        mentions.relate(fields[5], head, tail, where, reading)
    return mentions.document(stem, text)


def _lines(
    file: Path | None, pattern: re.Pattern[str], reading: Reading
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The fields of each line of a file that may not be there, and where it stands."""
    if file is None:
        return
    for where, line in number_lines(read_markup(file, reading.encoding).split("\n"), file):
        match = pattern.fullmatch(line)
        if match is None:
            raise LongbioError(
                "this is no line of i2b2 2010",
                where=where,
                remedy="compare the file with the release; see docs/formats.md",
            )
        yield match.groups(), where


def _countings(text: str, named: set[int]) -> Iterator[Tokens]:
    """The tokens of the lines that concepts name (others are not needed), under each of the countings."""
    body = text.removeprefix("\ufeff")  # a byte-order mark is no part of a word
    lines: list[tuple[int, int, str]] = []
    start = len(text) - len(body)
    for number, line in enumerate(body.split("\n"), start=1):
        if number in named:
            lines.append((number, start, line.removesuffix("\r")))
        start += len(line) + 1
    for token in COUNTINGS:
        yield {
            number: [(start + match.start(), start + match.end()) for match in token.finditer(line)]
            for number, start, line in lines
        }
