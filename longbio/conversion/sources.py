"""A short checkpoint's weights under their canonical names, which `build` renames once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor

from longbio.encoders.families import FAMILIES, Family, expand
from longbio.errors import LongbioError

REFUSED: dict[str, str] = {
    "albert": "its layers share their weights and its embeddings are factorised",
    "deberta": "its attention is disentangled into content and position",
    "deberta-v2": "its attention is disentangled into content and position",
    "mobilebert": "its layers are bottlenecks without LayerNorm",
    "longformer": "it is long already",
    "big_bird": "it is long already",
}

BUFFERS = ("*position_ids", "*token_type_ids")


@dataclass(frozen=True)
class SourceWeights:
    """A short encoder's weights under their canonical names.

    Args:
        weights: canonical name -> tensor, sharing the checkpoint's storage.
        head_decoder: the output matrix where it differs from the word embeddings, else None.
        left_behind: names in the checkpoint for which a long model has no place.
    """

    weights: dict[str, Tensor]
    head_decoder: Tensor | None
    left_behind: tuple[str, ...]

    @property
    def has_head(self) -> bool:
        """True when the checkpoint holds a masked-LM head."""
        return "head.bias" in self.weights

    @property
    def has_pooler(self) -> bool:
        """True when the checkpoint holds a pooler."""
        return "pooler.weight" in self.weights


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """The family of this config.

    Raises:
        LongbioError: longbio can't convert it; the message has the reason.
    """
    kind = config.get("model_type")
    if kind in FAMILIES and kind not in REFUSED:
        return FAMILIES[str(kind)]
    reason = REFUSED.get(str(kind), f"the family {kind!r} is unknown to longbio")
    names = ", ".join(name for name in FAMILIES if name not in REFUSED)
    raise LongbioError(f"can't be converted: {reason}", where=where, remedy=f"convert one of {names}")


def canonical(state: Mapping[str, Tensor], model_type: str, num_layers: int, where: str) -> SourceWeights:
    """Rename a checkpoint's weights, with no name left over on either side.

    Args:
        state: the checkpoint.
        model_type: a key of `FAMILIES`.
        num_layers: layers of the encoder.
        where: the checkpoint, for messages.

    Raises:
        LongbioError: a weight is missing, or there is one that the family doesn't know.
    """
    family = FAMILIES[model_type]
    found = {name.removeprefix(family.prefix): tensor for name, tensor in state.items()}
    bias, second_bias = family.head_biases
    if second_bias in found:
        found[bias] = found.pop(second_bias)
    weights: dict[str, Tensor] = {}
    for table, needed in ((family.encoder, True), (family.pooler, False), (family.head, False)):
        names = expand(table, num_layers)
        present = [name for name in names if name in found]
        missing = [name for name in names if name not in found]
        if missing and (needed or present):
            raise LongbioError(
                f"{len(missing)} weights are missing, the first is {missing[0]}",
                where=where,
                remedy="download or export the model again",
            )
        weights |= {names[name]: found.pop(name) for name in present}

    decoder = found.pop(family.decoder, None)
    word = weights["embeddings.word"]
    tied = decoder is None or (decoder.shape == word.shape and bool((decoder == word).all()))
    rest = [n for n in found if not any(fnmatchcase(n, b) for b in BUFFERS)]
    unknown = [n for n in rest if not any(fnmatchcase(n, p) for p in family.left_behind)]
    if unknown:
        raise LongbioError(
            f"{len(unknown)} weights are unknown to the family {model_type}, the first is {unknown[0]}",
            where=where,
            remedy="convert the plain encoder or its masked-LM model",
        )
    return SourceWeights(weights, None if tied else decoder, tuple(sorted(rest)))
