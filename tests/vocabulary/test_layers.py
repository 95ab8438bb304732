"""Which layers `contextual` reads: those that were asked for, or those of the usual ones that there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longbio.cli import main
from longbio.corpus.texts import Text
from longbio.errors import LongbioError
from longbio.vocabulary.extend import REPORT, extend
from longbio.vocabulary.new_rows import ExtendSettings

TEXTS = [Text("the patient takes warfarin daily and sleeps")] * 3


def test_the_usual_layers_are_read_as_far_as_a_model_has_them(tiny_bert_folder: Path, tmp_path: Path) -> None:
    report = extend(tiny_bert_folder, tmp_path / "out", ["warfarin"], TEXTS)
    assert report["settings"]["layers"] == (0, 1, 2)
    assert report["layers_missing"] == [3]
    assert json.loads((tmp_path / "out" / REPORT).read_text())["layers_missing"] == [3]
    assert "`(0, 1, 2)`" in (tmp_path / "out" / "README.md").read_text()
    named = ExtendSettings(layers=(0, 1, 2))
    same = extend(tiny_bert_folder, tmp_path / "named", ["warfarin"], TEXTS, settings=named)
    assert same["layers_missing"] == []
    files = [tmp_path / name / "model.safetensors" for name in ("out", "named")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_layers_that_were_asked_for_are_not_exchanged(tiny_bert_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=r"of layers \(0, 1, 2, 3\) not all are there: the model has 2"):
        extend(
            tiny_bert_folder,
            tmp_path / "out",
            ["warfarin"],
            TEXTS,
            settings=ExtendSettings(layers=(0, 1, 2, 3)),
        )


def test_the_command_says_which_layers_it_took(
    tiny_bert_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "terms.txt").write_text("warfarin\n")
    (tmp_path / "notes.txt").write_text(TEXTS[0].text)
    arguments = ["vocab", "extend", str(tiny_bert_folder), str(tmp_path / "out")]
    arguments += ["--terms", str(tmp_path / "terms.txt"), "--corpus", str(tmp_path / "notes.txt")]
    monkeypatch.setattr("sys.argv", ["longbio", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert "layers 0, 1, 2 were read: the model has no layer 3" in capsys.readouterr().out
