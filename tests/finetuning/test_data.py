"""Splits: found, adapted, held out by whole groups, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat
from longbio.errors import LongbioError
from longbio.finetuning.data import digest, hold_out, read_data
from longbio.finetuning.settings import DataSettings


def table(folder: Path, split: str, count: int, patients: int = 1000) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{split}-{n}\tnote {n}\tc{n % 2}\tp{n % patients}\n" for n in range(count)]
    (folder / f"{split}.tsv").write_text("id\ttext\tlabel\tsubject_id\n" + "".join(lines))


def of(path: Path, **changes: Any) -> DataSettings:
    return DataSettings(path=path, **changes)


def test_splits_are_found_by_their_names_in_a_folder_of_sets(tmp_path: Path) -> None:
    for split, count in (("train", 5), ("dev", 3), ("test", 2)):
        table(tmp_path / "Notes", split, count)
    for settings in (
        of(tmp_path / "Notes"),
        of(tmp_path, name="notes"),
        of(tmp_path / "Notes", name="notes"),
    ):
        data = read_data(settings)
        assert [len(data.train), len(data.dev), len(data.test)] == [5, 3, 2]
        assert data.format == "table"
        assert data.described["documents"] == {"train": 5, "dev": 3, "test": 2}
        assert not data.described["dev_is_held_out"]


def test_a_patient_stays_on_one_side_of_a_held_out_split(tmp_path: Path) -> None:
    table(tmp_path, "train", 60, patients=12)
    table(tmp_path, "test", 2)
    data = read_data(of(tmp_path, dev_share=0.25))
    assert data.described["dev_is_held_out"]
    patients = [{document.group for document in split} for split in (data.train, data.dev)]
    assert [len(groups) for groups in patients] == [9, 3]
    assert not patients[0] & patients[1]
    assert len(data.train) + len(data.dev) == 60
    again = read_data(of(tmp_path, dev_share=0.25))
    assert data.described == again.described


def test_something_is_always_held_out_and_order_is_kept() -> None:
    documents = [Document(str(number), "x") for number in range(4)]
    kept, held_out = hold_out(documents, 0.01)
    assert len(held_out) == 1
    assert [d.id for d in kept] == sorted(d.id for d in kept)


def test_a_group_of_all_documents_divides_nothing() -> None:
    """A table with one patient, SQuAD files with one title."""
    documents = [Document(str(number), "x", group="medication") for number in range(20)]
    kept, held_out = hold_out(documents, 0.1)
    assert [len(kept), len(held_out)] == [18, 2]
    two = [Document(str(number), "x", group="ab"[number % 2]) for number in range(4)]
    assert [len(part) for part in hold_out(two, 0.9)] == [2, 2]
    with pytest.raises(LongbioError, match="a single document can't be divided"):
        hold_out(documents[:1], 0.1)


def test_other_columns_and_files_of_ones_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("NOTE,KIND\nfever,x\npain,y\n")
    columns = {"text": "NOTE", "labels": "KIND"}
    settings = DataSettings(train=tmp_path / "a.csv", test=tmp_path / "b.csv", columns=columns)
    data = read_data(settings)
    assert [document.labels for document in data.test] == [("x",), ("y",)]
    assert [len(data.train), len(data.dev)] == [1, 1]


def test_amounts_are_limited_at_random_and_in_order(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        table(tmp_path, split, 50)
    data = read_data(of(tmp_path, train_documents=10, eval_documents=7))
    assert [len(data.train), len(data.dev), len(data.test)] == [10, 7, 7]
    numbers = [int(document.id.split("-")[1]) for document in data.train]
    assert numbers == sorted(numbers) != list(range(10))
    assert data.described["sha256"]["train"] == digest(data.train)


def test_mentions_of_one_type_are_each_there_once(tmp_path: Path) -> None:
    spans = (Span.of(0, 4, "DNA"), Span.of(0, 4, "RNA"), Span.of(5, 9, "protein"))
    for split in ("train", "test"):
        brat.write([Document(f"{split}-{n}", "p53a and BRCA", spans) for n in range(3)], tmp_path / split)
    data = read_data(of(tmp_path, one_type=True))
    assert data.test[0].spans == (Span.of(0, 4, "Entity"), Span.of(5, 9, "Entity"))


def test_a_share_of_the_questions(data_folder: Path) -> None:
    whole = read_data(of(data_folder / "covid_qa"))
    some = read_data(of(data_folder / "covid_qa", question_share=0.2))
    counts = [sum(len(d.questions) for d in data.train) for data in (whole, some)]
    assert counts[0] == 1417
    assert 0.15 < counts[1] / counts[0] < 0.25


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "no 'train' folder or file; add one, set data.train, or"),
        ({"name": "missing"}, "no 'train' folder or file"),
        ({"path": Path("nowhere")}, "no such folder; set data.path, or give --data"),
    ],
)
def test_what_is_missing_is_said(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=said):
        read_data(DataSettings(**({"path": tmp_path} | settings)))


def test_an_empty_split_is_said(tmp_path: Path) -> None:
    table(tmp_path, "train", 3)
    table(tmp_path, "test", 0)
    with pytest.raises(LongbioError, match="there is no document"):
        read_data(of(tmp_path))


def test_patients_in_two_splits_are_counted_and_other_names_of_dev_are_known(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        table(tmp_path, split, 6, patients=3 if split != "valid" else 2)
    data = read_data(of(tmp_path))
    assert not data.described["dev_is_held_out"]
    assert data.described["groups_in_two_splits"] == 3
    assert "3 groups (patients) are in two splits" in data.summary()


def test_misaligned_mentions_of_each_split_count_for_themselves(tmp_path: Path) -> None:
    """A clean training set doesn't hide a test set that is off."""
    for split, shift in (("train", 0), ("test", 1)):
        folder = tmp_path / split
        folder.mkdir()
        (folder / "a.txt").write_text("tarva " * 300)
        lines = [
            f"T{n}\tDrug {6 * n + shift} {6 * n + 5 + shift}\ttarva\n" for n in range(200 if not shift else 1)
        ]
        (folder / "a.ann").write_text("".join(lines))
    with pytest.raises(LongbioError, match="1 of 1 mentions"):
        read_data(of(tmp_path, dev=tmp_path / "train"))


