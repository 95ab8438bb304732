"""Readers of corpora: one module a format, and the choice between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from longbio.corpus.alignment import MAX_MISALIGNED, Alignment
from longbio.corpus.files import files_in, folders_below, refuse_empty
from longbio.corpus.names import Names
from longbio.corpus.readers import (
    bioc,
    blurb,
    brat,
    emrqa,
    i2b2_2006,
    i2b2_2010,
    i2b2_2012,
    i2b2_2014,
    iob,
    json_rows,
    jsonl,
    label_studio,
    pubmedqa,
    pubtator,
    squad,
    tables,
    text,
)
from longbio.corpus.reading import SNIFFED_FILES, Reading, listed, refuse_missing
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
        recognises: whether what lies at a path, a file or one of a folder's, looks like it; looks at
            names and beginnings.
        read: streams the documents of a path.
        endings: of the names of the files that it reads in a folder.
        reads_subfolders: `read` looks for the files of a document in several folders; of other formats
            each folder is read by itself.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Path, Reading], Iterator[Document]]
    endings: tuple[str, ...]
    reads_subfolders: bool = False


# In the order in which they are tried: plain text and tables, which are anything, come last.
READERS: dict[str, Format] = {
    "brat": Format(brat.recognises, brat.read, brat.ENDINGS),
    "i2b2_2010": Format(i2b2_2010.recognises, i2b2_2010.read, i2b2_2010.SUFFIXES, reads_subfolders=True),
    "i2b2_2012": Format(i2b2_2012.recognises, i2b2_2012.read, i2b2_2012.SUFFIXES),
    "i2b2_2014": Format(i2b2_2014.recognises, i2b2_2014.read, i2b2_2014.SUFFIXES),
    "i2b2_2006": Format(i2b2_2006.recognises, i2b2_2006.read, i2b2_2006.SUFFIXES),
    "bioc": Format(bioc.recognises, bioc.read, bioc.SUFFIXES),
    "pubtator": Format(pubtator.recognises, pubtator.read, pubtator.SUFFIXES),
    "iob": Format(iob.recognises, iob.read, iob.SUFFIXES),
    "emrqa": Format(emrqa.recognises, emrqa.read, squad.SUFFIXES),
    "squad": Format(squad.recognises, squad.read, squad.SUFFIXES),
    "label_studio": Format(label_studio.recognises, label_studio.read, label_studio.ENDINGS),
    "pubmedqa": Format(pubmedqa.recognises, pubmedqa.read, pubmedqa.SUFFIXES),
    "blurb": Format(blurb.recognises, blurb.read, blurb.ENDINGS),
    "jsonl": Format(jsonl.recognises, jsonl.read, jsonl.ENDINGS),
    "text": Format(text.recognises, text.read, text.SUFFIXES),
    "table": Format(tables.recognises, tables.read, tables.ENDINGS),
    "json": Format(json_rows.recognises, json_rows.read, json_rows.ENDINGS),
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
    chosen, names = READERS[name], Names()
    places = _places(path, chosen, is_named=format_name is not None)
    if path.is_dir():
        reading.passed_over.note_files(path, set(_files_read(path, chosen, places)))
    # Counted apart: the share is of what lies here, whatever was read before.
    here = replace(reading, alignment=Alignment())
    try:
        for place in places:
            for document in chosen.read(place, here):
                within = "" if place == path else f"{place.relative_to(path).as_posix()}/"
                own = names.of(within + document.id)
                if C1_CONTROL.search(document.text):
                    reading.remarks.note(MISREAD, f"{path}, document {own}")
                yield document if own == document.id else replace(document, id=own)
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
        for name, each in READERS.items():
            if any(each.recognises(folder) for folder in folders):
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
    found = [name for name in SPLITS if (path / name).is_dir()]
    if found:
        raise LongbioError(
            f"the folder holds splits: {', '.join(found)}",
            where=path,
            remedy=f"name one of them: {path / found[-1]}",
        )


def _places(path: Path, chosen: Format, *, is_named: bool) -> list[Path]:
    """The file, or the folders, that are read one after the other."""
    if not path.is_dir() or chosen.reads_subfolders:
        return [path]
    folders = [path, *_outside_splits(path, folders_below(path))]
    places = [
        folder
        for folder in folders
        if listed(folder, chosen.endings) and (is_named or chosen.recognises(folder))
    ]
    if not places:
        _refuse_splits(path)
    return places or [path]


def _files_read(path: Path, chosen: Format, places: list[Path]) -> Iterator[Path]:
    """Files of a folder, and of those below it, that a format reads."""
    for folder in (path, *folders_below(path)) if chosen.reads_subfolders else places:
        yield from listed(folder, chosen.endings)


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
    found = (path for pattern in patterns for path in sorted(folder.glob(pattern)))
    return next((path for path in found if path.is_file()), None)
