"""A corpus that lies in its splits, for tests that read all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longbio.corpus.readers import read_documents, split_of
from longbio.corpus.records import Document


def read_splits(folder: Path, **how: Any) -> dict[str, list[Document]]:
    """The documents of `train`, `dev` and `test`, as many of them as there are."""
    found = {split: split_of(folder, split) for split in ("train", "dev", "test")}
    return {split: read_documents(path, **how) for split, path in found.items() if path is not None}
