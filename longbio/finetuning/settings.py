"""Fine-tuning as data: the schema of `longbio finetune CONFIG`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from longbio.corpus.reading import MAX_MISALIGNED
from longbio.finetuning.stability import Stability
from longbio.settings import HomePath, Settings
from longbio.tasks import AnyTask
from longbio.training import settings as training
from longbio.training.settings import Learning


class DataSettings(Settings):
    """Where documents are, and how they are divided.

    Args:
        path: a folder that holds `train`, `test` and perhaps `dev`, as folders or files; or, with
            `name`, the folder of several such sets, as BLURB's `data_generation/data` is.
        name: the set's folder within `path`.
        train: instead of what `path` holds.
        dev: as `train`.
        test: as `train`; one of both ways has to give it.
        format: of `corpus.readers.READERS`; found out when None.
        encoding: of the files.
        columns: of tables, by the field of `Document` that each holds; as `labels` several, with commas
            between, that say 1 or 0 of a label each.
        label_separator: what stands between labels of a cell; found out when None, "" for nothing.
        max_misaligned: share of the mentions that may not be where they say.
        one_type: all mentions are of one type, as BLURB counts JNLPBA's.
        question_share: of each split's questions, drawn at random; 1 for all.
        test_share: of the documents, whole groups, held out to be scored where the corpus isn't divided:
            `path` or `train` is then all of it.
        dev_share: of the training documents, whole groups, held out when there are no others to
            choose by.
        train_documents: how many of them are learned from, drawn at random; None for all.
        eval_documents: how many development and how many test documents are read at most.
    """

    path: HomePath | None = None
    name: str | None = None
    train: HomePath | None = None
    dev: HomePath | None = None
    test: HomePath | None = None
    format: str | None = None
    encoding: str = "utf-8"
    columns: dict[str, str] = Field(default_factory=dict)
    label_separator: str | None = None
    max_misaligned: float = Field(default=MAX_MISALIGNED, ge=0, le=1)
    one_type: bool = False
    question_share: float = Field(default=1.0, gt=0, le=1)
    test_share: float | None = Field(default=None, gt=0, lt=1)
    dev_share: float = Field(default=0.1, gt=0, lt=1)
    train_documents: int | None = Field(default=None, gt=0)
    eval_documents: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.path is None and (self.train is None or (self.test is None) == (self.test_share is None)):
            raise ValueError("give path, or train and test, or train and test_share")
        return self


@dataclass(frozen=True, kw_only=True)
class Recipe(Learning):
    """How one model learns: a `Learning`, and what is a step.

    Args:
        batch: samples of a step.
        epochs: how often every sample is seen.
        max_steps: the most optimizer steps; None for as many as `epochs` make.
        dropout: of hidden states and attention; None for what the model's config says.
        group_by_length: let samples of similar length share a step.
        max_tokens: what a row holds at most, special tokens included: a long model can be made to read
            in chunks. None for all that it reads.
        patience: evaluations on the development documents without a better score, after which
            learning ends and the best weights are taken; None to learn to the end.
        evaluations: on the development documents, in each epoch, with `patience`.
    """

    batch: int = 16
    epochs: float = 3.0
    max_steps: int | None = None
    dropout: float | None = None
    group_by_length: bool = True
    max_tokens: int | None = None
    patience: int | None = None
    evaluations: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.batch, self.epochs, self.evaluations) <= 0:
            raise ValueError("batch, epochs and evaluations are above 0")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"a dropout of {self.dropout:g}; give 0 or more, below 1")
        if self.max_tokens is not None and self.max_tokens < 16:
            raise ValueError("max_tokens is 16 or more, or null for all that the model reads")
        if self.patience is not None and self.patience < 1:
            raise ValueError("patience is above 0, or null to learn to the end")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError("max_steps is above 0, or null for all that epochs make")

    def steps(self, num_samples: int) -> int:
        """Optimizer steps for so many samples."""
        steps = max(1, round(self.epochs * num_samples / self.batch))
        return steps if self.max_steps is None else min(steps, self.max_steps)


@dataclass(frozen=True)
class Grid:
    """What is tried with the first seed; the development documents choose. Empty for the recipe's.

    Args:
        learning_rates: each of them,
        batches: with each of these,
        epochs: and each of these.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    learning_rates: tuple[float, ...] = ()
    batches: tuple[int, ...] = ()
    epochs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if min((*self.learning_rates, *self.batches, *self.epochs), default=1) <= 0:
            raise ValueError("learning_rates, batches and epochs are above 0")


@dataclass(frozen=True, kw_only=True)
class Machine(training.Machine):
    """How the work is done: a `training.settings.Machine`, and what predicting needs.

    Args:
        batch_tokens: tokens of one pass while predicting.
    """

    batch_tokens: int = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_tokens < 1:
            raise ValueError("batch_tokens is above 0")


class Finetuning(Settings):
    """A run: one model, one task, one corpus; a grid, and seeds for what it chose.

    Args:
        task: what is learned.
        model: a checkpoint folder, or a name on the hub.
        out: the run folder.
        data: where documents are.
        recipe: how a model learns.
        stability: what is done against unstable learning.
        grid: what else is tried.
        seeds: one model each, at the best of the grid.
        machine: how the work is done.
    """

    task: Annotated[AnyTask, Field(discriminator="kind")]
    model: str
    out: HomePath
    data: DataSettings
    recipe: Recipe
    stability: Stability = Stability()
    grid: Grid = Grid()
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    machine: Machine = Machine()

    @model_validator(mode="after")
    def _epochs_count(self) -> Self:
        if self.grid.epochs and self.recipe.max_steps is not None:
            raise ValueError("a grid of epochs and max_steps: the steps would be the same for all")
        return self

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("each seed counts once")
        return seeds
