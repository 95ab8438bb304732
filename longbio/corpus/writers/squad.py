"""SQuAD's predictions: `predictions.json`, as the official evaluation script takes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from longbio.corpus.records import Document
from longbio.errors import LongbioError

FILE = "predictions.json"


def write(documents: Iterable[Document], folder: Path) -> None:
    """Writes the first answer to each question, `{"<question id>": "<text>"}`; "" where there is none. Raises
    LongbioError where a question's id is there twice."""
    folder.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
        file.write("{")
        for document in documents:
            for question in document.questions:
                if question.id in seen:
                    raise LongbioError(
                        f"the question id {question.id!r} is there twice",
                        where=document.id,
                        remedy="give every question an id of its own",
                    )
                start, end = question.answers[0] if question.answers else (0, 0)
                pair = json.dumps({question.id: document.text[start:end]}, ensure_ascii=False)
                file.write(("," if seen else "") + "\n" + pair[1:-1])
                seen.add(question.id)
        file.write("\n}\n")
