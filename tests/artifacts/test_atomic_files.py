from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from longbio.artifacts import atomic_files
from longbio.errors import LongbioError


def test_text_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("old")

    with path.open() as opened_before:
        atomic_files.write_text_atomically(path, "dose 5 µg\r\n")
        assert opened_before.read() == "old"

    assert path.read_bytes() == "dose 5 µg\r\n".encode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = tmp_path / "note.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(number, "no room")

    monkeypatch.setattr(atomic_files.os, "fsync", full)
    with pytest.raises(LongbioError, match=r"note\.txt: no space is left"):
        atomic_files.write_text_atomically(path, "new")

    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["note.txt"]


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic_files.write_text_atomically(tmp_path / "missing" / "note.txt", "text")


def test_a_damaged_archive_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    message = "[enforce fail at inline_container.cc:110] . file in archive is not in a subdirectory"
    with pytest.raises(RuntimeError, match="archive"), atomic_files.name_full_disk(tmp_path):
        raise RuntimeError(message)


def test_json_keeps_order_and_letters(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    value = {"z": 1, "a": ["µg", None, 0.5]}

    atomic_files.write_json(path, value)

    text = path.read_text(encoding="utf-8")
    assert text == '{\n  "z": 1,\n  "a": [\n    "µg",\n    null,\n    0.5\n  ]\n}\n'
    assert atomic_files.read_json(path) == value


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_what_json_lacks(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_files.write_json(tmp_path / "results.json", {"loss": number})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [(b'{\n"secret words": ', "line 2"), (b"", "line 1"), (b"\xff\xfe\x00", "not UTF-8")],
)
def test_damaged_json_is_named_and_not_quoted(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)

    with pytest.raises(LongbioError, match=what) as caught:
        atomic_files.read_json(path)

    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_missing_json(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="the file is missing"):
        atomic_files.read_json(tmp_path / "config.json")


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc" * 100_000)

    assert atomic_files.sha256_of(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_folder_hash_sees_contents_and_names_but_neither_order_nor_place(tmp_path: Path) -> None:
    def written(folder: str, **contents: str) -> list[Path]:
        paths = [tmp_path / folder / name for name in contents]
        (tmp_path / folder).mkdir()
        for path, content in zip(paths, contents.values(), strict=True):
            path.write_text(content)
        return paths

    original = written("original", a="1", b="2")
    digest = atomic_files.sha256_of_folder(original)

    assert atomic_files.sha256_of_folder(reversed(original)) == digest
    assert atomic_files.sha256_of_folder(written("moved", a="1", b="2")) == digest
    assert atomic_files.sha256_of_folder(written("changed", a="1", b="3")) != digest
    assert atomic_files.sha256_of_folder(written("swapped", a="2", b="1")) != digest


def test_a_known_file_is_hashed_again_when_size_or_time_has_changed(tmp_path: Path) -> None:
    path, kept = tmp_path / "note of Ms X.txt", tmp_path / "hashes.json"

    def known(content: str, seconds: int) -> str:
        path.write_text(content)
        os.utime(path, (seconds, seconds))
        hashes = atomic_files.KnownHashes(kept)
        digest = hashes.sha256_of(path)
        hashes.save()
        return digest

    first = known("old", 1)
    assert first == atomic_files.sha256_of(path)
    assert known("new", 1) == first
    assert known("new", 2) == atomic_files.sha256_of(path) != first
    assert known("longer", 2) == atomic_files.sha256_of(path)
    assert "Ms X" not in kept.read_text()


WRITE = """
import os, sys, time
from pathlib import Path
from longbio.artifacts import atomic_files
honest = os.fsync
def slow(descriptor):
    print("in", flush=True)
    sys.stdin.readline()
    honest(descriptor)
os.fsync = slow
atomic_files.write_text_atomically(Path(sys.argv[1]), sys.argv[2] * 1000)
"""


def test_two_writers_of_one_file_leave_the_whole_of_one(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(file), letter], text=True, **pipes)
        for letter in "ab"
    ]
    for each in both:
        assert each.stdout.readline() == "in\n"
    for each, letter in zip(both, "ab", strict=True):
        assert each.communicate("go\n", timeout=60)[1] == ""
        assert file.read_text() == letter * 1000
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(file), "a"],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    process.kill()
    process.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name == f".results.json.partial-{process.pid}"
    atomic_files.write_text_atomically(file, "b")
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]
