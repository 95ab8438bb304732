"""PubMedQA: questions that an abstract answers with yes, no or maybe.

    {"21645374": {"QUESTION": "...", "CONTEXTS": ["...", "..."], "final_decision": "yes"}}

The text is the contexts with a line feed between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.objects import member, parse
from longbio.corpus.reading import Reading, beginnings_of, files_of
from longbio.corpus.records import Document
from longbio.corpus.rows import read_lines
from longbio.errors import LongbioError

SUFFIXES = (".json",)
CONTEXTS = re.compile(r'"CONTEXTS"\s*:\s*\[')


def recognises(path: Path) -> bool:
    """Whether a file, or one of a folder's first, begins with contexts."""
    return any(CONTEXTS.search(beginning) for beginning in beginnings_of(path, SUFFIXES))


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """Reads a file, or every `.json` file of a folder.

    Args:
        path: the file or folder.
        reading: its encoding.

    Yields:
        A document of each abstract: the question is its query, the decision its label.

    Raises:
        LongbioError: a file is no such JSON. Names the abstract by its number, never the text.
    """
    for file in files_of(path, SUFFIXES):
        content = parse("".join(read_lines(file, reading.encoding)), "the file", file)
        for number, (name, abstract) in enumerate(content.items(), start=1):
            where = f"{file}, abstract {number}"
            if not isinstance(abstract, dict):
                raise LongbioError("this is no object", where=where)
            contexts = member(abstract, "CONTEXTS", list, where)
            if not all(isinstance(context, str) for context in contexts):
                raise LongbioError("'CONTEXTS' is no list of texts", where=where)
            query = member(abstract, "QUESTION", str, where)
            decision = abstract.get("final_decision")
            labels = None if decision is None else (member(abstract, "final_decision", str, where),)
            yield Document(name, "\n".join(contexts), query=query, labels=labels)
