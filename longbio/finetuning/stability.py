"""What keeps fine-tuning on small sets from collapsing: each a setting, all off by default.

Which of them helps depends on the model and the set (Mosbach et al. 2021, Zhang et al. 2021, Tinn
et al. 2023), so none is a recipe here. `prepare` goes between loading and training,
`parameter_groups` and `wrap_loss` into `train`; `train_stably` does all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import transformers
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from longbio.encoders.families import FAMILIES, dropout_names
from longbio.encoders.heads import initialise
from longbio.errors import LongbioError
from longbio.finetuning import mixout
from longbio.finetuning.rdrop import LogitsOf, nothing_to_compare, with_rdrop
from longbio.training import optimizers
from longbio.training.optimizers import Group
from longbio.training.processes import refuse_sharded
from longbio.training.settings import TrainingSettings
from longbio.training.stopping import EarlyStopping
from longbio.training.trainer import OnStep, SummedLoss, train

TOP_DEPTH = {"zhang": 1, "electra": 2}
"""How often the decay is applied to the top layer, by convention."""


@dataclass(frozen=True)
class Stability:
    """What is done against unstable fine-tuning.

    Args:
        freeze_embeddings: they don't learn.
        freeze_layers: the lowest ones, which don't learn; the embeddings below them don't either
            (Tinn et al. 2023).
        layer_decay: factor of the learning rate from each layer to the one below; 1 for none. The
            head and the pooler learn at the full rate.
        decay_convention: of n layers, `zhang` multiplies the top one's rate by d and the
            embeddings' by d^(n+1) (Zhang et al. 2021), `electra` by d^2 and d^(n+2) (Clark et al.
            2020, as released).
        reinitialise_layers: the top ones, and the pooler, begin at random (Zhang et al. 2021); a
            Longformer's global projections in them too.
        bias_correction: of Adam. False is what BERT was released with, its epsilon of 1e-6 included.
        mixout: probability with which a weight is its pre-trained value in a forward pass (Lee et
            al. 2020): in the linear layers of the encoder's layers, but of those that are frozen or
            begin at random. It comes beside dropout; the paper's replaces it, which is loading the
            model with `dropout=0`. 1 keeps these weights as they were.
        r_drop: weight of the divergence between two passes with different dropout (Liang et al.
            2021). A step costs two passes.
        average_last: share of the steps whose weights are averaged at the end (Izmailov et al.
            2018); 0 for none.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    freeze_embeddings: bool = False
    freeze_layers: int = 0
    layer_decay: float = 1.0
    decay_convention: Literal["zhang", "electra"] = "zhang"
    reinitialise_layers: int = 0
    bias_correction: bool = True
    mixout: float = 0.0
    r_drop: float = 0.0
    average_last: float = 0.0

    def __post_init__(self) -> None:
        if min(self.freeze_layers, self.reinitialise_layers) < 0:
            raise ValueError("freeze_layers and reinitialise_layers are 0 or more")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"a layer_decay of {self.layer_decay:g}; give more than 0, at most 1")
        if self.decay_convention not in TOP_DEPTH:
            raise ValueError(f"decay_convention is {' or '.join(TOP_DEPTH)}, not {self.decay_convention}")
        if not (0 <= self.mixout <= 1 and 0 <= self.average_last <= 1):
            raise ValueError("mixout and average_last are from 0 to 1")
        if self.r_drop < 0:
            raise ValueError(f"r_drop is {self.r_drop:g}; a weight is 0 or more")


@dataclass(frozen=True)
class Parts:
    """The modules of an encoder; together they hold all its weights.

    Args:
        embeddings: with ELECTRA's projection, and their LayerNorm.
        layers: the lowest first.
        pooler: BERT's and its heirs', or what has its place and weights in a Longformer's head for documents
            (`encoders.heads.begin_from_pooler`); None where there is none.
    """

    embeddings: Sequence[nn.Module]
    layers: Sequence[nn.Module]
    pooler: nn.Module | None

    @classmethod
    def of(cls, model: PreTrainedModel) -> Parts:
        """Of a model with a head or without.

        Raises:
            LongbioError: the family isn't known.
        """
        kind = model.config.model_type
        if kind not in FAMILIES:
            raise LongbioError(
                f"the layers of a {kind} are not known here; those of {', '.join(FAMILIES)} are",
                where="model",
                remedy="leave freezing, layer_decay, reinitialise_layers and mixout off",
            )
        encoder = model.base_model
        embeddings = [getattr(encoder, name, None) for name in ("embeddings", "embeddings_project")]
        return cls(
            [module for module in embeddings if module is not None],
            list(encoder.get_submodule(FAMILIES[kind].layers).children()),
            _pooler(model),
        )


