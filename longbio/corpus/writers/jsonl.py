"""longbio's own JSON lines: `documents.jsonl`, which holds all that the records do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError

FILE = "documents.jsonl"


def write(documents: Iterable[Document], folder: Path) -> None:
    """Writes documents, a line each, so that reading them gives them back; see the reader.

    Raises:
        LongbioError: a relation or an attribute is of a mention that its document doesn't have, or a mention
            or answer ends after its text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(json.dumps(row_of(document), ensure_ascii=False, allow_nan=False) + "\n")


def row_of(document: Document) -> dict[str, Any]:
    """A document as its line holds it; raises as `write`."""
    text, number_of = document.text, {span: number for number, span in enumerate(document.spans)}
    ends = [span.end_char for span in document.spans]
    ends += [end for question in document.questions for _, end in question.answers]
    if max(ends, default=0) > len(text):
        raise LongbioError("a mention or an answer ends after the text", where=document.id)

    def number(span: Span) -> int:
        if span not in number_of:
            raise LongbioError(
                "a relation or an attribute is of a mention that isn't the document's", where=document.id
            )
        return number_of[span]

    return {
        "id": document.id,
        "text": text,
        "spans": [
            {"fragments": span.fragments, "label": span.label, "text": span.text_in(text)}
            for span in document.spans
        ],
        "units": document.units,
        "relations": [
            {"label": relation.label, "head": number(relation.head), "tail": number(relation.tail)}
            for relation in document.relations
        ],
        "attributes": [
            {"span": number(said.span), "name": said.name, "value": said.value}
            for said in document.attributes
        ],
        "questions": [
            {
                "id": question.id,
                "text": question.text,
                "answers": [
                    {"fragment": (start, end), "text": text[start:end]} for start, end in question.answers
                ],
            }
            for question in document.questions
        ],
        "query": document.query,
        "labels": document.labels,
        "score": document.score,
        "group": document.group,
    }
