"""A converted folder appears whole or not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from longbio.conversion import build
from longbio.conversion import convert as module
from longbio.conversion.convert import Conversion, convert, text_of
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.verify import Check
from longbio.errors import LongbioError

Make = Callable[..., Path]


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file: a rewritten file differs even if its bytes don't."""
    return {str(f): (f.stat().st_ino, f.stat().st_mtime_ns) for f in sorted(folder.rglob("*"))}


@pytest.fixture
def plain(small: dict[str, ConversionSettings]) -> dict[str, Any]:
    return {"settings": small["longformer"], "verification": False}


def test_same_conversion_again_touches_nothing(
    make_source: Make, plain: dict[str, Any], tmp_path: Path
) -> None:
    first = convert(make_source("bert"), tmp_path / "long", **plain)
    before = contents(tmp_path)
    again = convert(make_source("bert"), tmp_path / "long", **plain)

    assert not first.already_done
    assert again.already_done
    assert again.report == json.loads((tmp_path / "long" / "conversion.json").read_text())
    assert contents(tmp_path) == before


def test_a_source_whose_tokenizer_has_changed_isnt_done(
    make_source: Make, plain: dict[str, Any], tmp_path: Path
) -> None:
    source, out = make_source("bert"), tmp_path / "long"
    convert(source, out, **plain)
    file = next(source / name for name in ("tokenizer.json", "vocab.txt") if (source / name).is_file())
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    with pytest.raises(LongbioError):
        convert(source, out, **plain)
    file.write_bytes(before)
    assert convert(source, out, **plain).already_done


