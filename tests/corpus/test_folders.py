"""What of a folder is read: its subfolders, endings in any case, compressed files; and what isn't."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow
import pytest

from longbio.corpus.readers import READERS, format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Span
from longbio.corpus.texts import count_passed_over, read_texts
from longbio.errors import LongbioError
from tests.corpus.test_encodings import FILES

FEVER = Document("a", "fever", (Span.of(0, 5, "Sign"),))
ANN = "T1\tSign 0 5\tfever\n"


def laid(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    return folder


def zstd(content: bytes) -> bytes:
    compressed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
    return compressed


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", [".gz", ".zst", ".GZ"])
def test_every_text_format_is_read_compressed(name: str, ending: str, tmp_path: Path) -> None:
    compress = zstd if ending == ".zst" else gzip.compress
    format_name, files = name.split()[0], FILES[name]
    plain, folder = laid(tmp_path / "plain", files), tmp_path / "compressed"
    folder.mkdir()
    for file, content in files.items():
        (folder / (file + ending)).write_bytes(compress(content.encode()))
    assert format_of(folder) == format_name
    reading = Reading()
    assert read_documents(folder, reading=reading) == read_documents(plain, format_name)
    assert not [what for what in reading.passed_over if what.endswith("file")]


def test_xml_of_bioc_is_read_compressed(tmp_path: Path) -> None:
    content = (
        "<collection><source/><date/><key/><document><id>7</id><passage><offset>0</offset><text>x</text>"
        "</passage></document></collection>"
    )
    (tmp_path / "a.XML.gz").write_bytes(gzip.compress(content.encode()))
    assert read_documents(tmp_path) == [Document("7", "x")]


@pytest.mark.parametrize("name", FILES)
def test_endings_may_have_any_case(name: str, tmp_path: Path) -> None:
    format_name, files = name.split()[0], FILES[name]
    plain = laid(tmp_path / "plain", files)
    shouted = {f"{Path(file).stem}{Path(file).suffix.upper()}": content for file, content in files.items()}
    folder = laid(tmp_path / "shouted", shouted)
    assert format_of(folder) == format_name
    assert read_documents(folder) == read_documents(plain, format_name)


def test_a_damaged_compression_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"fever " * 1000)[:40])
    with pytest.raises(LongbioError, match=r"a\.txt\.gz: the file can't be read"):
        read_documents(tmp_path, "text")


def test_two_files_of_one_name_are_not_taken_for_one(tmp_path: Path) -> None:
    laid(tmp_path, {"a.txt": "fever", "a.TXT": "other", "a.ann": ANN})
    with pytest.raises(LongbioError, match="beside it has the same name"):
        read_documents(tmp_path)


def test_subfolders_are_read_and_name_their_documents(tmp_path: Path) -> None:
    laid(tmp_path, {".git/a.txt": "no", "__MACOSX/a.txt": "no"})
    for folder in (tmp_path, tmp_path / "p10" / "x", tmp_path / "p10" / "y"):
        laid(folder, {"a.txt": "fever", "a.ann": ANN})
    reading = Reading()
    read = read_documents(tmp_path, reading=reading)
    assert [document.id for document in read] == ["a", "p10/x/a", "p10/y/a"]
    assert {(document.text, document.spans) for document in read} == {("fever", FEVER.spans)}
    assert not reading.passed_over


def test_a_format_is_recognised_in_subfolders(tmp_path: Path) -> None:
    laid(tmp_path, {"2011/a.txt": "well", "2012/a.txt": "fever", "2012/a.ann": ANN})
    assert format_of(tmp_path) == "brat"
    reading = Reading()
    assert [document.id for document in read_documents(tmp_path, reading=reading)] == ["2012/a"]
    assert reading.passed_over == {".txt file": 1}
    assert reading.passed_over.places == {".txt file": str(tmp_path / "2011" / "a.txt")}
    assert [document.id for document in read_documents(tmp_path, "brat")] == ["2011/a", "2012/a"]


def test_the_same_texts_are_read_for_pretraining(tmp_path: Path) -> None:
    laid(tmp_path, {"a.txt": "1", "x/b.TXT": "2", "x/.c.txt": "3", ".h/d.txt": "4", "__MACOSX/e.txt": "5"})
    (tmp_path / "README.txt").write_text("6")
    (tmp_path / "z.txt.gz").write_bytes(gzip.compress(b"7"))
    texts = sorted(text.text for text in read_texts([tmp_path]))
    assert texts == ["1", "2", "7"] == sorted(document.text for document in read_documents(tmp_path))


def test_what_has_no_format_is_counted_and_named(tmp_path: Path) -> None:
    names = ["b.pipe", "a.pipe", "a.rtf", "a.docx", "x/a.PDF", "a.md", "LICENSE", "a.tar.gz", "x/a.csv"]
    laid(tmp_path, {"note.txt": "well", **dict.fromkeys(names, "z"), ".hidden": "z"})
    reading = Reading()
    assert [document.text for document in read_documents(tmp_path, reading=reading)] == ["well"]
    kinds = (".pipe", ".rtf", ".docx", ".pdf", ".md", ".tar", ".csv")
    assert reading.passed_over == {"file without ending": 1} | {f"{kind} file": 1 for kind in kinds} | {
        ".pipe file": 2
    }
    assert reading.passed_over.places[".pipe file"] == str(tmp_path / "a.pipe")
    assert reading.passed_over.places[".pdf file"] == str(tmp_path / "x" / "a.PDF")


def test_linked_folders_are_counted(tmp_path: Path) -> None:
    folder = laid(tmp_path / "notes", {"a.txt": "well"})
    (folder / "more").symlink_to(laid(tmp_path / "elsewhere", {"b.txt": "x"}), target_is_directory=True)
    reading = Reading()
    assert [document.id for document in read_documents(folder, reading=reading)] == ["a"]
    assert reading.passed_over == {"linked folder": 1}


@pytest.mark.parametrize("format_name", [None, *READERS])
def test_an_empty_folder_is_called_empty(format_name: str | None, tmp_path: Path) -> None:
    (tmp_path / "within").mkdir()
    (tmp_path / ".hidden.txt").write_text("x")
    with pytest.raises(LongbioError, match="the folder is empty"):
        read_documents(tmp_path, format_name)
    with pytest.raises(LongbioError, match="the folder is empty"):
        list(read_texts([tmp_path]))


@pytest.mark.parametrize("format_name", [None, "text"])
def test_splits_are_not_read_as_one(format_name: str | None, tmp_path: Path) -> None:
    laid(tmp_path, {"train/a.txt": "1", "dev/a.txt": "2", "test/a.txt": "3"})
    with pytest.raises(LongbioError, match="the folder holds splits: train, dev, test; name one") as caught:
        read_documents(tmp_path, format_name)
    assert str(tmp_path / "test") in str(caught.value)
    assert read_documents(tmp_path / "test", format_name) == [Document("a", "3")]


def test_splits_beside_notes_are_passed_over(tmp_path: Path) -> None:
    laid(tmp_path, {"a.txt": "1", "train/a.txt": "1", "train/deep/a.txt": "1", "test/a.txt": "3"})
    reading = Reading()
    assert read_documents(tmp_path, reading=reading) == [Document("a", "1")]
    assert reading.passed_over == {".txt file": 3}


@pytest.mark.parametrize(("encoding", "said"), [("latin-1", 1), ("cp1252", 0)])
def test_cp1252_that_is_read_as_latin_1_is_said_once(encoding: str, said: int, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_bytes("5 mg – “well”".encode("cp1252"))
    reading = Reading(encoding)
    read_documents(tmp_path, reading=reading)
    told = [line for line in reading.remarks.lines() if "cp1252" in line]
    assert len(told) == said
    assert all(line.startswith("2 texts ") and f"{tmp_path}, document a" in line for line in told)


def test_the_message_about_another_byte_recommends_cp1252(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("5 mg – “well”".encode("cp1252"))
    with pytest.raises(LongbioError, match=r"byte 5 is not UTF-8.*cp1252") as caught:
        read_documents(tmp_path)
    assert "name its encoding: cp1252" in str(caught.value)
    (tmp_path / "b.jsonl").write_bytes(json.dumps({"text": "–"}, ensure_ascii=False).encode("cp1252"))
    with pytest.raises(LongbioError, match="cp1252"):
        read_documents(tmp_path / "b.jsonl")


def test_what_is_not_read_for_pretraining_is_counted(tmp_path: Path) -> None:
    laid(tmp_path, {"a.txt": "1", "x/b.pdf": "2", "README.txt": "3", ".c.pdf": "4"})
    over = count_passed_over([tmp_path, tmp_path / "a.txt"])
    assert over == {".pdf file": 1, ".txt file": 1}
    assert over.places[".pdf file"] == str(tmp_path / "x" / "b.pdf")
