"""A folder goes on by its own plan, and by no other."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from longbio.artifacts.atomic_files import digest_of_path
from longbio.artifacts.runs import RUN, Run, differences, is_run_of, make_once
from longbio.errors import LongbioError

PLAN: dict[str, Any] = {"model": "a" * 64, "recipe": {"epochs": 3, "rates": (1e-4, 3e-4)}, "seed": 0}


def opened(out: Path, plan: dict[str, Any] = PLAN, **options: Any) -> None:
    with Run.open(out, plan, **options):
        pass


def refusal(out: Path, plan: dict[str, Any], **options: Any) -> str:
    with pytest.raises(LongbioError) as refused:
        opened(out, plan, **options)
    assert len(str(refused.value)) < 300
    return refused.value.what


def test_the_same_plan_goes_on_and_another_is_refused_with_what_was_and_is(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    opened(out)
    (out / "seed-0").mkdir()
    opened(out)
    changed = PLAN | {"recipe": {"epochs": 4, "rates": [1e-4, 3e-4]}, "model": "b" * 64}
    said = refusal(out, changed)
    assert "recipe.epochs was 3 and is 4" in said
    assert "model has changed" in said
    assert "rates" not in said
    assert "seed" not in said
    assert "new was null and is 1" in refusal(out, PLAN | {"new": 1})
    assert is_run_of(out, PLAN)
    assert not is_run_of(out, changed)
    assert not is_run_of(tmp_path / "none", PLAN)
    many = refusal(out, dict.fromkeys("abcdefgh", "x" * 60))
    assert "more" in many


def test_the_order_of_keys_counts_where_it_stands_within_a_setting(tmp_path: Path) -> None:
    # The first corpus is the one that documents are held out of.
    opened(tmp_path, {"corpora": {"a": 1, "b": 2}})
    (tmp_path / "v0.1-head").mkdir()
    assert "another order" in refusal(tmp_path, {"corpora": {"b": 2, "a": 1}})


def test_a_folder_in_which_nothing_was_made_takes_another_plan(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "run.log").write_text("what a shell wrote")
    opened(tmp_path, PLAN | {"seed": 1})
    assert json.loads((tmp_path / RUN).read_text())["seed"] == 1
    (tmp_path / "progress.json").write_text("{}")
    assert "seed was 1 and is 0" in refusal(tmp_path, PLAN)


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "seed-0").mkdir()
    assert "something else" in refusal(tmp_path, PLAN)
    assert [entry.name for entry in tmp_path.iterdir()] == ["seed-0"]


def test_a_private_run_refuses_any_file_and_is_its_owners_alone(tmp_path: Path) -> None:
    out = tmp_path / "notes"
    out.mkdir(mode=0o755)
    (out / "mine.csv").touch()
    assert "something else" in refusal(out, PLAN, private=True)
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    (out / "mine.csv").unlink()
    with Run.open(out, PLAN, private=True):
        (out / "predictions.jsonl").touch()
    (tmp_path / "later").touch()
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert stat.S_IMODE((out / "predictions.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "later").stat().st_mode) & 0o044


def test_two_at_once_are_told(tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", PLAN):
        assert "another process" in refusal(tmp_path / "run", PLAN)


def test_what_is_known_later_is_bound_too(tmp_path: Path) -> None:
    with Run.open(tmp_path, PLAN) as run:
        run.bind({"texts": {"notes": "1" * 16}})
    (tmp_path / "v0.1-head").mkdir()
    with Run.open(tmp_path, PLAN) as run:
        run.bind({"texts": {"notes": "1" * 16}})
        with pytest.raises(LongbioError, match=r"texts\.notes has changed"):
            run.bind({"texts": {"notes": "2" * 16}})
    # Of processes that train together one binds.
    Run(tmp_path, is_main=False).bind({"texts": {"notes": "2" * 16}})


def test_a_file_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> bytes:
        made.append(1)
        return b"states"

    for _ in range(2):
        with Run.open(tmp_path, PLAN) as run:
            assert run.once("states", make) == b"states"
    assert made == [1]


def test_scratch_goes_on_after_a_kill_and_is_gone_after_success_or_refusal(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def tried(plan: dict[str, Any], error: BaseException | None = None) -> list[str]:
        with Run.scratch(target, plan) as run:
            there = sorted(entry.name for entry in run.folder.iterdir())
            run.once("states", lambda: b"")
            if error is not None:
                raise error
        return there

    folder = tmp_path / ".model.begun"
    with pytest.raises(KeyboardInterrupt):
        tried(PLAN, KeyboardInterrupt())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert tried(PLAN) == ["run.json", "states"]
    assert not folder.exists()
    with pytest.raises(KeyboardInterrupt):
        tried(PLAN, KeyboardInterrupt())
    assert tried(PLAN | {"seed": 1}) == ["run.json"]
    with pytest.raises(LongbioError):
        tried(PLAN, LongbioError("no"))
    assert not folder.exists()


def test_a_result_is_made_once_of_the_same_and_refused_of_another(tmp_path: Path) -> None:
    out, made = tmp_path / "model", []

    def make(folder: Path) -> dict[str, Any]:
        made.append(folder)
        (folder / "weights").touch()
        return {"number": len(made)}

    def once(seed: int, **options: Any) -> int:
        return int(make_once(out, "report.json", PLAN | {"seed": seed}, make, **options)["number"])

    assert [once(0), once(0)] == [1, 1]
    with pytest.raises(LongbioError, match=r"seed was 0 and is 1; .*--force"):
        once(1, force=False)
    with pytest.raises(LongbioError, match=r"seed was 0 and is 1; .*delete it"):
        once(1)
    assert once(1, force=True) == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").touch()
    with pytest.raises(LongbioError, match="not empty"):
        make_once(tmp_path / "other", "report.json", PLAN, make)


def test_reports_of_before_are_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(LongbioError, match="another plan"):
        make_once(tmp_path, "report.json", PLAN, lambda folder: {})


def test_differences_are_short() -> None:
    assert differences({"a": "x" * 100}, {"a": "y" * 100}) == ["a has changed"]
    assert differences({"a": {"b": 1}}, {"a": None}) == ['a was {"b": 1} and is null']
    assert differences({"a": 1}, {"a": 1}) == []


def test_a_digest_is_of_names_and_contents_below_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    file = folder / "deep" / "a.txt"
    file.write_text("one")
    first = digest_of_path(folder)
    (folder / ".DS_Store").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "index").touch()
    assert digest_of_path(folder) == first
    file.write_text("two!")
    second = digest_of_path(folder)
    file.rename(folder / "deep" / "b.txt")
    assert len({first, second, digest_of_path(folder)}) == 3
    folder.rename(tmp_path / "moved")
    assert digest_of_path(tmp_path / "moved") not in (first, second)
    single = tmp_path / "a.csv"
    single.write_text("one")
    assert digest_of_path(single) != digest_of_path(tmp_path / "moved")