@pytest.mark.usefixtures("plain_in_process", "without_bits")
def test_an_unverified_result_does_not_answer_for_a_verified_one(
    make_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    source, out, settings = make_source("bert"), tmp_path / "long", small["longformer"]
    convert(source, out, settings=settings, verification=False)
    with pytest.raises(LongbioError):
        convert(source, out, settings=settings)
    verified = convert(source, out, settings=settings, force=True)

    assert verified.report["verification"]["passed"]
    assert convert(source, out, settings=settings).already_done
    assert convert(source, out, settings=settings, verification=False).already_done


def test_another_conversion_in_the_way_is_refused_without_force(
    make_source: Make, plain: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "long"
    convert(make_source("bert"), out, **plain)
    before = contents(tmp_path)

    others = [
        (make_source("bert"), plain | {"settings": replace(plain["settings"], window=8)}),
        (make_source("electra"), plain),
    ]
    for source, options in others:
        with pytest.raises(LongbioError, match="force"):
            convert(source, out, **options)
        assert contents(tmp_path) == before

    source, options = others[0]
    forced = convert(source, out, **options, force=True)
    assert not forced.already_done
    assert json.loads((out / "config.json").read_text())["attention_window"] == [8, 8]
    assert [file.name for file in tmp_path.iterdir()] == ["long"]


def test_a_folder_of_anything_else_is_refused_without_force(
    make_source: Make, plain: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "long"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(LongbioError, match="force"):
        convert(make_source("bert"), out, **plain)
    assert [file.name for file in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, RuntimeError])
def test_an_interrupted_conversion_leaves_nothing(
    error: type[BaseException],
    make_source: Make,
    plain: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []

    def interrupted(folder: Path, *arguments: Any) -> list[str]:
        honest(folder, *arguments)
        written.extend(file.name for file in folder.iterdir())
        raise error("stop")

    honest = build.write
    monkeypatch.setattr(build, "write", interrupted)
    with pytest.raises((error, LongbioError)):
        convert(make_source("bert"), tmp_path / "long", **plain)
    assert "model.safetensors" in written
    assert list(tmp_path.iterdir()) == []


def test_a_killed_conversion_leaves_no_folder_and_the_next_run_clears_up(
    make_source: Make, plain: dict[str, Any], tmp_path: Path
) -> None:
    script = (
        "import os, signal, sys\n"
        "from longbio.conversion import build\n"
        "from longbio.conversion.convert import convert\n"
        "from longbio.conversion.settings import ConversionSettings\n"
        "honest = build.write\n"
        "def killed(*arguments):\n"
        "    honest(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "build.write = killed\n"
        "settings = ConversionSettings(max_tokens=64, window=16)\n"
        "convert(sys.argv[1], sys.argv[2], settings=settings, verification=False)\n"
    )
    out = tmp_path / "long"
    command = [sys.executable, "-c", script, str(make_source("bert")), str(out)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    left, lock = sorted(tmp_path.iterdir(), key=lambda entry: entry.is_file())
    assert left.name.startswith(".long.partial-")
    assert lock.name == ".long.lock"

    convert(make_source("bert"), out, **plain)
    assert list(tmp_path.iterdir()) == [out]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check("hidden states", "3.0e-01", "at most 1e-05", False)
    monkeypatch.setattr(
        module, "verify", lambda *_, **__: {"passed": False, "seconds": 1.0, "checks": [asdict(check)]}
    )


def test_what_fails_its_verification_is_kept_under_another_name(
    failing: None, make_source: Make, small: dict[str, ConversionSettings], tmp_path: Path
) -> None:
    out = tmp_path / "long"
    for _ in range(2):  # a second failure replaces the first
        with pytest.raises(LongbioError, match="verification failed: hidden states") as caught:
            convert(make_source("bert"), out, settings=small["longformer"])
        assert caught.value.where == tmp_path / "long.failed"
        assert list(tmp_path.iterdir()) == [tmp_path / "long.failed"]
    report = json.loads((tmp_path / "long.failed" / "conversion.json").read_text())
    assert report["verification"]["passed"] is False
    assert (tmp_path / "long.failed" / "model.safetensors").is_file()


def test_a_failure_leaves_the_folder_it_was_to_replace(
    failing: None, make_source: Make, plain: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "long"
    convert(make_source("bert"), out, **plain)
    before = contents(out)
    with pytest.raises(LongbioError, match="verification failed"):
        convert(make_source("bert"), out, settings=plain["settings"], force=True)
    assert contents(out) == before


def test_too_little_disk_is_said_before_anything_is_written(
    make_source: Make, plain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, needed_bytes: int) -> None:
        weights = (make_source("bert") / "model.safetensors").stat().st_size
        assert needed_bytes >= weights
        raise LongbioError("no room", where=folder)

    monkeypatch.setattr(module, "require_free_space", full)
    with pytest.raises(LongbioError, match="no room"):
        convert(make_source("bert"), tmp_path / "long", **plain)
    assert list(tmp_path.iterdir()) == []


def test_every_check_is_told(
    make_source: Make,
    small: dict[str, ConversionSettings],
    tmp_path: Path,
    plain_in_process: None,
    without_bits: None,
) -> None:
    told: list[Check] = []
    done = convert(make_source("bert"), tmp_path / "long", settings=small["longformer"], on_check=told.append)
    assert [check.name for check in told] == [c["name"] for c in done.report["verification"]["checks"]]
    card = (tmp_path / "long" / "README.md").read_text()
    assert all(check.name in card for check in told)


def test_text_is_read_as_utf8_or_refused(tmp_path: Path) -> None:
    assert text_of(None) is None
    file = tmp_path / "note.txt"
    file.write_bytes("5 µg".encode())
    assert text_of(file) == "5 µg"
    file.write_bytes(b"5 \xb5g")
    for path in (file, tmp_path / "nowhere.txt"):
        with pytest.raises(LongbioError, match="UTF-8"):
            text_of(path)


def test_a_conversion_is_a_record(converted: Callable[..., Conversion]) -> None:
    done = converted("bert", "encoder", "longformer")
    assert done.folder.name == "longformer"
    assert done.report["settings"]["to"] == "longformer"
