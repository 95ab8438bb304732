"""i2b2 2012, temporal relations: an XML file a note, with events, times and links between them.

    <EVENT id="E0" start="15" end="21" text="sepsis" modality="FACTUAL" polarity="POS" type="PROBLEM" />
    <TIMEX3 id="T0" start="25" end="35" text="09/29/1993" type="DATE" val="1993-09-29" mod="NA" />
    <TLINK id="TL0" fromID="E0" fromText="sepsis" toID="T0" toText="09/29/1993" type="OVERLAP" />

Offsets and broken XML: see `i2b2_xml`. A `type` that is empty or missing is the element's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.readers.i2b2_xml import Tag, placed, read_note
from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Attribute, Document, Relation, Span

SUFFIXES = (".xml",)
ROOT = re.compile(r"<ClinicalNarrativeTemporalAnnotation\b")

ATTRIBUTES = {"EVENT": ("polarity", "modality"), "TIMEX3": ("val", "mod")}
"""What is said of a mention, by its element."""


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, has the root element of these notes."""
    return any(ROOT.search(beginning) for beginning in beginnings_of(path, SUFFIXES))


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.xml` file of a folder.

    Args:
        path: the file or folder.
        reading: counts mentions; those whose text isn't at their offsets are left out, with the
            attributes and links that are about them. Section times are passed over.

    Yields:
        The documents, named by their files' stems, in their order. The head of a relation is where
        its link comes from.

    Raises:
        LongbioError: a file is in another encoding or no XML, or an offset is no number. Names file
            and line, never the text.
    """
    for file in files_of(path, SUFFIXES):
        yield _read_one(file, reading)


def _read_one(file: Path, reading: Reading) -> Document:
    text, tags = read_note(file, reading.encoding)
    spans_of: defaultdict[str, set[Span]] = defaultdict(set)
    attributes: set[Attribute] = set()
    for tag, start, end in placed([tag for tag in tags if tag.name in ATTRIBUTES], text, reading):
        span = Span.of(start, end, _label(tag))
        spans_of[tag.says.get("id", "")].add(span)
        attributes |= {
            Attribute(span, name, tag.says[name]) for name in ATTRIBUTES[tag.name] if tag.says.get(name)
        }

    relations: set[Relation] = set()
    for tag in tags:
        if tag.name == "TLINK":
            heads, tails = (spans_of.get(tag.says.get(end, ""), set()) for end in ("fromID", "toID"))
            if len(heads) == len(tails) == 1:
                relations.add(Relation(_label(tag), *heads, *tails))
            else:
                reading.passed_over.note("relations of what was not read", tag.where)
        elif tag.name not in ATTRIBUTES:
            reading.passed_over.note("section times" if tag.name == "SECTIME" else "other tags", tag.where)

    spans = {span for named in spans_of.values() for span in named}
    return Document(
        file.stem,
        text,
        tuple(sorted(spans)),
        relations=tuple(sorted(relations)),
        attributes=tuple(sorted(attributes)),
    )


def _label(tag: Tag) -> str:
    return tag.says.get("type", "").strip() or tag.name
