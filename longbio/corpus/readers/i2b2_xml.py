"""A note in XML as i2b2 gave them out in 2012 and 2014: its text in CDATA, then tags with offsets.

    <TEXT><![CDATA[
    Admitted with sepsis.
    ]]></TEXT>
    <TAGS>
    <EVENT id="E0" start="15" end="21" text="sepsis" type="PROBLEM" />
    </TAGS>

Three faults of the releases are met by rule. An ampersand outside CDATA that begins none of XML's own
references (`&amp;`, `&#38;`, ...) is an ampersand: so no file can define references and have them
expanded. References to quotes are compared as the quotes, in the text as in the attributes. And where a
file's offsets are all one off, they are moved: see `SHIFTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import unescape

from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types

from longbio.corpus.reading import Reading, read_markup
from longbio.corpus.solid import Solid
from longbio.errors import LongbioError

SHIFTS = (0, 1, -1)
"""By how much a file's offsets may be too large: counted just behind `<![CDATA[` from 0, from 1, or
without the line feed that stands there. That under which most of a file's mentions agree with its text
is taken, of equals the first."""

QUOTES = {"&apos;": "'", "&quot;": '"', "&#39;": "'", "&#34;": '"'}

LONGEST_REFERENCE = 6
"""Characters, of `QUOTES`."""

OFFSET = re.compile(r"[0-9]{1,9}")
AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)")
CDATA_OR_AMPERSAND = re.compile(rf"<!\[CDATA\[.*?\]\]>|{AMPERSAND.pattern}", re.DOTALL)


@dataclass(frozen=True)
class Tag:
    """One element of a note's `TAGS`.

    Args:
        name: of the element.
        says: its attributes.
        where: file and line.
    """

    name: str
    says: Mapping[str, str]
    where: str


def read_note(file: Path, encoding: str) -> tuple[str, list[Tag]]:
    """The text of a note, line ends as XML has them (line feeds), and its tags.

    Raises:
        LongbioError: the file can't be read, or is no XML with a TEXT. Names the line, never the text.
    """
    content = _with_ampersands(read_markup(file, encoding))
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(content.encode("utf-8"), parser)
    except etree.XMLSyntaxError as error:
        root, line = None, error.lineno
    if root is None:
        # Raised outside the handler: the parser's message may quote the note.
        raise LongbioError(
            "this is no well-formed XML",
            where=f"{file}, line {line}",
            remedy="compare the file with the release; write < and & in attributes as &lt; and &amp;",
        )

    text = root.find("TEXT")
    if text is None:
        raise LongbioError("the note has no TEXT", where=file, remedy="give the XML files of the release")
    tags = root.find("TAGS")
    return "".join(text.itertext()), [
        Tag(tag.tag, dict(tag.attrib), f"{file}, line {tag.sourceline}")
        for tag in (() if tags is None else tags)
    ]


def _with_ampersands(content: str) -> str:
    """The same XML, ampersands that begin no reference as references."""
    # Behind the last section that is closed, each that is opened would be followed to the end.
    before, end, behind = content.rpartition("]]>")
    before = CDATA_OR_AMPERSAND.sub(lambda found: "&amp;" if found[0] == "&" else found[0], before + end)
    return before + AMPERSAND.sub("&amp;", behind)


def placed(tags: list[Tag], text: str, reading: Reading) -> Iterator[tuple[Tag, int, int]]:
    """Those of a file's tags whose `text` stands at `start` to `end`, and where that is in the text.

    Args:
        tags: that have these three attributes.
        text: of the note.
        reading: counts them, and those left out.

    Raises:
        LongbioError: an offset is no number.
    """
    solid = Solid(text)
    offsets = [(_offset(tag, "start"), _offset(tag, "end")) for tag in tags]

    def agreeing(shift: int) -> int:
        return sum(
            _agrees(tag, solid, start - shift, end - shift)
            for tag, (start, end) in zip(tags, offsets, strict=True)
        )

    shift = max(SHIFTS, key=agreeing)
    if shift:
        reading.remarks.note("files whose offsets are one off, and were read so", tags[0].where)
    for tag, (start, end) in zip(tags, offsets, strict=True):
        agrees = _agrees(tag, solid, start - shift, end - shift)
        fault = None if agrees else f"the mention disagrees with the text at offsets {start} {end}"
        if reading.alignment.holds(fault, tag.where):
            yield tag, start - shift, end - shift


def _agrees(tag: Tag, solid: Solid, start_char: int, end_char: int) -> bool:
    said = tag.says.get("text", "")
    if not 0 <= start_char < end_char <= len(solid.text):
        return False
    # References are longer than what they are read as.
    if solid.length(start_char, end_char) > LONGEST_REFERENCE * len(said):
        return False
    # An XML attribute holds no line end, and some tools left spaces out at both ends. Quotes are
    # references in some texts (CDATA leaves them so), and in some attributes twice over.
    covered, words = solid.words(start_char, end_char), said.split()
    return covered == words or [*map(_read, covered)] == [*map(_read, words)]


def _read(text: str) -> str:
    return unescape(text, QUOTES)


def _offset(tag: Tag, name: str) -> int:
    value = tag.says.get(name, "")
    if not OFFSET.fullmatch(value):
        raise LongbioError(
            f"the attribute {name!r} is no number of characters",
            where=tag.where,
            remedy="compare the file with the release",
        )
    return int(value)
