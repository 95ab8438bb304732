"""Readers of corpora: one module a format, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from longbio.corpus.readers import brat, text
from longbio.corpus.records import Document
from longbio.errors import LongbioError

# Each takes a path and returns its documents, sorted by id.
READERS: dict[str, Callable[[Path], list[Document]]] = {
    "brat": brat.read,
    "text": text.read,
}


def read_documents(path: Path) -> list[Document]:
    """Reads notes, with their mentions where there are any.

    Args:
        path: a folder of `.txt` files, BRAT where an `.ann` stands beside them and plain text
            otherwise; or one `.txt` file, read as plain text.

    Returns:
        The documents, sorted by id.

    Raises:
        LongbioError: there is nothing to read at `path`, or a file is broken.
    """
    is_brat = path.is_dir() and any(path.glob("*.ann"))
    return READERS["brat" if is_brat else "text"](path)


def read_splits(folder: Path) -> dict[str, list[Document]]:
    """Reads a corpus that lies in subfolders `train`, `test` and, where there is one, `dev`.

    Args:
        folder: the folder that holds them.

    Returns:
        The documents of each split, sorted by id, under "train", "dev" and "test".

    Raises:
        LongbioError: `train` or `test` is missing, or a file is broken.
    """
    for split in ("train", "test"):
        if not (folder / split).is_dir():
            raise LongbioError(
                f"the corpus has no {split!r} folder",
                where=folder,
                remedy="lay it out as train/, test/ and, if you have one, dev/",
            )

    splits = [split for split in ("train", "dev", "test") if (folder / split).is_dir()]
    return {split: read_documents(folder / split) for split in splits}
