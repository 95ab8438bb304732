"""Every configuration is complete, names itself in its header, and says what its source does."""

from __future__ import annotations

from pathlib import Path

import pytest

from longbio.finetuning.settings import Finetuning
from longbio.settings import load_settings

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "finetune"
FILES = sorted(FOLDER.glob("*.yaml"))

# Rate, batch and epochs of the thirteen BLURB sets, Tinn et al. 2023.
TUNED = {
    "pubmedqa": (2e-5, 16, 30),
    "bioasq": (2e-5, 16, 20),
    "biosses": (1e-5, 16, 30),
    "hoc": (4e-5, 32, 40),
    "chemprot": (3e-5, 32, 10),
    "ddi": (2e-5, 32, 5),
    "gad": (3e-5, 32, 10),
    "ebm-pico": (5e-5, 32, 1),
    "jnlpba": (1e-5, 16, 5),
    "ncbi-disease": (5e-5, 32, 20),
    "bc2gm": (6e-5, 32, 50),
    "bc5-disease": (5e-5, 16, 8),
    "bc5-chem": (5e-5, 32, 20),
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_complete_and_its_command_is_its_own(file: Path) -> None:
    plan = load_settings(Finetuning, file)
    command = next(line for line in file.read_text().splitlines() if "longbio finetune" in line)
    assert command.split()[3] == f"configs/finetune/{file.name}"
    assert plan.out == Path("runs/finetune") / file.stem
    assert len(set(plan.seeds)) == len(plan.seeds) >= 3


OPEN_LONG = {"covid-qa", "craft", "evidence-inference"}


OWN = {"entities"}
"""For documents of one's own."""


def test_there_are_thirteen_ten_four_and_three() -> None:
    names = {file.stem for file in FILES}
    assert len([name for name in names if name.startswith("clinical-")]) == 10
    assert len([name for name in names if name.startswith("compact-")]) == 4
    assert {name for name in names if not name.startswith(("clinical-", "compact-"))} == (
        TUNED.keys() | OPEN_LONG | OWN
    )


@pytest.mark.parametrize("name", TUNED)
def test_blurb_sets_have_their_tuned_settings(name: str) -> None:
    recipe = load_settings(Finetuning, FOLDER / f"{name}.yaml").recipe
    assert (recipe.learning_rate, recipe.batch, recipe.epochs) == TUNED[name]
