"""i2b2 2014, de-identification: an XML file a note, with the identifiers that stand in it.

    <NAME id="P0" start="16" end="21" text="Smith" TYPE="DOCTOR" comment="" />

The label is the attribute `TYPE`; the patient is the first number of a file's name, `110-01.xml`.
Offsets and broken XML: see `i2b2_xml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.files import stem_of
from longbio.corpus.readers.i2b2_xml import placed, read_note
from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Document, Span

SUFFIXES = (".xml",)
ROOT = re.compile(r"<deIdi2b2\b")
PATIENT = re.compile(r"([0-9]+)-[0-9]+")


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, has the root element of these notes."""
    return any(ROOT.search(beginning) for beginning in beginnings_of(path, SUFFIXES))


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.xml` file of a folder.

    Args:
        path: the file or folder.
        reading: counts mentions; those whose text isn't at their offsets are left out.

    Yields:
        The documents, named by their files' stems, in their order; `group` is the patient's number,
        None where the name has none. A tag without TYPE is labelled with the element's name.

    Raises:
        LongbioError: a file is in another encoding or no XML, or an offset is no number. Names file
            and line, never the text.
    """
    for file in files_of(path, SUFFIXES):
        text, tags = read_note(file, reading.encoding)
        spans = {
            Span.of(start, end, tag.says.get("TYPE", "").strip() or tag.name)
            for tag, start, end in placed(tags, text, reading)
        }
        patient = PATIENT.fullmatch(stem_of(file))
        yield Document(stem_of(file), text, tuple(sorted(spans)), group=patient[1] if patient else None)
