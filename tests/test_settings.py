from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError, field_validator

from longbio.errors import LongbioError
from longbio.settings import Settings, load_settings


class Optimizer(Settings):
    learning_rate: float = 1e-4
    warmup_steps: int = 0


class Phase(Settings):
    num_steps: int
    mask_rate: float = Field(default=0.15, gt=0, lt=1)


class Run(Settings):
    seed: int = 0
    out: Path
    window_tokens: int | None = None
    optimizer: Optimizer = Optimizer()
    phases: tuple[Phase, ...] = ()
    heads: dict[str, Optimizer | None] = Field(default_factory=dict)

    @field_validator("window_tokens")
    @classmethod
    def _even(cls, value: int | None) -> int | None:
        if value is not None and value % 2:
            raise ValueError("must be even\nalways")
        return value


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(
        "out: runs/a\noptimizer:\n  learning_rate: 3e-5\nphases:\n- num_steps: 10\n- num_steps: 20\n"
    )
    return path


def test_file_defaults_and_nesting(config: Path) -> None:
    run = load_settings(Run, config)

    assert run.out == Path("runs/a")
    assert run.seed == 0
    assert run.optimizer == Optimizer(learning_rate=3e-5)
    assert [phase.num_steps for phase in run.phases] == [10, 20]


def test_overrides_are_yaml_reach_inside_and_the_last_wins(config: Path) -> None:
    overrides = [
        "seed=1",
        "seed=7",
        "optimizer.learning_rate=1e-3",
        "phases.1.num_steps=5",
        "window_tokens=null",
        "heads.ner.warmup_steps=3",
        "out=a=b",
    ]
    run = load_settings(Run, config, overrides)

    assert run.seed == 7
    assert run.optimizer.learning_rate == 1e-3
    assert [phase.num_steps for phase in run.phases] == [10, 5]
    assert run.heads == {"ner": Optimizer(warmup_steps=3)}
    assert run.out == Path("a=b")


def test_exponents_without_a_dot_are_numbers(tmp_path: Path) -> None:
    class Loose(Settings):
        value: float | str

    path = tmp_path / "a.yaml"
    for text in ("3e-5", "-1E6", "1_0e2"):
        path.write_text(f"value: {text}\n")
        assert load_settings(Loose, path).value == float(text)

    path.write_text("value: 3e-5x\n")
    assert load_settings(Loose, path).value == "3e-5x"


def test_settings_do_not_change(config: Path) -> None:
    run = load_settings(Run, config)

    with pytest.raises(ValidationError, match="frozen"):
        run.seed = 1  # type: ignore[misc]  # refused: that is the test


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("sed=1", "a change of settings: unknown setting sed; did you mean seed?"),
        (
            "optimizer.lerning_rate=1",
            "a change of settings: unknown setting optimizer.lerning_rate; did you mean learning_rate?",
        ),
        (
            "phases.0.mask=1",
            "a change of settings: unknown setting phases.0.mask; did you mean mask_rate?",
        ),
        (
            "heads.ner.warm_steps=1",
            "a change of settings: unknown setting heads.ner.warm_steps; did you mean warmup_steps?",
        ),
        ("window_tokens=3", "a change of settings: window_tokens: must be even always"),
        ("seed", "change of seed: not of the form key=value; write a.b=c"),
        ("a..b=1", "change of a..b: not of the form key=value; write a.b=c"),
        ("seed.x=1", "a change of settings: seed: input should be a valid integer"),
        ("phases.2.num_steps=1", "change of phases.2.num_steps: '2' picks no element of a list of 2"),
        ("out.x.y=1", "change of out.x.y: out is a single value and has no keys inside"),
        ("seed=[", "change of seed: not valid YAML: "),
        (
            "optimizer.learning_rate=.nan",
            "a change of settings: optimizer.learning_rate: input should be a f",
        ),
    ],
)
def test_bad_overrides(config: Path, override: str, line: str) -> None:
    with pytest.raises(LongbioError) as caught:
        load_settings(Run, config, [override])

    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("out: a\nsede: 3\n", "unknown setting sede; did you mean seed?"),
        ("ouut: a\n", "unknown setting ouut (and 1 more); did you mean out?"),
        ("seed: 3\n", "out: field required"),
        ("", "out: field required"),
        ("out: a\nseed: much\n", "seed: input should be a valid integer"),
        ("out: a\nphases:\n- num_steps: 1\n  mask_rate: 2\n", "phases.0.mask_rate: input should"),
        ("- 1\n", "the settings are no table"),
        ("out: a\nout: b\n", "not valid YAML: the key out is given twice (line 2)"),
        ("out: a\nphases:\n- {num_steps: 1, num_steps: 2}\n", "not valid YAML: the key num_steps"),
        ("out: [\n", "not valid YAML: "),
        ("[a]: 1\n", "not valid YAML: "),
        ("out: !!python/object:os.system a\n", "not valid YAML: "),
    ],
)
def test_bad_files(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)

    with pytest.raises(LongbioError) as caught:
        load_settings(Run, path)

    assert str(caught.value).startswith(f"{path}: {line}")
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="the settings can't be read"):
        load_settings(Run, tmp_path / "none.yaml")

    (tmp_path / "latin.yaml").write_bytes(b"out: \xe9\n")
    with pytest.raises(LongbioError, match="not UTF-8"):
        load_settings(Run, tmp_path / "latin.yaml")
