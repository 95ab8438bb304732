"""Readers of corpora: one module a format, and the choice between them.

A format's `read` takes files and a `Reading`, whose encoding it uses and whose counts it keeps: of mentions
that were checked against the text, and left out where they aren't in it as they say; and of what is passed
over. It yields documents in the order of the files, each with its mentions sorted and equal ones kept once,
relations and attributes alike. It raises LongbioError where a file is in another encoding or malformed, which
names file and line, or the place in a file that is one value, but never the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from longbio.corpus.file_text import beginnings_of, first_lines
from longbio.corpus.files import (
    SNIFFED_FILES,
    corpus_files,
    files_in,
    files_of,
    first_files,
    folders_below,
    refuse_empty,
    refuse_missing,
)
from longbio.corpus.readers import (
    bioc,
    blurb,
    brat,
    emrqa,
    i2b2_2006,
    i2b2_2010,
    i2b2_xml,
    iob,
    jsonl,
    label_studio,
    pubmedqa,
    pubtator,
    squad,
    tables,
    text,
)
from longbio.corpus.reading import MAX_MISALIGNED, Alignment, Reading, UniqueNames
from longbio.corpus.records import Document
from longbio.errors import LongbioError

SPLITS = ("train", "dev", "valid", "validation", "val", "test")
"""Folders that are read only where they are named."""

C1_CONTROL = re.compile("[\x80-\x9f]")
MISREAD = "texts with controls U+0080 to U+009F: cp1252 read as latin-1 (--encoding cp1252)"


@dataclass(frozen=True)
class Format:
    """A format on disk.

    Args:
        recognises: whether what lies at a path, a file or one of a folder's first, looks like it; looks at
            names and beginnings.
        read: streams the documents of a path, a file or a folder without those below it.
        endings: of the names of the files that it reads in a folder.
        reads_subfolders: `read` looks for the files of a document in several folders; of other formats
            each folder is read by itself.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Path, Reading], Iterator[Document]]
    endings: tuple[str, ...]
    reads_subfolders: bool = False


def _make_format(
    read: Callable[[Iterable[Path], Reading], Iterator[Document]],
    endings: tuple[str, ...],
    looks_like: Callable[[Any], object],
    beginnings: Callable[[Path, tuple[str, ...]], Iterable[Any]] = beginnings_of,
) -> Format:
    """A format whose files are read one after the other, and are known by how they begin."""
    return Format(
        lambda path: any(looks_like(beginning) for beginning in beginnings(path, endings)),
        lambda path, reading: read(files_of(path, endings), reading),
        endings,
    )


XML, JSON = (".xml",), (".json",)

# In the order in which they are tried: plain text and tables, which are anything, come last.
READERS: dict[str, Format] = {
    "brat": Format(brat.recognises, brat.read, brat.ENDINGS),
    "i2b2_2010": Format(i2b2_2010.recognises, i2b2_2010.read, i2b2_2010.ENDINGS, reads_subfolders=True),
    "i2b2_2012": _make_format(i2b2_xml.read_2012, XML, i2b2_xml.ROOT_2012.search),
    "i2b2_2014": _make_format(i2b2_xml.read_2014, XML, i2b2_xml.ROOT_2014.search),
    "i2b2_2006": _make_format(i2b2_2006.read, XML, i2b2_2006.looks_like),
    "bioc": _make_format(bioc.read, bioc.ENDINGS, bioc.looks_like),
    "pubtator": _make_format(pubtator.read, (".txt", ".pubtator"), pubtator.looks_like),
    "iob": _make_format(iob.read, iob.ENDINGS, iob.looks_like),
    "emrqa": _make_format(emrqa.read, JSON, emrqa.looks_like),
    "squad": _make_format(squad.read, JSON, squad.PARAGRAPHS.search),
    "label_studio": _make_format(label_studio.read, JSON, label_studio.TASK.match),
    "pubmedqa": _make_format(pubmedqa.read, JSON, pubmedqa.CONTEXTS.search),
    "blurb": _make_format(blurb.read, (".tsv",), blurb.looks_like, first_lines),
    "jsonl": _make_format(jsonl.read, (".jsonl", ".ndjson"), jsonl.looks_like, first_lines),
    # These two by the endings of their files alone.
    "text": Format(lambda path: bool(first_files(path, text.ENDINGS)), text.read, text.ENDINGS),
    "table": _make_format(tables.read, tables.ENDINGS, bool, first_files),
    "json": _make_format(tables.read, JSON, tables.looks_like_rows),
}


def read_documents(
    path: Path,
    format_name: str | None = None,
    *,
    reading: Reading | None = None,
    max_misaligned: float = MAX_MISALIGNED,
) -> list[Document]:
    """Reads all that `stream_documents` gives."""
    return list(stream_documents(path, format_name, reading=reading, max_misaligned=max_misaligned))


