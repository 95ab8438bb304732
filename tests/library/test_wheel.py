"""What is installed: a wheel and an sdist, used where there is no repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

pytest.importorskip("hatchling", reason="no hatchling: install the extra `dev`")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as pip unpacks it."""
    folder = tmp_path_factory.mktemp("site-packages")
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def say(installed: Path, where: Path, code: str) -> str:
    """What Python prints, in a folder without the repository."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=where,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*words: str) -> str:
    return f"import sys; sys.argv = ['longbio', *{words!r}]; from longbio.cli import main; main()"


def test_it_is_the_wheel_that_is_imported(installed: Path, tmp_path: Path) -> None:
    found = say(installed, tmp_path, "import longbio; print(longbio.__file__)").strip()
    assert Path(found).is_relative_to(installed)
    assert (installed / "longbio" / "py.typed").is_file()


def test_presets_are_listed_shown_and_read(installed: Path, tmp_path: Path) -> None:
    listed = say(installed, tmp_path, command("configs"))
    assert "finetune/craft" in listed
    assert "concepts of eleven ontologies" in listed
    mine = tmp_path / "mine.yaml"
    mine.write_text(say(installed, tmp_path, command("configs", "show", "open-long")))
    code = "from pathlib import Path; from longbio.benchmarking.settings import load_benchmark as load\n"
    code += "print(load(Path('mine.yaml')).tasks[0].config)"
    assert Path(say(installed, tmp_path, code).strip()) == installed / "longbio/configs/finetune/craft.yaml"


def test_it_converts_and_makes_pages(installed: Path, tmp_path: Path, tiny_bert_folder: Path) -> None:
    """Templates and tables travel too."""
    code = (
        f"import longbio; r = longbio.convert({str(tiny_bert_folder)!r}, 'long', max_tokens=128, window=32)\n"
    )
    code += "print(r['verification']['passed']); from longbio.prediction.pages import _template\n"
    code += "print(_template('note.html.jinja').name); from longbio.benchmarking import report"
    assert say(installed, tmp_path, code).startswith("True")


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    (source,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    again = tmp_path / "again"
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(again)]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    names = [zipfile.ZipFile(each).namelist() for each in (wheel, again / wheel.name)]
    assert sorted(names[0]) == sorted(names[1])
