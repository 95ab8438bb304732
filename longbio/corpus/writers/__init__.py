"""Writers of corpora: one module a format.

A format's `write` takes documents, one at a time, and the folder they go to, which is made if it isn't there;
a file of the same name is replaced. Spans, relations and attributes must be sorted and unique to be read back
equal. It raises LongbioError where the format can't hold something of a document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from longbio.corpus.records import Document
from longbio.corpus.writers import bioc, brat, conll, jsonl, squad

WRITERS: dict[str, Callable[[Iterable[Document], Path], None]] = {
    "brat": brat.write,
    "bioc": bioc.write,
    "conll": conll.write,
    "jsonl": jsonl.write,
    "squad": squad.write,
}
