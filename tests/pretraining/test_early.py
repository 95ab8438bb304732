"""What can be known at the start fails before a corpus is tokenised."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from longbio.errors import LongbioError
from longbio.pretraining.curriculum import Curriculum
from longbio.pretraining.run import pretrain
from longbio.progress import Silence

Make = Callable[..., Curriculum]


class Told(Silence):
    """Remembers the titles of stages."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def begin(self, title: str, total: int) -> Callable[[int, str], None]:
        self.titles.append(title)
        return super().begin(title, total)


@pytest.fixture
def curriculum(tiny_long_folder: Path, tmp_path: Path) -> Make:
    """Twelve documents and a phase of one step, with changes."""
    with (tmp_path / "notes.jsonl").open("w") as file:
        for number in range(12):
            file.write(json.dumps({"text": f"the patient {number} has the drug " * 9}) + "\n")

    def make(**changes: Any) -> Curriculum:
        return Curriculum.model_validate(
            {
                "model": str(tiny_long_folder),
                "out": tmp_path / "run",
                "cache": tmp_path / "cache",
                "corpora": {"notes": {"paths": [tmp_path / "notes.jsonl"]}},
                "validation": {"share": 0.3, "lengths": [64]},
                "phases": [phase()],
                "trackers": [],
            }
            | changes
        )

    return make


def phase(name: str = "one", **changes: Any) -> dict[str, Any]:
    return {"name": name, "sequence_tokens": 64, "steps": 1, "learning_rate": 1e-3} | changes


def refused(curriculum: Curriculum) -> str:
    """What is said of it, before anything is tokenised or written."""
    told = Told()
    with pytest.raises(LongbioError) as caught:
        pretrain(curriculum, told)
    assert told.titles == []
    assert not list(curriculum.cache.glob("*/shard-*"))
    return str(caught.value)


def test_a_share_that_holds_nothing_out_is_said_with_one_that_does(curriculum: Make) -> None:
    said = refused(curriculum(validation={"share": 0.001, "lengths": [64]}))
    start, _, rest = said.partition("; set it to ")
    assert start == (
        "validation.share: a share of 0.001 holds none of 12 documents or groups out to measure on"
    )
    share = float(rest.split()[0])
    results = pretrain(curriculum(validation={"share": share, "lengths": [64]}))
    assert 1 <= results["corpora"]["notes"]["held_out"] <= 3


def test_a_share_that_leaves_nothing_to_learn_from_is_said(curriculum: Make) -> None:
    said = refused(curriculum(validation={"share": 0.9999, "lengths": [64]}))
    assert "holds all 12 documents out" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phases": [phase(), phase("long", sequence_tokens=512)]}, "phase long wants sequences of 512"),
        ({"validation": {"lengths": [1024]}}, "no length to be measured at fits the model's 256 positions"),
        (
            {"phases": [phase(learns="new-positions", new_from=4096)]},
            "new row is 4097 and the table has 257",
        ),
        ({"phases": [phase(optimizer="stable-adamw")]}, "stable-adamw isn't installed"),
        ({"phases": [phase()], "machine": {"device_batch": 3}}, "can't be divided"),
        ({"machine": {"precision": "bfloat16"}}, "machine.precision: bfloat16 needs a GPU"),
        ({"machine": {"kernel": "flex"}}, "no backward pass on a CPU"),
        ({"trackers": ["mlflow"]}, "mlflow isn't installed"),
    ],
)
def test_what_is_known_is_said_first(
    changes: dict[str, Any], words: str, curriculum: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("longbio.training.requirements.is_torch_bf16_gpu_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert words in refused(curriculum(**changes))


def test_a_model_without_a_head_is_said_first(
    curriculum: Make, tiny_long_folder: Path, tmp_path: Path
) -> None:
    headless = tmp_path / "headless"
    transformers.AutoModel.from_pretrained(tiny_long_folder).save_pretrained(headless)
    transformers.AutoTokenizer.from_pretrained(tiny_long_folder).save_pretrained(headless)
    assert "weights are missing" in refused(curriculum(model=str(headless)))


def test_a_finished_run_asks_nothing_of_the_machine(
    curriculum: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = pretrain(curriculum())
    monkeypatch.setattr("longbio.training.requirements.is_torch_bf16_gpu_available", lambda: False)
    assert pretrain(curriculum(machine={"precision": "bfloat16"})) == done


def test_a_cache_is_in_the_home_folder(curriculum: Make) -> None:
    asked = curriculum().model_dump(exclude={"cache"})
    assert Curriculum.model_validate(asked).cache == Path.home() / ".cache" / "longbio"
    assert Curriculum.model_validate(asked | {"cache": "~/kept"}).cache == Path.home() / "kept"
