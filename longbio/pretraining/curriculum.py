"""Curricula as data: the schema of `longbio pretrain CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from longbio.pretraining.phase import Phase
from longbio.settings import Settings
from longbio.training.settings import Machine

PathFromHome = Annotated[Path, AfterValidator(Path.expanduser)]
"""`~` is the home folder."""

Tracker = Literal["tensorboard", "wandb", "mlflow"]


class CorpusSettings(Settings):
    """Where texts are.

    Args:
        paths: files and folders; or
        hub: a name on the Hugging Face hub, or a folder that `datasets` can load.
        hub_split: its split.
        hub_revision: a commit or a branch. The cache keeps what it had when it was read: to follow
            a branch that moves, name the commit.
        text_column: of tables; None for the first of the usual names that is there.
        group_column: what stays together when documents are held out: the patient.
    """

    paths: tuple[PathFromHome, ...] = ()
    hub: str | None = None
    hub_split: str = "train"
    hub_revision: str | None = None
    text_column: str | None = None
    group_column: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.paths) == (self.hub is not None):
            raise ValueError("give either paths or hub")
        return self


class ValidationSettings(Settings):
    """What models are measured on: bits per masked token at 15% token masking.

    Args:
        corpus: texts of their own; None to hold some of the first corpus out.
        share: of its groups. Documents of these groups, and those that are almost the same, are
            left out of every corpus.
        tokens: read at most.
        lengths: inputs of so many tokens; those beyond a model's positions are left out.
    """

    corpus: CorpusSettings | None = None
    share: float = Field(default=0.01, gt=0, lt=1)
    tokens: int = Field(default=100_000, gt=0)
    lengths: tuple[Annotated[int, Field(ge=8)], ...] = Field(default=(512, 1024, 2048, 4096), min_length=1)


class Curriculum(Settings):
    """A run: a checkpoint, corpora, and phases one after the other.

    Args:
        model: a checkpoint folder, or a name on the hub.
        random_weights: take the model's shape alone and start at random.
        tokenizer: of random weights, if not the model's.
        out: the run folder; phase n leaves `v0.n-<name>` in it.
        cache: where corpora are kept in tokens. It holds the notes.
        corpora: by name.
        validation: what models are measured on.
        phases: in their order.
        machine: how the work is done.
        trackers: who is told of the curves, `metrics.jsonl` apart. None is sent any text.
        seed: of everything.
    """

    model: str
    random_weights: bool = False
    tokenizer: str | None = None
    out: PathFromHome
    cache: PathFromHome = Field(default=Path("~/.cache/longbio"), validate_default=True)
    corpora: dict[str, CorpusSettings] = Field(min_length=1)
    validation: ValidationSettings = ValidationSettings()
    phases: list[Phase] = Field(min_length=1)
    machine: Machine = Machine()
    trackers: tuple[Tracker, ...] = ("tensorboard",)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.tokenizer is not None and not self.random_weights:
            raise ValueError("a tokenizer of its own goes with random_weights: true")
        if self.machine.kernel == "stock":
            raise ValueError(
                "machine.kernel: the stock attention can't keep packed documents apart; others can"
            )
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases need names of their own, these are {', '.join(names)}")
        for phase in self.phases:
            unknown = set(phase.mixture) - set(self.corpora)
            if unknown:
                raise ValueError(
                    f"phase {phase.name} mixes {', '.join(sorted(unknown))};"
                    f" the corpora are {', '.join(self.corpora)}"
                )
        return self
