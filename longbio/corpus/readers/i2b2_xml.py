"""i2b2 2012 and 2014: an XML file a note, its text in CDATA, then tags with offsets.

    <TEXT><![CDATA[
    Admitted with sepsis.
    ]]></TEXT>
    <TAGS>
    <EVENT id="E0" start="15" end="21" text="sepsis" modality="FACTUAL" polarity="POS" type="PROBLEM" />
    <TIMEX3 id="T0" start="25" end="35" text="09/29/1993" type="DATE" val="1993-09-29" mod="NA" />
    <TLINK id="TL0" fromID="E0" fromText="sepsis" toID="T0" toText="09/29/1993" type="OVERLAP" />
    </TAGS>

    <NAME id="P0" start="16" end="21" text="Smith" TYPE="DOCTOR" comment="" />          2014, identifiers

A `type` that is empty or missing is the element's name. Three faults of the releases are met by rule. An
ampersand outside CDATA that begins none of XML's own references (`&amp;`, `&#38;`, ...) is an ampersand: so
no file can define references and have them expanded. References to quotes are compared as the quotes, in
the text as in the attributes. And where a file's offsets are all one off, they are moved: see `SHIFTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import unescape

from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types

from longbio.corpus.file_text import read_markup
from longbio.corpus.files import stem_of
from longbio.corpus.readers.locating import MentionsById, Solid, locate_mentions
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Span
from longbio.errors import LongbioError

ROOT_2012 = re.compile(r"<ClinicalNarrativeTemporalAnnotation\b")
ROOT_2014 = re.compile(r"<deIdi2b2\b")

ATTRIBUTES = {"EVENT": ("polarity", "modality"), "TIMEX3": ("val", "mod")}
"""What is said of a mention in 2012, by its element."""

PATIENT = re.compile(r"([0-9]+)-[0-9]+")
"""The stem of a file's name in 2014, `110-01.xml`."""

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
    """One element of a note's `TAGS`: its name, its attributes, and file and line."""

    name: str
    says: Mapping[str, str]
    where: str

    def label(self, attribute: str) -> str:
        """What an attribute says, or else the element's name."""
        return self.says.get(attribute, "").strip() or self.name


def read_2012(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """Events, times and links between them; the head of a relation is where its link comes from.

    Left out with a mention are the attributes and links that are about it. Section times are passed over.
    """
    for file in files:
        text, tags = _read_note(file, reading.encoding)
        mentions = MentionsById()
        for tag, span in _spans([tag for tag in tags if tag.name in ATTRIBUTES], "type", text, reading):
            mentions.spans[tag.says.get("id", "")].add(span)
            attributes = ((name, tag.says.get(name)) for name in ATTRIBUTES[tag.name])
            mentions.attributes |= {Attribute(span, name, value) for name, value in attributes if value}
        for tag in tags:
            if tag.name == "TLINK":
                head, tail = tag.says.get("fromID", ""), tag.says.get("toID", "")
                mentions.relate(tag.label("type"), head, tail, tag.where, reading)
            elif tag.name not in ATTRIBUTES:
                kind = "section times" if tag.name == "SECTIME" else "other tags"
                reading.passed_over.note(kind, tag.where)
        yield mentions.document(stem_of(file), text)


def read_2014(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """Identifiers. `group` is the patient: the first number of the file's name, None where it has none."""
    for file in files:
        text, tags = _read_note(file, reading.encoding)
        spans = {span for _, span in _spans(tags, "TYPE", text, reading)}
        patient = PATIENT.fullmatch(stem_of(file))
        yield Document(stem_of(file), text, tuple(sorted(spans)), group=patient[1] if patient else None)


def _read_note(file: Path, encoding: str) -> tuple[str, list[Tag]]:
    """The text of a note, line ends as XML has them (line feeds), and its tags."""
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
    before = CDATA_OR_AMPERSAND.sub(lambda match: "&amp;" if match[0] == "&" else match[0], before + end)
    return before + AMPERSAND.sub("&amp;", behind)


def _spans(tags: Sequence[Tag], label: str, text: str, reading: Reading) -> Iterator[tuple[Tag, Span]]:
    """The tags whose `text` stands at `start` to `end`, and their mentions."""
    solid = Solid(text)
    places = [((tag, _offset(tag, "start"), _offset(tag, "end")), tag.where) for tag in tags]

    def fault(place: tuple[Tag, int, int], shift: int) -> str | None:
        tag, start, end = place
        agrees = _agrees(tag, solid, start - shift, end - shift)
        return None if agrees else f"the mention disagrees with the text at offsets {start} {end}"

    shift, located = locate_mentions(places, SHIFTS, fault, reading)
    if shift:
        reading.remarks.note("files whose offsets are one off, and were read so", tags[0].where)
    for tag, start, end in located:
        yield tag, Span.of(start - shift, end - shift, tag.label(label))


def _agrees(tag: Tag, solid: Solid, start_char: int, end_char: int) -> bool:
    written = tag.says.get("text", "")
    if not 0 <= start_char < end_char <= len(solid.text):
        return False
    # References are longer than what they are read as.
    if solid.length(start_char, end_char) > LONGEST_REFERENCE * len(written):
        return False
    # An XML attribute holds no line end, and some tools left spaces out at both ends. Quotes are
    # references in some texts (CDATA leaves them so), and in some attributes twice over.
    covered, words = solid.words(start_char, end_char), written.split()
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
