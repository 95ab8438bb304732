"""Where a model of each family has its layers, embeddings and pooler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from longbio.encoders.families import FAMILIES
from longbio.errors import LongbioError


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
    found = getattr(model.base_model, "pooler", None)
    if found is None and model.config.model_type == "longformer":
        found = getattr(getattr(model, "classifier", None), "dense", None)
    return found
