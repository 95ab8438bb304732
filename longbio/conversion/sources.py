"""A short encoder as it lies on disk: read whole, renamed, and checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from longbio.artifacts import checkpoints
from longbio.encoders.casing import Casing
from longbio.encoders.config_checks import refuse_misfits
from longbio.encoders.families import FAMILIES, Family, expand, first_position, setting
from longbio.encoders.loading import config_of, read_tokenizer
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


class Renamed(NamedTuple):
    """A checkpoint's weights under their canonical names: the first three fields of a `Source`'s."""

    weights: dict[str, Tensor]
    head_decoder: Tensor | None
    left_behind: list[str]


@dataclass(frozen=True)
class Source:
    """A short encoder.

    Args:
        name: what the user called it, a folder or a hub name.
        folder: where its files are.
        weights: canonical name -> tensor, sharing the checkpoint's storage.
        head_decoder: the output matrix where it differs from the word embeddings, else None.
        left_behind: names in the checkpoint for which a long model has no place.
        casing: how a WordPiece tokenizer reads capitals and accents.
    """

    name: str
    folder: Path
    config: PretrainedConfig
    family: Family
    tokenizer: PreTrainedTokenizerBase
    weights: dict[str, Tensor]
    head_decoder: Tensor | None
    left_behind: list[str]
    casing: Casing | None = None

    def setting(self, name: str) -> Any:
        """A setting under BERT's name for it."""
        return setting(self.config, name)

    def load(self, kind: Any) -> Any:
        """The source itself, in float32, as a class of transformers."""
        # Padding decides where RoBERTa's positions begin, and its config need not name it.
        return kind.from_pretrained(self.folder, dtype=torch.float32, pad_token_id=self.pad_token_id)

    @property
    def has_head(self) -> bool:
        """The checkpoint holds a masked-LM head."""
        return "head.bias" in self.weights

    @property
    def has_pooler(self) -> bool:
        """The checkpoint holds a pooler."""
        return "pooler.weight" in self.weights

    @property
    def pad_token_id(self) -> int:
        """Of the config, or of the tokenizer where the config has none."""
        return int(self.config.pad_token_id)

    @property
    def first_row(self) -> int:
        """The position row of a text's first token."""
        return first_position(self.config)

    @property
    def num_tokens(self) -> int:
        """What it reads at most."""
        return len(self.weights["embeddings.position"]) - self.first_row

    def first_row_in(self, target: Family) -> int:
        """The position row of a text's first token in the long model."""
        return self.pad_token_id + 1 if target.first_after_padding else 0


def read_source(name: str, folder: Path, lowercase: bool | None = None) -> Source:
    """Read a short encoder that the user called `name`; `lowercase` as the user says, None to find out.

    Raises LongbioError where the family can't be converted, or a file is missing, corrupt, or disagrees with
    another.
    """
    family = family_of(checkpoints.read_config(folder), name)
    config = config_of(folder)
    _refuse_config(config, name)
    num_layers = setting(config, "num_hidden_layers")
    renamed = rename_to_canonical(checkpoints.read_weights(folder), config.model_type, num_layers, name)
    tokenizer, casing = read_tokenizer(folder, lowercase)
    source = Source(name, folder, config, family, tokenizer, *renamed, casing)
    _check_shapes(source)
    return source


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """The family of this config. Raises LongbioError where longbio can't convert it, with the reason."""
    kind = config.get("model_type")
    if kind in FAMILIES and kind not in REFUSED:
        return FAMILIES[str(kind)]
    reason = REFUSED.get(str(kind), f"the family {kind!r} is unknown to longbio")
    names = ", ".join(name for name in FAMILIES if name not in REFUSED)
    raise LongbioError(f"can't be converted: {reason}", where=where, remedy=f"convert one of {names}")


