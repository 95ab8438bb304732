"""What longbio makes of a corpus, for people: everything is counted, and no word of a text is shown."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_readers.py"
TEXT = "took 5 mg of secretdrug and slept"
ANN = "T1\tDrug 13 23\tsecretdrug\nT2\tDose 5 9\t5 mg\nT3\tDrug 0 4\twrongword\nR1\tOf Arg1:T2 Arg2:T1\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_readers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_readers"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        (tmp_path / split / "deep").mkdir(parents=True)
        for folder in (tmp_path / split, tmp_path / split / "deep"):
            (folder / "a.TXT").write_text(TEXT)
            (folder / "a.ann").write_text(ANN)
        (tmp_path / split / "a.pdf").write_text("x")
    return tmp_path


def said(
    script: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0
) -> dict[str, list[str]]:
    """The lines that were printed, by their headings; those of places under ''."""
    assert script.main([str(each) for each in arguments]) == code
    out = capsys.readouterr().out
    assert all(len(line) < 320 for line in out.splitlines())
    assert "secretdrug" not in out
    assert "wrongword" not in out
    lines: dict[str, list[str]] = {}
    for line in out.splitlines():
        heading = line[:16].strip() if line.startswith("  ") else ""
        lines.setdefault(heading, []).append(line[17:] if heading else line)
    return lines


def test_splits_are_read_one_by_one(script, corpus, capsys, tiny_bert_folder) -> None:
    lines = said(script, capsys, corpus, "--tokenizer", tiny_bert_folder)
    assert lines[""] == [f"{corpus / split}: looks like brat" for split in ("train", "test")]
    assert lines["documents"] == ["2", "2"]
    assert lines["characters"] == ["66; the longest 33; 0 without text"] * 2
    assert lines["mentions"] == ["4: Dose 2, Drug 2; 0 discontinuous"] * 2
    assert lines["relations"] == ["2: Of 2"] * 2
    assert (
        lines["checked"] == ["6 against their texts, 2 left out (33.33%): commands refuse more than 1%"] * 2
    )
    assert len(lines["left out"]) == 4
    assert f"{corpus / 'train' / 'a.ann'}, line 3" in lines["left out"][0]
    assert f"1 .pdf file (the first: {corpus / 'train' / 'a.pdf'})" in lines["passed over"]
    assert len(lines["tag ceiling"]) == 2
    assert all(line.startswith(f"{tiny_bert_folder}: ") for line in lines["tag ceiling"])


def test_it_reads_as_it_is_told(script, corpus, capsys) -> None:
    lines = said(script, capsys, corpus / "test", "--format", "text")
    assert lines[""] == [f"{corpus / 'test'}: looks like brat, read as text"]
    assert lines["documents"] == ["2"]
    assert "mentions" not in lines
    assert any(line.startswith("2 .ann file") for line in lines["passed over"])


def test_labels_questions_and_groups_are_counted(script, tmp_path, capsys) -> None:
    rows = [f"{n},{TEXT},{'well' if n else TEXT * 3},{n // 2}" for n in range(4)]
    (tmp_path / "a.csv").write_text("id,text,label,subject_id\n" + "\n".join(rows) + "\n")
    lines = said(script, capsys, tmp_path)
    assert lines["documents"] == ["4, of 2 groups (patients)"]
    assert lines["labels"] == ["4: well 3, (a name of 99 characters) 1"]
    squad = (
        '{"data": [{"paragraphs": [{"context": "secretdrug", "qas": [{"id": "1", "question": "?", "answers":'
        ' [{"text": "secretdrug", "answer_start": 0}]}, {"id": "2", "question": "?", "answers": []}]}]}]}'
    )
    (tmp_path / "a.json").write_text(squad)
    lines = said(script, capsys, tmp_path / "a.json")
    assert lines["questions"] == ["2 with 1 answers, 1 without one"]


def test_what_cannot_be_read_is_told_and_the_rest_is_read(script, tmp_path, capsys) -> None:
    (tmp_path / "a.txt").write_bytes("secretdrug – 5 mg".encode("cp1252"))
    (tmp_path / "b.txt").write_text(TEXT)
    lines = said(script, capsys, tmp_path, code=1)
    assert lines["documents"] == ["1"]
    assert len(lines["can't be read"]) == 1
    assert "cp1252" in lines["can't be read"][0]
    lines = said(script, capsys, tmp_path, "--encoding", "latin-1")
    assert lines["documents"] == ["2"]
    assert any("cp1252 read as latin-1" in line for line in lines["note"])
    assert said(script, capsys, tmp_path / "no such", code=1)["documents"] == ["0"]


def test_many_names_are_not_all_shown(script, capsys, tmp_path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"x,label {n:02}\n" for n in range(30)))
    (line,) = said(script, capsys, tmp_path)["labels"]
    assert line.startswith("30: label 00 1, label 01 1, ")
    assert line.endswith(", and 18 more")