def stream_documents(
    path: Path,
    format_name: str | None = None,
    *,
    reading: Reading | None = None,
    max_misaligned: float = MAX_MISALIGNED,
) -> Iterator[Document]:
    """Reads documents with whatever is known about them.

    Args:
        path: a file or a folder, which is read with the folders below it; but for those of splits (`train`,
            `test`, ...) and those that don't look like the format, where that isn't named.
        format_name: one of `READERS`; found when None.
        reading: encoding and columns; counts what was checked and left out.
        max_misaligned: share of the mentions that may be left out.

    Yields:
        The documents, in the order of the file, or of the folder's names; those of a subfolder are named
        `subfolder/id`. Of two with the same id the later gets `.2`.

    Raises:
        LongbioError: there is nothing to read at `path`, columns are named of what isn't a table, a
            file is broken, or, at the end, more mentions than that aren't in their text as they say.
    """
    reading = reading or Reading()
    name = format_name or format_of(path)
    if name not in READERS:
        raise LongbioError(f"there is no format {name!r}", where=path, remedy=f"choose from {list(READERS)}")
    if reading.columns and name not in ("table", "json"):
        raise LongbioError(
            f"columns are named, and what lies here is read as {name}, which has none",
            where=path,
            remedy="name the format table, or no column",
        )
    refuse_missing(path)
    refuse_empty(path)
    chosen, names = READERS[name], UniqueNames()
    places = _places(path, chosen, is_named=format_name is not None)
    if path.is_dir():
        reading.passed_over.note_files(path, set(_files_read(path, chosen, places)))
    # Counted apart: the share is of what lies here, whatever was read before.
    here = replace(reading, alignment=Alignment())
    try:
        for place in places:
            for document in chosen.read(place, here):
                within = "" if place == path else f"{place.relative_to(path).as_posix()}/"
                document_id = names.of(within + document.id)
                if C1_CONTROL.search(document.text):
                    reading.remarks.note(MISREAD, f"{path}, document {document_id}")
                yield document if document_id == document.id else replace(document, id=document_id)
    finally:
        reading.alignment.add(here.alignment)
    here.alignment.refuse_beyond(max_misaligned)


def format_of(path: Path) -> str:
    """The format that what lies at a path seems to have: the first of `READERS` that recognises it, or one
    of the first folders below it.

    Raises:
        LongbioError: there is nothing at `path`, none of them recognises it, or it holds splits.
    """
    refuse_missing(path)
    refuse_empty(path)
    below = [folder for folder in folders_below(path) if files_in(folder)]
    apart = _outside_splits(path, below)
    for folders in ([path], apart[:SNIFFED_FILES]):
        for name, known in READERS.items():
            if any(known.recognises(folder) for folder in folders):
                return name
    _refuse_splits(path)
    raise LongbioError(
        "no format was recognised here",
        where=path,
        remedy=f"name it (--format; --read-as of longbio predict): {', '.join(READERS)}",
    )


def _outside_splits(path: Path, folders: list[Path]) -> list[Path]:
    return [folder for folder in folders if folder.relative_to(path).parts[0].lower() not in SPLITS]


def _refuse_splits(path: Path) -> None:
    """Raises LongbioError where a folder holds those of splits: nobody wants them read as one."""
    splits = [name for name in SPLITS if (path / name).is_dir()]
    if splits:
        raise LongbioError(
            f"the folder holds splits: {', '.join(splits)}",
            where=path,
            remedy=f"name one of them: {path / splits[-1]}",
        )


def _places(path: Path, chosen: Format, *, is_named: bool) -> list[Path]:
    """The file, or the folders, that are read one after the other."""
    if not path.is_dir() or chosen.reads_subfolders:
        return [path]
    folders = [path, *_outside_splits(path, folders_below(path))]
    places = [
        folder
        for folder in folders
        if corpus_files(folder, chosen.endings) and (is_named or chosen.recognises(folder))
    ]
    if not places:
        _refuse_splits(path)
    return places or [path]


def _files_read(path: Path, chosen: Format, places: list[Path]) -> Iterator[Path]:
    """Files of a folder, and of those below it, that a format reads."""
    for folder in (path, *folders_below(path)) if chosen.reads_subfolders else places:
        yield from corpus_files(folder, chosen.endings)


def count_documents(path: Path, format_name: str) -> int:
    """How many documents lie at a path, where that is known without reading them: of formats with a file or
    a line each. 0 where it isn't."""
    if format_name not in ("text", "brat", "jsonl") or not path.exists():
        return 0
    chosen = READERS[format_name]
    files = [path]
    if path.is_dir():
        files = list(_files_read(path, chosen, _places(path, chosen, is_named=True)))
    if format_name != "jsonl":
        return sum(file.suffix.lower() == ".txt" for file in files)
    if any(file.suffix.lower() != ".jsonl" for file in files):
        return 0
    count = 0
    for file in files:
        with file.open("rb") as lines:
            count += sum(bool(line.strip()) for line in lines)
    return count


def split_of(folder: Path, split: str) -> Path | None:
    """Where a split lies in a corpus: a folder or a file of its name, whatever its ending.

    PubMedQA's and MedNLI's files are found by their own names.
    """
    if (folder / split).is_dir():
        return folder / split
    patterns = (f"{split}.*", f"{split}_set.*", f"pqal_fold0/{split}_set.*", f"mli_{split}_v*.*")
    paths = (path for pattern in patterns for path in sorted(folder.glob(pattern)))
    return next((path for path in paths if path.is_file()), None)
