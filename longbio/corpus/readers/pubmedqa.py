"""PubMedQA: questions that an abstract answers with yes, no or maybe.

    {"21645374": {"QUESTION": "...", "CONTEXTS": ["...", "..."], "final_decision": "yes"}}

The text is the contexts with a line feed between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from longbio.corpus.json_objects import member, optional, parse_file
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.errors import LongbioError

CONTEXTS = re.compile(r'"CONTEXTS"\s*:\s*\[')
"""Begins the abstracts of such a file."""


def read(files: Iterable[Path], reading: Reading) -> Iterator[Document]:
    """A document of each abstract: the question is its query, the decision its label."""
    for file in files:
        for number, (name, abstract) in enumerate(parse_file(file, reading.encoding).items(), start=1):
            where = f"{file}, abstract {number}"
            if not isinstance(abstract, dict):
                raise LongbioError("this is no object", where=where)
            contexts = member(abstract, "CONTEXTS", list, where)
            if not all(isinstance(context, str) for context in contexts):
                raise LongbioError("'CONTEXTS' is no list of texts", where=where)
            query = member(abstract, "QUESTION", str, where)
            decision = optional(abstract, "final_decision", str, where)
            labels = None if decision is None else (decision,)
            yield Document(name, "\n".join(contexts), query=query, labels=labels)