def rename_to_canonical(state: Mapping[str, Tensor], model_type: str, num_layers: int, where: str) -> Renamed:
    """Rename a checkpoint's weights, with no name left over on either side.

    Raises LongbioError where a weight is missing, or there is one that the family doesn't know.
    """
    family = FAMILIES[model_type]
    tensors = {name.removeprefix(family.prefix): tensor for name, tensor in state.items()}
    bias, second_bias = family.head_biases
    if second_bias in tensors:
        tensors[bias] = tensors.pop(second_bias)
    weights: dict[str, Tensor] = {}
    for table, needed in ((family.encoder, True), (family.pooler, False), (family.head, False)):
        names = expand(table, num_layers)
        present = [name for name in names if name in tensors]
        missing = [name for name in names if name not in tensors]
        if missing and (needed or present):
            what = f"{len(missing)} weights are missing, the first is {missing[0]}"
            raise LongbioError(what, where=where, remedy="download or export the model again")
        weights |= {names[name]: tensors.pop(name) for name in present}

    decoder = tensors.pop(family.decoder, None)
    word = weights["embeddings.word"]
    tied = decoder is None or (decoder.shape == word.shape and bool((decoder == word).all()))
    rest = [n for n in tensors if not any(fnmatchcase(n, b) for b in BUFFERS)]
    unknown = [n for n in rest if not any(fnmatchcase(n, p) for p in family.left_behind)]
    if unknown:
        what = f"{len(unknown)} weights are unknown to the family {model_type}, the first is {unknown[0]}"
        raise LongbioError(what, where=where, remedy="convert the plain encoder or its masked-LM model")
    return Renamed(weights, None if tied else decoder, sorted(rest))


def refuse_what_cannot_be_expressed(source: Source, target: Family) -> None:
    """Raise `LongbioError` with the reason why `target` can't compute what `source` does."""
    act = source.setting("hidden_act")
    head_act, target_act = source.family.head_activation or act, target.head_activation or act
    if source.has_head and head_act != target_act:
        reason = f"its masked-LM head uses {head_act}, the long model's is bound to {target_act}"
        raise _inexpressible(reason, source.name)


def _refuse_config(config: PretrainedConfig, name: str) -> None:
    """Raise when no long model computes what this config says, whatever the weights are."""
    hidden = setting(config, "hidden_size")
    embedded = getattr(config, "embedding_size", hidden)
    reasons = {
        "it is a decoder": getattr(config, "is_decoder", False),
        "its positions are relative": getattr(config, "position_embedding_type", "absolute") != "absolute",
        f"its embeddings of {embedded} are projected to {hidden}, and no long model has that layer": (
            embedded != hidden
        ),
    }
    for reason, holds in reasons.items():
        if holds:
            raise _inexpressible(reason, name)


def _inexpressible(reason: str, name: str) -> LongbioError:
    return LongbioError(f"can't be converted: {reason}", where=name, remedy="choose another source or --to")


def _check_shapes(source: Source) -> None:
    hidden, inner = source.setting("hidden_size"), source.setting("intermediate_size")
    config, vocabulary = source.config, source.config.vocab_size
    tables = {
        "embeddings.word": (vocabulary, hidden),
        "embeddings.position": (config.max_position_embeddings, hidden),
        "embeddings.token_type": (getattr(config, "type_vocab_size", 0), hidden),
        "head.bias": (vocabulary,),
        "head.decoder": (vocabulary, hidden),
    }
    decoder = {} if source.head_decoder is None else {"head.decoder": source.head_decoder}
    shapes = {name: tuple(tensor.shape) for name, tensor in (source.weights | decoder).items()}
    wanted = {name: tables.get(name, _layer_shape(name, hidden, inner)) for name in shapes}
    misfits = [(name, shape, wanted[name]) for name, shape in shapes.items() if shape != wanted[name]]
    refuse_misfits(source.name, misfits)
    if len(source.tokenizer) > vocabulary:
        what = f"the tokenizer has {len(source.tokenizer)} tokens, the embeddings {vocabulary}"
        raise LongbioError(what, where=source.name, remedy="use the tokenizer that belongs to these weights")


def _layer_shape(name: str, hidden: int, inner: int) -> tuple[int, ...]:
    rows = inner if ".up." in name else hidden
    columns = inner if ".down." in name else hidden
    return (rows,) if name.endswith("bias") or "norm." in name else (rows, columns)
