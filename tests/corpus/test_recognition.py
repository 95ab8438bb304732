"""Which format a folder is read as, and that nothing in it goes missing in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.corpus.files import SNIFFED_FILES
from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span
from longbio.errors import LongbioError

CSV, IOB = "id,text\n1,well\n", "no\tO\nfever\tB-Sign\n"
PUBTATOR = "7|t|Tarva\n7|a|\n"
XML = "<{0}><TEXT><![CDATA[x]]></TEXT><TAGS></TAGS></{0}>"


def laid(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content, "utf-8")
    return folder


def texts_and_passed_over(folder: Path) -> tuple[list[str], dict[str, int]]:
    reading = Reading()
    return [document.text for document in read_documents(folder, reading=reading)], reading.passed_over


ABOUT = ["README.txt", "Readme_first.txt", "LICENSE.txt", "LICENCE-MIT.txt", "CHANGELOG.txt", "COPYING.txt"]


@pytest.mark.parametrize("name", ABOUT)
@pytest.mark.parametrize(
    ("file", "content", "format_name", "text"),
    [
        ("NOTEEVENTS.csv", CSV, "table", "well"),
        ("train.tsv", IOB, "iob", "no fever"),
        ("notes.pubtator", PUBTATOR, "pubtator", "Tarva\n"),
        ("note.txt", "well", "text", "well"),
        ("all.xml", XML.format("deIdi2b2"), "i2b2_2014", "x"),
    ],
    ids=["table", "iob", "pubtator", "text", "i2b2_2014"],
)
def test_what_tells_about_a_corpus_is_no_note_of_it(
    name: str, file: str, content: str, format_name: str, text: str, tmp_path: Path
) -> None:
    laid(tmp_path, {file: content, name: "All rights\nare reserved O\n"})
    assert format_of(tmp_path) == format_name
    assert texts_and_passed_over(tmp_path) == ([text], {".txt file": 1})


def test_what_tells_about_a_corpus_is_none_of_brat_even_with_annotations(tmp_path: Path) -> None:
    laid(tmp_path, {"a.txt": "well", "a.ann": "", "README.txt": "read", "README.ann": ""})
    assert texts_and_passed_over(tmp_path) == (["well"], {".txt file": 1, ".ann file": 1})


def test_notes_may_be_called_alike_and_a_file_alone_is_read_whatever_its_name(tmp_path: Path) -> None:
    laid(tmp_path, {"readmission.txt": "a", "licensed.txt": "b", "README.txt": "c"})
    assert [document.id for document in read_documents(tmp_path)] == ["licensed", "readmission"]
    assert read_documents(tmp_path / "README.txt") == [Document("README", "c")]


QA = '{"data": [{"paragraphs": [{"context": %s, "qas": []}]}]}'


@pytest.mark.parametrize(
    ("first", "second", "format_name"),
    [
        ("a.xml", XML.format("ClinicalNarrativeTemporalAnnotation"), "i2b2_2012"),
        ("a.xml", XML.format("deIdi2b2"), "i2b2_2014"),
        ("a.xml", '<RECORD ID="1"><TEXT><PHI TYPE="ID">7</PHI></TEXT></RECORD>', "i2b2_2006"),
        ("a.xml", "<collection></collection>", "bioc"),
        ("a.txt", PUBTATOR, "pubtator"),
        ("a.tsv", IOB, "iob"),
        ("a.json", QA % '["x"]', "emrqa"),
        ("a.json", QA % '"x"', "squad"),
        ("a.json", '{"1": {"QUESTION": "?", "CONTEXTS": ["x"]}}', "pubmedqa"),
        ("a.tsv", "index\tsentence\tlabel\n0\tx\t1\n", "blurb"),
        ("a.jsonl", '{"id": "1", "text": "x", "spans": []}\n', "jsonl"),
    ],
    ids=lambda value: value if value.isidentifier() else "",
)
def test_any_of_a_folders_files_tells_its_format(
    first: str, second: str, format_name: str, tmp_path: Path
) -> None:
    laid(tmp_path, {first: "{}\n", f"b{Path(first).suffix}": second})
    assert format_of(tmp_path) == format_name


def test_of_many_notes_only_the_first_are_looked_at(tmp_path: Path) -> None:
    laid(tmp_path, {f"{number:03}.txt": "well" for number in range(SNIFFED_FILES)} | {"z.txt": PUBTATOR})
    assert format_of(tmp_path) == "text"
    (tmp_path / "000.txt").unlink()
    assert format_of(tmp_path) == "pubtator"


def test_files_that_are_not_read_are_counted_by_kind(tmp_path: Path) -> None:
    names = ["a.csv", "b.CSV", "c.csv.gz", "d.tsv", "e.jsonl", "f.json", "g.xml", "h.parquet", "i.conll"]
    laid(tmp_path, {"note.txt": "well", **dict.fromkeys([*names, "x.md", "LICENSE", "._y.csv"], "z")})
    (tmp_path / "folder.csv").mkdir()
    kinds = {".tsv", ".jsonl", ".json", ".xml", ".parquet", ".conll"}
    counts = {".csv file": 3, ".md file": 1, "file without ending": 1} | {f"{kind} file": 1 for kind in kinds}
    assert texts_and_passed_over(tmp_path) == (["well"], counts)
    assert texts_and_passed_over(tmp_path / "note.txt") == (["well"], {})


def test_hidden_files_are_not_read(tmp_path: Path) -> None:
    """macOS leaves one beside each file that it copies to another disk."""
    laid(tmp_path, {"a.txt": "fever", "a.ann": "T1\tSign 0 5\tfever\n"})
    for name in ("._a.txt", "._a.ann", "._a.csv"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7\xff")
    assert read_documents(tmp_path) == [Document("a", "fever", (Span.of(0, 5, "Sign"),))]
    (tmp_path / "a.ann").unlink()
    assert read_documents(tmp_path) == [Document("a", "fever")]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.csv").write_text(CSV)
    assert read_documents(tmp_path) == [Document("1", "well")]


def test_one_line_is_not_enough_to_be_words_with_tags(tmp_path: Path) -> None:
    laid(tmp_path, {"a.txt": "Blood type O\n", "b.txt": "No fever today.\n"})
    assert format_of(tmp_path) == "text"


@pytest.mark.parametrize("name", [".", "notes.pdf", "a.json"])
def test_what_is_no_format_is_said_with_the_formats(name: str, tmp_path: Path) -> None:
    laid(tmp_path, {"notes.pdf": "x", "a.json": "{}"})
    with pytest.raises(LongbioError, match=r"no format was recognised here; name it \(--format") as caught:
        read_documents(tmp_path / name)
    assert "brat, i2b2_2010" in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.txt"])
def test_what_is_not_there_is_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="there is no such file or folder"):
        read_documents(tmp_path / name)


def test_columns_of_what_is_no_table_are_refused(tmp_path: Path) -> None:
    file = laid(tmp_path, {"a.tsv": "index\tsentence\tlabel\n0\tx\t1\n"}) / "a.tsv"
    reading = Reading(columns={"group": "index"})
    with pytest.raises(LongbioError, match="read as blurb, which has none; name the format table"):
        read_documents(file, reading=reading)
    assert read_documents(file, "table", reading=reading)[0].group == "0"


def test_no_two_documents_have_one_id(tmp_path: Path) -> None:
    laid(tmp_path, {"a.csv": "id,text\n" + "".join(f"{name},x\n" for name in ("7.2", "7", "7", "7", "8"))})
    assert [document.id for document in read_documents(tmp_path)] == ["7.2", "7", "7.2.2", "7.3", "8"]


def test_no_two_files_of_one_stem_give_documents_of_one_id(tmp_path: Path) -> None:
    laid(tmp_path, {"a.tsv": IOB, "a.txt": IOB})
    assert [document.id for document in read_documents(tmp_path)] == ["a-000001", "a-000001.2"]
