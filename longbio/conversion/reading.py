"""A short encoder as it lies on disk, read whole and checked before anything is built from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from longbio.artifacts import checkpoints
from longbio.conversion import sources
from longbio.conversion.sources import SourceWeights
from longbio.encoders.casing import Casing
from longbio.encoders.families import Family, first_position, setting
from longbio.encoders.loading import config_of, read_tokenizer
from longbio.errors import LongbioError


@dataclass(frozen=True)
class Source:
    """A short encoder: its settings, tokenizer and weights under canonical names.

    Args:
        name: what the user called it, a folder or a hub name.
        folder: where its files are.
        casing: how a WordPiece tokenizer reads capitals and accents.
    """

    name: str
    folder: Path
    config: PretrainedConfig
    family: Family
    tokenizer: PreTrainedTokenizerBase
    weights: SourceWeights
    casing: Casing | None = None

    def setting(self, name: str) -> Any:
        """A setting under BERT's name for it."""
        return setting(self.config, name)

    def load(self, kind: Any) -> Any:
        """The source itself, in float32, as a class of transformers."""
        # Padding decides where RoBERTa's positions begin, and its config need not name it.
        return kind.from_pretrained(self.folder, dtype=torch.float32, pad_token_id=self.pad_token_id)

    @property
    def pad_token_id(self) -> int:
        """Of the config, or of the tokenizer where the config has none."""
        return int(self.config.pad_token_id)

    @property
    def first_row(self) -> int:
        """The position row of a text's first token."""
        return first_position(self.config)


def read_source(name: str, folder: Path, lowercase: bool | None = None) -> Source:
    """Read a short encoder.

    Args:
        name: what the user called it.
        folder: where its files are.
        lowercase: what the user says of its tokenizer; None to find out.

    Raises:
        LongbioError: the family can't be converted, or a file is missing, corrupt, or disagrees
            with another.
    """
    family = sources.family_of(checkpoints.read_config(folder), name)
    config = config_of(folder)
    _refuse_config(config, name)
    num_layers = setting(config, "num_hidden_layers")
    weights = sources.canonical(checkpoints.read_weights(folder), config.model_type, num_layers, name)
    tokenizer, casing = read_tokenizer(folder, lowercase)
    source = Source(name, folder, config, family, tokenizer, weights, casing)
    _check_shapes(source)
    return source


def refuse_what_cannot_be_expressed(source: Source, target: Family) -> None:
    """Raise `LongbioError` with the reason why `target` can't compute what `source` does."""
    act = source.setting("hidden_act")
    head_act, target_act = source.family.head_activation or act, target.head_activation or act
    if source.weights.has_head and head_act != target_act:
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
    weights, decoder = dict(source.weights.weights), source.weights.head_decoder
    if decoder is not None:
        weights["head.decoder"] = decoder
    for name, tensor in weights.items():
        wanted = tables.get(name, _layer_shape(name, hidden, inner))
        if tuple(tensor.shape) != wanted:
            raise LongbioError(
                f"{name} is {tuple(tensor.shape)}, config.json says {wanted}",
                where=source.name,
                remedy="use the config that belongs to these weights",
            )
    if len(source.tokenizer) > vocabulary:
        raise LongbioError(
            f"the tokenizer has {len(source.tokenizer)} tokens, the embeddings {vocabulary}",
            where=source.name,
            remedy="use the tokenizer that belongs to these weights",
        )


def _layer_shape(name: str, hidden: int, inner: int) -> tuple[int, ...]:
    rows = inner if ".up." in name else hidden
    columns = inner if ".down." in name else hidden
    return (rows,) if name.endswith("bias") or "norm." in name else (rows, columns)
