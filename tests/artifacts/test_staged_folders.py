from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from longbio.artifacts import staged_folders
from longbio.artifacts.staged_folders import refuse_unless_free, require_free_space, staged_folder
from longbio.errors import LongbioError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def finished_process() -> int:
    """The number of a process that is certainly over."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_folder_appears_at_the_end_and_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"

    with staged_folder(target) as staged:
        (staged / "inner").mkdir()
        (staged / "inner" / "weights").write_text("w")
        assert not target.exists()
        assert staged.parent == target.parent

    assert names(target.parent) == ["model"]
    assert (target / "inner" / "weights").read_text() == "w"


def test_an_empty_target_is_free(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()

    with staged_folder(target) as staged:
        (staged / "weights").write_text("w")

    assert names(target) == ["weights"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), ValueError("broken")])
def test_a_body_that_raises_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def interrupted() -> None:
        with staged_folder(tmp_path / "model") as staged:
            (staged / "weights").write_text("half")
            raise error

    with pytest.raises(type(error)) as caught:
        interrupted()

    assert caught.value is error
    assert names(tmp_path) == []


def test_a_killed_process_leaves_no_target_and_the_next_run_clears_up(tmp_path: Path) -> None:
    target = tmp_path / "model"
    script = (
        "import os, signal, sys, pathlib\n"
        "from longbio.artifacts.staged_folders import staged_folder\n"
        "with staged_folder(pathlib.Path(sys.argv[1])) as staged:\n"
        "    (staged / 'weights').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".model.partial-")

    with staged_folder(target) as staged:
        assert names(staged) == []
        (staged / "weights").write_text("whole")

    assert names(tmp_path) == ["model"]


def test_other_writers_and_other_targets_are_left_alone(tmp_path: Path) -> None:
    dead = finished_process()
    kept = [
        f".model.partial-{os.getppid()}",  # alive
        f".model-2.partial-{dead}",  # another target
        ".model.partial-backup",  # no name of ours
    ]
    for name in [*kept, f".model.partial-{dead}", f".model.partial-{os.getpid()}"]:
        (tmp_path / name).mkdir()

    with staged_folder(tmp_path / "model"):
        pass

    assert names(tmp_path) == sorted([*kept, "model"])


def test_a_full_target_is_refused_and_untouched(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "mine").write_text("precious")

    with pytest.raises(LongbioError, match=r"model: the folder is not empty; .*--force"):
        staged_folder(target).__enter__()

    assert (target / "mine").read_text() == "precious"
    assert names(tmp_path) == ["model"]


def test_a_file_as_target_is_refused_even_with_force(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.write_text("precious")

    with pytest.raises(LongbioError, match="is not a folder"):
        staged_folder(target, force=True).__enter__()

    assert target.read_text() == "precious"


def test_force_replaces_everything_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")

    with staged_folder(target, force=True) as staged:
        (staged / "new").write_text("new")
        assert names(target) == ["old"]

    assert names(target) == ["new"]
    assert names(tmp_path) == ["model"]


def test_force_keeps_the_old_folder_when_the_body_fails(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")

    def failing() -> None:
        with staged_folder(target, force=True) as staged:
            (staged / "new").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()

    assert names(target) == ["old"]
    assert names(tmp_path) == ["model"]


def test_force_puts_the_old_folder_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    rename = Path.rename

    def refusing(path: Path, new: Path) -> Path:
        if ".partial-" in path.name:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return rename(path, new)

    monkeypatch.setattr(Path, "rename", refusing)

    def replace() -> None:
        with staged_folder(target, force=True):
            pass

    with pytest.raises(LongbioError, match="put in place"):
        replace()

    assert names(target) == ["old"]
    assert names(tmp_path) == ["model"]


def test_an_old_folder_left_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / f".model.replaced-{finished_process()}"
    aside.mkdir()
    (aside / "old").write_text("old")

    with pytest.raises(LongbioError, match="not empty"):
        staged_folder(tmp_path / "model").__enter__()

    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["old"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_named_and_nothing_stays(tmp_path: Path, error: Exception) -> None:
    def filling() -> None:
        with staged_folder(tmp_path / "model") as staged:
            (staged / "weights").write_text("half")
            raise error

    with pytest.raises(LongbioError, match="model: no space is left on the disk"):
        filling()

    assert names(tmp_path) == []


def test_everything_is_on_the_disk_before_the_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = staged_folders._fsync

    def noting(path: Path) -> None:
        synced.append(path.name.partition(".partial-")[0])
        fsync(path)

    monkeypatch.setattr(staged_folders, "_fsync", noting)
    with staged_folder(tmp_path / "model") as staged:
        (staged / "weights").write_text("w")

    assert synced == ["weights", ".model", tmp_path.name]


def test_files_are_as_readable_as_their_folder(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "model") as staged:
        (staged / "weights").write_text("w")
        (staged / "weights").chmod(0o600)

    folder_mode = (tmp_path / "model").stat().st_mode
    assert (tmp_path / "model" / "weights").stat().st_mode & 0o777 == folder_mode & 0o666


def test_home_and_working_folder_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "someone"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)

    for folder in (Path(), home, home.parent, Path("/")):
        with pytest.raises(LongbioError, match="home or working folder"):
            refuse_unless_free(folder, force=True)


def test_free_space_is_counted_in_megabytes(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    require_free_space(folder, 1)

    with pytest.raises(LongbioError, match=r"there: 1,000,000,000,000 MB are needed and [\d,]+ MB"):
        require_free_space(folder, 10**18)
