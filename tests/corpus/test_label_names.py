"""Numbers in a column of labels have the names that `datasets` keeps of its classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.errors import LongbioError

NAMES = ["well", "sick", "unsure"]
FEATURES = {"text": {"_type": "Value"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
SEVERAL = {"labels": {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"}}


def written(folder: Path, kind: str, *rows: dict[str, Any], features: dict[str, Any] = FEATURES) -> Path:
    file = folder / f"notes.{kind}"
    if kind == "parquet":
        table = pyarrow.Table.from_pylist([*rows])
        kept = json.dumps({"info": {"features": features}})
        pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": kept}), file)
        return file
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    if kind == "jsonl":
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    elif kind == "json":
        file.write_text(json.dumps([*rows]))
    else:
        file.write_text("\n".join(["text,label", *(f"{row['text']},{row['label']}" for row in rows)]))
    return file


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "json", "csv"])
def test_a_number_is_its_name(kind: str, tmp_path: Path) -> None:
    rows = ({"text": "fever", "label": 1}, {"text": "none", "label": 0}, {"text": "hm", "label": 2})
    found = read_documents(written(tmp_path, kind, *rows))
    assert [each.labels for each in found] == [("sick",), ("well",), ("unsure",)]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_several_numbers_are_their_names(kind: str, tmp_path: Path) -> None:
    rows = ({"text": "fever", "labels": [0, 2]}, {"text": "none", "labels": []})
    found = read_documents(written(tmp_path, kind, *rows, features=SEVERAL))
    assert [each.labels for each in found] == [("well", "unsure"), ()]


def test_names_stay_and_numbers_as_pandas_writes_them_are_read(tmp_path: Path) -> None:
    rows = ({"text": "fever", "label": "sick"}, {"text": "none", "label": "1.0"}, {"text": "a", "label": "2"})
    found = read_documents(written(tmp_path, "csv", *rows))
    assert [each.labels for each in found] == [("sick",), ("sick",), ("unsure",)]


def test_without_a_class_there_is_no_label_and_it_is_counted(tmp_path: Path) -> None:
    """As `datasets` marks a test set whose labels aren't given out."""
    reading = Reading()
    rows = ({"text": "fever", "label": -1}, {"text": "none", "label": 1})
    found = read_documents(written(tmp_path, "jsonl", *rows), reading=reading)
    assert [each.labels for each in found] == [None, ("sick",)]
    assert reading.passed_over == {"row without a gold label": 1}


def test_a_number_beyond_the_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="class 3 is none of the 3 that have names"):
        read_documents(written(tmp_path, "jsonl", {"text": "fever", "label": 3}))


def test_numbers_without_names_stay(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text('{"text": "fever", "label": 1}\n')
    assert read_documents(file)[0].labels == ("1",)
