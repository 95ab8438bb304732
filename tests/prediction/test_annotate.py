"""Notes in, annotations out: offsets, formats, faults, kills."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longbio.corpus.readers import read_documents
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.work import Model

Reader = Callable[..., Model]


def write(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def notes_of(count: int) -> dict[str, str]:
    return {
        f"n{n:02}": "the patient, " * (n % 7) + f"drug {n % 10} and drug {n}.\n" * 3 for n in range(count)
    }


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def tree(out: Path) -> dict[str, bytes]:
    return {str(f.relative_to(out)): f.read_bytes() for f in sorted(out.rglob("*")) if f.is_file()}


def test_json_lines_are_documents_with_what_the_model_says(reader_of: Reader, tmp_path: Path) -> None:
    texts = notes_of(5) | {"empty": ""}
    model = reader_of("ner", "short")
    found = annotate(model, Notes(write(tmp_path / "in", texts)), tmp_path / "out")
    assert (found["notes"], found["failed"], found["finished_before"]) == (6, 0, False)

    documents = read_documents(tmp_path / "out" / "predictions.jsonl")
    assert {d.id: d.text for d in documents} == texts
    mentions = [[span.covered(d.text) for span in d.spans] for d in documents if d.text]
    assert mentions == [[f"drug {n % 10}", f"drug {n}"] * 3 for n in range(5)]
    assert found["found"] == 30

    rows = {row["id"]: row["prediction"] for row in lines(tmp_path / "out" / "predictions.jsonl")}
    assert rows["empty"] == {
        "model": found["model"][:16],
        "task": "ner",
        "temperature": 1.0,
        "windows": 1,
        "tokens": 0,
        "unread_tokens": 0,
        "probabilities": [],
    }
    assert len(rows["n03"]["probabilities"]) == 6
    assert all(0.5 < each < 1 for each in rows["n03"]["probabilities"])
