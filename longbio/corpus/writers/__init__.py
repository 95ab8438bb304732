"""Writers of corpora: one module a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from longbio.corpus.records import Document
from longbio.corpus.writers import bioc, brat, conll, jsonl, squad

# Each takes documents and the folder they go to.
WRITERS: dict[str, Callable[[Iterable[Document], Path], None]] = {
    "brat": brat.write,
    "bioc": bioc.write,
    "conll": conll.write,
    "jsonl": jsonl.write,
    "squad": squad.write,
}
