"""Readers of corpora: one module a format, and the choice between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from longbio.corpus.alignment import MAX_MISALIGNED, Alignment
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
from longbio.corpus.reading import Reading, listed, refuse_missing
from longbio.corpus.records import Document
from longbio.corpus.rows import kind_of
from longbio.errors import LongbioError


@dataclass(frozen=True)
class Format:
    """A format on disk.

    Args:
        recognises: whether what lies at a path, a file or one of a folder's, looks like it; looks at
            names and beginnings.
        read: streams the documents of a path.
        endings: of the names of the files that it reads in a folder.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Path, Reading], Iterator[Document]]
    endings: tuple[str, ...]


# In the order in which they are tried: plain text and tables, which are anything, come last.
READERS: dict[str, Format] = {
    "brat": Format(brat.recognises, brat.read, brat.ENDINGS),
    "i2b2_2010": Format(i2b2_2010.recognises, i2b2_2010.read, i2b2_2010.SUFFIXES),
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
        path: a file or a folder.
        format_name: one of `READERS`; found when None.
        reading: encoding and columns; counts what was checked and left out.
        max_misaligned: share of the mentions that may be left out.

    Yields:
        The documents, in the order of the file, or of the folder's names. Of two with the same id
        the later gets `.2`.

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
    reading.passed_over.update(_unread(path, READERS[name]))
    names = Names()
    # Counted apart: the share is of what lies here, whatever was read before.
    here = replace(reading, alignment=Alignment())
    try:
        for document in READERS[name].read(path, here):
            own = names.of(document.id)
            yield document if own == document.id else replace(document, id=own)
    finally:
        reading.alignment.add(here.alignment)
    here.alignment.refuse_beyond(max_misaligned)


def format_of(path: Path) -> str:
    """The format that what lies at a path seems to have: the first of `READERS` that recognises it.

    Raises:
        LongbioError: there is nothing at `path`, or none of them recognises it.
    """
    refuse_missing(path)
    for name, each in READERS.items():
        if each.recognises(path):
            return name
    raise LongbioError(
        "no format was recognised here",
        where=path,
        remedy=f"name it (--format; --read-as of longbio predict): {', '.join(READERS)}",
    )


def _unread(path: Path, chosen: Format) -> Counter[str]:
    """How many files of each kind lie in a folder that other formats read, and the chosen one doesn't."""
    if not path.is_dir():
        return Counter()
    endings = tuple(ending for each in READERS.values() for ending in each.endings)
    read = set(listed(path, chosen.endings))
    files = (file for file in path.iterdir() if not file.name.startswith(".") and file not in read)
    return Counter(
        f"{kind_of(file)} file" for file in files if file.name.lower().endswith(endings) and file.is_file()
    )


def read_splits(
    folder: Path,
    format_name: str | None = None,
    *,
    reading: Reading | None = None,
    max_misaligned: float = MAX_MISALIGNED,
) -> dict[str, list[Document]]:
    """Reads a corpus that lies in subfolders, or files, `train`, `test` and, where there is one, `dev`.

    Args:
        folder: the folder that holds them.
        format_name: see `stream_documents`, as for the others.
        reading: for all of them.
        max_misaligned: in each.

    Returns:
        The documents of each split under "train", "dev" and "test".

    Raises:
        LongbioError: `train` or `test` is missing, or a file is broken.
    """
    found = {split: split_of(folder, split) for split in ("train", "dev", "test")}
    for split in ("train", "test"):
        if found[split] is None:
            raise LongbioError(
                f"the corpus has no {split!r} folder",
                where=folder,
                remedy="lay it out as train/, test/ and, if you have one, dev/; or as train.txt, ...",
            )
    return {
        split: read_documents(path, format_name, reading=reading, max_misaligned=max_misaligned)
        for split, path in found.items()
        if path is not None
    }


def split_of(folder: Path, split: str) -> Path | None:
    """Where a split lies in a corpus: a folder or a file of its name, whatever its ending.

    PubMedQA's and MedNLI's files are found by their own names.
    """
    if (folder / split).is_dir():
        return folder / split
    patterns = (f"{split}.*", f"{split}_set.*", f"pqal_fold0/{split}_set.*", f"mli_{split}_v*.*")
    found = (path for pattern in patterns for path in sorted(folder.glob(pattern)))
    return next((path for path in found if path.is_file()), None)
