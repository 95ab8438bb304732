"""Labels as tables spell them: several in a cell, a column each, one class under two spellings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from longbio.corpus.labels import respell_labels, separator_of
from longbio.corpus.readers import read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.errors import LongbioError
from longbio.finetuning.data import Splits, read_data
from longbio.finetuning.settings import DataSettings

Labels = list[tuple[str, ...] | None]


def written(file: Path, *rows: str, header: str = "id\ttext\tlabel") -> Path:
    file.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return file


def splits(folder: Path, train: list[str], test: list[str], **settings: Any) -> Splits:
    for name, labels in (("train", train), ("dev", train), ("test", test)):
        written(folder / f"{name}.tsv", *(f"{n}\tnote\t{label}" for n, label in enumerate(labels)))
    return read_data(DataSettings(path=folder, **settings))


def labels_of(documents: Any) -> Labels:
    return [document.labels for document in documents]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("['a', 'b c']", ("a", "b c")),
        ('["a", "it\'s"]', ("a", "it's")),
        ("['a' 'b']", ("a", "b")),
        ("('a',)", ("a",)),
        ("{'a', 'b'}", ("a", "b")),
        ("[a, b]", ("a", "b")),
        ("[0, 1]", ("0", "1")),
        ("[]", ()),
        ("[sic", ("[sic",)),
        ("(a)", ("(a)",)),
        ("['a'] or b", ("['a'] or b",)),
        ("a, b", ("a, b",)),
        ("", None),
    ],
)
def test_a_list_that_is_written_in_a_cell(cell: str, labels: Any, tmp_path: Path) -> None:
    assert labels_of(read_documents(written(tmp_path / "a.tsv", f"1\tx\t{cell}"), "table")) == [labels]


@pytest.mark.parametrize("separator", [";", "|", ","])
@pytest.mark.parametrize("space", ["", " "])
def test_labels_of_a_cell_are_found_apart(separator: str, space: str, tmp_path: Path) -> None:
    both = f"cough{separator}{space}fever"
    data = splits(tmp_path, ["cough", "fever", both, ""], [both, "fever"])
    assert labels_of(data.train) == [("cough",), ("fever",), ("cough", "fever"), ()]
    assert labels_of(data.test) == [("cough", "fever"), ("fever",)]
    assert data.described["labels_divided_at"] == separator
    assert f"divided at {separator!r}" in data.summary()


def test_a_separator_is_named_or_ruled_out(tmp_path: Path) -> None:
    data = splits(tmp_path, ["a / b", "c"], ["a"], label_separator="/")
    assert labels_of(data.train) == [("a", "b"), ("c",)]
    data = splits(tmp_path, ["a;b", "a", "b"], ["a"], label_separator="")
    assert labels_of(data.train) == [("a;b",), ("a",), ("b",)]


@pytest.mark.parametrize(
    "names",
    [
        ["increased, significantly", "decreased, significantly", "no difference"],
        ["stroke; left", "cancer; right"],
        ["a", "b"],
        ["x|y"],
        [],
    ],
)
def test_names_that_hold_a_separator_stay_whole(names: list[str]) -> None:
    assert separator_of([Document(str(n), "x", labels=(name,)) for n, name in enumerate(names)]) is None


@pytest.mark.parametrize(("separator", "found"), [(";", ";"), ("|", "|"), (",", None)])
def test_labels_that_stand_alone_nowhere_are_fewer_than_the_cells(separator: str, found: str | None) -> None:
    """A comma may stand in a class' own name; the others hardly do."""
    cells = [separator.join(cell) for cell in ("ab", "bc", "ac", "abc")]
    assert separator_of([Document(cell, "x", labels=(cell,)) for cell in cells]) == found


def test_documents_without_labels_dont_become_some_with_none(tmp_path: Path) -> None:
    data = splits(tmp_path, ["a;b", "a", "b"], ["", ""])
    assert labels_of(data.test) == [None, None]


def test_one_column_a_label(tmp_path: Path) -> None:
    header = "id\ttext\tCough\tFever\tRash"
    file = written(tmp_path / "a.tsv", "1\tx\t1\t0\t", "2\tx\t1.0\tTrue\t-1", "3\tx\t\t\tno", header=header)
    reading = Reading(columns={"labels": "cough, Fever,Rash"})
    documents = read_documents(file, reading=reading)
    assert labels_of(documents) == [("cough",), ("cough", "Fever"), ()]
    assert reading.passed_over == {"label that is uncertain (-1)": 1}
    with pytest.raises(LongbioError, match="there is no column 'Pain'"):
        read_documents(file, reading=Reading(columns={"labels": "Cough,Pain"}))
    with pytest.raises(LongbioError, match="line 2: the cell of 'text' is neither 1 nor 0"):
        read_documents(file, reading=Reading(columns={"labels": "Cough,text"}))
    table = pyarrow.table({"text": ["x"], "Cough": [1.0], "Fever": [False]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    reading = Reading(columns={"labels": "Cough,Fever"})
    assert labels_of(read_documents(tmp_path / "a.parquet", reading=reading)) == [("Cough",)]


def test_one_value_under_two_spellings_is_one_class(tmp_path: Path) -> None:
    data = splits(tmp_path, ["1.0", "0", "1", "0.0"], ["1", "0"])
    assert labels_of(data.train) == [("1",), ("0",), ("1",), ("0",)]
    assert labels_of(data.test) == [("1",), ("0",)]
    data = splits(tmp_path, ["1", "0"], ["1.0", "0.0"])
    assert labels_of(data.test) == [("1",), ("0",)]


def test_codes_with_a_point_stay_what_they_are(tmp_path: Path) -> None:
    """250 and 250.0 are two diagnoses where 250.1 is a third."""
    data = splits(tmp_path, ["250", "250.0", "250.1"], ["250.0"])
    assert labels_of(data.train) == [("250",), ("250.0",), ("250.1",)]


def test_one_patient_under_two_spellings_is_one_group(tmp_path: Path) -> None:
    header = "id\ttext\tlabel\tsubject_id"
    for name, patient in (("train", "7.0"), ("dev", "8"), ("test", "7")):
        written(tmp_path / f"{name}.tsv", f"1.0\tx\ta\t{patient}", "2\tx\tb\t9.5", header=header)
    data = read_data(DataSettings(path=tmp_path))
    assert [(d.id, d.group) for d in data.train] == [("1", "7"), ("2", "9.5")]
    assert data.described["groups_in_two_splits"] == 2


def test_labels_of_a_file_alone_are_spelled_as_the_classes_are() -> None:
    def spelled(label: str, *classes: str) -> Any:
        return respell_labels([Document("a", "x", labels=(label,))], classes)[0].labels

    assert spelled("1.0", "0", "1") == ("1",)
    assert spelled("1", "0.0", "1.0") == ("1.0",)
    assert spelled("250.0", "250", "250.0") == ("250.0",)
    assert spelled("a; b", "a", "b") == ("a", "b")
    assert spelled("a; c", "a", "b") == ("a; c",)
    assert spelled("a;b", "a;b", "a") == ("a;b",)