def _pooler(model: PreTrainedModel) -> nn.Module | None:
    pooler = getattr(model.base_model, "pooler", None)
    if pooler is None and model.config.model_type == "longformer":
        pooler = getattr(getattr(model, "classifier", None), "dense", None)
    return pooler


def prepare(model: PreTrainedModel, stability: Stability) -> None:
    """Re-initialise, freeze, and install mixout: after loading, before training.

    The model is changed in place. What begins at random is drawn from torch's generator: seed it.

    Raises:
        LongbioError: the model has too few layers or an unknown family, R-Drop would compare a pass with
            itself, or mixout meets weights that FSDP or DeepSpeed divides.
    """
    _refuse_equal_passes(model, stability)
    frozen, random = stability.freeze_layers, stability.reinitialise_layers
    if not (frozen or random or stability.freeze_embeddings or stability.mixout):
        return
    parts = Parts.of(model)
    if frozen + random > len(parts.layers):
        raise LongbioError(
            f"{frozen} layers are to be frozen and {random} to begin at random,"
            f" and the model has {len(parts.layers)}",
            where="freeze_layers, reinitialise_layers",
        )
    pretrained = parts.layers[: len(parts.layers) - random]
    for module in parts.layers[len(pretrained) :]:
        initialise(model, module.modules())
    if random and parts.pooler is not None:
        initialise(model, parts.pooler.modules())

    below = parts.embeddings if frozen or stability.freeze_embeddings else ()
    for module in (*below, *parts.layers[:frozen]):
        module.requires_grad_(False)
    if stability.mixout:
        refuse_sharded("mixout needs")
        mixout.install(pretrained, stability.mixout)


def _refuse_equal_passes(model: PreTrainedModel, stability: Stability) -> None:
    names = dropout_names(model.config.model_type)
    if stability.r_drop and not stability.mixout and not any(getattr(model.config, name) for name in names):
        raise LongbioError(
            "R-Drop compares passes that differ by dropout, and the model has none",
            where="r_drop",
            remedy="set dropout to 0.1, or mixout above 0",
        )


def parameter_groups(model: PreTrainedModel, settings: TrainingSettings, stability: Stability) -> list[Group]:
    """The weights of a prepared model that learn, each with its rate and decay, for `train`; frozen ones are
    in no group.

    Raises:
        LongbioError: layers decay and the family isn't known.
    """
    factors = {} if stability.layer_decay == 1 else _factors(Parts.of(model), stability)
    groups = optimizers.parameter_groups(model, settings, factors)
    if not stability.bias_correction:
        groups = [group | {"bias_correction": False} for group in groups]
    return groups


def _factors(parts: Parts, stability: Stability) -> dict[int, float]:
    """Of the learning rate, by the id of a weight of the layers and the embeddings."""
    from_top = [[layer] for layer in reversed(parts.layers)] + [list(parts.embeddings)]
    return {
        id(weight): stability.layer_decay**depth
        for depth, modules in enumerate(from_top, start=TOP_DEPTH[stability.decay_convention])
        for module in modules
        for weight in module.parameters()
    }


def wrap_loss(summed_loss: SummedLoss, stability: Stability, logits_of: LogitsOf | None = None) -> SummedLoss:
    """The loss of a task with R-Drop, or as it is without.

    Raises:
        LongbioError: R-Drop is on and there are no softmaxes to compare, as of a regression.
    """
    if not stability.r_drop:
        return summed_loss
    if logits_of is None:
        raise nothing_to_compare()
    return with_rdrop(summed_loss, stability.r_drop, logits_of)


def train_stably(
    model: PreTrainedModel,
    samples: Dataset[Any],
    collate: Callable[[Sequence[Any]], dict[str, Tensor]],
    summed_loss: SummedLoss,
    settings: TrainingSettings,
    folder: Path,
    stability: Stability,
    *,
    logits_of: LogitsOf | None = None,
    stopping: EarlyStopping | None = None,
    on_step: OnStep = lambda step, loss: None,
    callbacks: Sequence[transformers.TrainerCallback] = (),
) -> tuple[PreTrainedModel, list[float]]:
    """`train` with everything that `stability` asks for, from a model fresh from its folder; no mixout is
    left in it.

    A killed run ends with the same result when the model is loaded again, under the same seed of torch,
    before it is taken up.

    Raises:
        LongbioError: as `prepare`, `wrap_loss` and `train` do.
    """
    loss = wrap_loss(summed_loss, stability, logits_of)
    prepare(model, stability)
    trained, losses = train(
        model,
        samples,
        collate,
        loss,
        settings,
        folder,
        on_step,
        callbacks,
        groups=parameter_groups(model, settings, stability),
        average_last=stability.average_last,
        stopping=stopping,
    )
    mixout.remove(trained)
    return trained, losses
