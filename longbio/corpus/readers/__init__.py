"""Readers of corpora: one module a format, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from longbio.corpus.alignment import MAX_MISALIGNED, Alignment
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
    jsonl,
    pubmedqa,
    pubtator,
    squad,
    tables,
    text,
)
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.errors import LongbioError


@dataclass(frozen=True)
class Format:
    """A format on disk.

    Args:
        recognises: whether what lies at a path, a file or a folder, looks like it; looks at its
            names and its beginning.
        read: streams the documents of a path.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Path, Reading], Iterator[Document]]


# In the order in which they are tried: plain text and tables, which are anything, come last.
READERS: dict[str, Format] = {
    "brat": Format(brat.recognises, brat.read),
    "i2b2_2010": Format(i2b2_2010.recognises, i2b2_2010.read),
    "i2b2_2012": Format(i2b2_2012.recognises, i2b2_2012.read),
    "i2b2_2014": Format(i2b2_2014.recognises, i2b2_2014.read),
    "i2b2_2006": Format(i2b2_2006.recognises, i2b2_2006.read),
    "bioc": Format(bioc.recognises, bioc.read),
    "pubtator": Format(pubtator.recognises, pubtator.read),
    "iob": Format(iob.recognises, iob.read),
    "emrqa": Format(emrqa.recognises, emrqa.read),
    "squad": Format(squad.recognises, squad.read),
    "pubmedqa": Format(pubmedqa.recognises, pubmedqa.read),
    "blurb": Format(blurb.recognises, blurb.read),
    "jsonl": Format(jsonl.recognises, jsonl.read),
    "text": Format(text.recognises, text.read),
    "table": Format(tables.recognises, tables.read),
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
        The documents, in the order of the file, or of the folder's names.

    Raises:
        LongbioError: there is nothing to read at `path`, a file is broken, or, at the end, more
            mentions than that aren't in their text as they say.
    """
    reading = reading or Reading()
    name = format_name or format_of(path)
    if name not in READERS:
        raise LongbioError(f"there is no format {name!r}", where=path, remedy=f"choose from {list(READERS)}")
    # Counted apart: the share is of what lies here, whatever was read before.
    here = replace(reading, alignment=Alignment())
    try:
        yield from READERS[name].read(path, here)
    finally:
        reading.alignment.add(here.alignment)
    here.alignment.refuse_beyond(max_misaligned)


def format_of(path: Path) -> str:
    """The format that what lies at a path seems to have: the first of `READERS` that recognises it."""
    return next((name for name, each in READERS.items() if each.recognises(path)), "text")


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
