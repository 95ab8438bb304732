"""Readers of corpora: one module a format, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from longbio.corpus.alignment import MAX_MISALIGNED, Alignment
from longbio.corpus.readers import brat, iob, pubtator, text
from longbio.corpus.records import Document
from longbio.errors import LongbioError

# Each takes a path, counts the mentions that it checks, and returns documents sorted by id.
READERS: dict[str, Callable[[Path, Alignment], list[Document]]] = {
    "brat": brat.read,
    "iob": iob.read,
    "pubtator": pubtator.read,
    "text": text.read,
}


def read_documents(
    path: Path,
    format_name: str | None = None,
    *,
    alignment: Alignment | None = None,
    max_misaligned: float = MAX_MISALIGNED,
) -> list[Document]:
    """Reads notes, with their mentions where there are any.

    Args:
        path: a folder of `.txt` files, or one file.
        format_name: one of `READERS`; found when None: BRAT where an `.ann` stands beside the
            texts, PubTator and words with tags where a file begins so, plain text otherwise.
        alignment: counts the mentions that were checked, and those that were left out.
        max_misaligned: share of the mentions that may be left out.

    Returns:
        The documents, sorted by id.

    Raises:
        LongbioError: there is nothing to read at `path`, a file is broken, or more mentions than
            that aren't in their text as they say.
    """
    alignment = alignment or Alignment()
    name = format_name or format_of(path)
    if name not in READERS:
        raise LongbioError(f"there is no format {name!r}", where=path, remedy=f"choose from {list(READERS)}")
    documents = READERS[name](path, alignment)
    alignment.refuse_beyond(max_misaligned)
    return documents


def format_of(path: Path) -> str:
    """The format that what lies at a path seems to have."""
    if path.is_dir() and any(path.glob("*.ann")):
        return "brat"
    files = [path] if path.is_file() else sorted(path.glob("*"))
    texts = [file for file in files if file.suffix in (".txt", *iob.SUFFIXES) and file.is_file()]
    if texts and pubtator.is_pubtator(texts[0]):
        return "pubtator"
    return "iob" if texts and iob.is_iob(texts[0]) else "text"


def read_splits(folder: Path) -> dict[str, list[Document]]:
    """Reads a corpus that lies in subfolders, or files, `train`, `test` and, where there is one, `dev`.

    Args:
        folder: the folder that holds them.

    Returns:
        The documents of each split, sorted by id, under "train", "dev" and "test".

    Raises:
        LongbioError: `train` or `test` is missing, or a file is broken.
    """
    found = {split: _split(folder, split) for split in ("train", "dev", "test")}
    for split in ("train", "test"):
        if found[split] is None:
            raise LongbioError(
                f"the corpus has no {split!r} folder",
                where=folder,
                remedy="lay it out as train/, test/ and, if you have one, dev/; or as train.txt, ...",
            )
    return {split: read_documents(path) for split, path in found.items() if path is not None}


def _split(folder: Path, split: str) -> Path | None:
    paths = (folder / split, *(folder / f"{split}{suffix}" for suffix in (".txt", *iob.SUFFIXES)))
    return next((path for path in paths if path.is_dir() or path.is_file()), None)