def test_what_was_not_read_or_read_otherwise_is_told_and_kept_with_its_place(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        brat.write([Document("a", "é hip", (Span.of(2, 5, "Site"),))], tmp_path / split)
    file = tmp_path / "test" / "a.ann"
    file.write_text("T1\tSite 3 6\thip\n#1\tNote T1\tx\n")
    data = read_data(of(tmp_path))
    read_so = "documents whose offsets count bytes of UTF-8, and were read so"
    assert data.described["passed_over"] == {"notes": 1}
    assert data.described["passed_over_at"] == {"notes": f"{file}, line 2"}
    assert data.described["remarks"] == {read_so: 1}
    assert data.described["remarks_at"] == {read_so: str(file)}
    assert f"passed over: 1 notes (the first: {file}, line 2)" in data.summary()
    assert f"note: 1 {read_so} (the first: {file})" in data.summary()


def test_the_digest_is_of_all_that_is_known() -> None:
    one, other = Document("a", "x", labels=("y",)), Document("a", "x", labels=("z",))
    assert digest([one]) == digest([one]) != digest([other])


@pytest.mark.parametrize(
    ("name", "documents"),
    [
        ("NCBI-disease", (5424, 923, 940)),
        ("HoC", (1295, 186, 371)),
        ("BIOSSES", (64, 16, 20)),
        ("pubmedqa", (450, 50, 500)),
    ],
)
def test_a_folder_of_blurb_is_read_as_it_is(
    name: str, documents: tuple[int, int, int], data_folder: Path
) -> None:
    data = read_data(of(data_folder / "blurb", name=name))
    assert tuple(data.described["documents"].values()) == documents
