"""The families longbio converts: one table of renames each, and what their configs call things.

Every weight has a canonical name (the right column); `targets.py` renames those once more.
`{i}` stands for a layer, `*` for `weight` and `bias`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor

from longbio.errors import LongbioError

Renames = tuple[tuple[str, str], ...]

BERT_ENCODER: Renames = (
    ("embeddings.word_embeddings.weight", "embeddings.word"),
    ("embeddings.position_embeddings.weight", "embeddings.position"),
    ("embeddings.token_type_embeddings.weight", "embeddings.token_type"),
    ("embeddings.LayerNorm.*", "embeddings.norm.*"),
    ("encoder.layer.{i}.attention.self.query.*", "layer.{i}.query.*"),
    ("encoder.layer.{i}.attention.self.key.*", "layer.{i}.key.*"),
    ("encoder.layer.{i}.attention.self.value.*", "layer.{i}.value.*"),
    ("encoder.layer.{i}.attention.output.dense.*", "layer.{i}.attention_output.*"),
    ("encoder.layer.{i}.attention.output.LayerNorm.*", "layer.{i}.attention_norm.*"),
    ("encoder.layer.{i}.intermediate.dense.*", "layer.{i}.up.*"),
    ("encoder.layer.{i}.output.dense.*", "layer.{i}.down.*"),
    ("encoder.layer.{i}.output.LayerNorm.*", "layer.{i}.output_norm.*"),
)
POOLER: Renames = (("pooler.dense.*", "pooler.*"),)


@dataclass(frozen=True)
class Family:
    """How one family of short encoders names its weights and settings.

    Args:
        prefix: what a model with a head puts before the names of its encoder.
        encoder: renames of the encoder, every one of which must be there.
        pooler: renames of the pooler, all there or none.
        head: renames of the masked-LM head, all there or none.
        left_behind: weights that no long model has a place for, as patterns. The model card
            names those that were found.
        special_rows: position rows before that of the first token.
        head_activation: the activation inside the masked-LM head; None where it is the encoder's.
        config_names: settings whose name differs from BERT's.
    """

    prefix: str
    encoder: Renames
    pooler: Renames
    head: Renames
    left_behind: tuple[str, ...] = ()
    special_rows: bool = False
    head_activation: str | None = None
    config_names: Mapping[str, str] | None = None


BERT = Family(
    prefix="bert.",
    encoder=BERT_ENCODER,
    pooler=POOLER,
    head=(
        ("cls.predictions.transform.dense.*", "head.dense.*"),
        ("cls.predictions.transform.LayerNorm.*", "head.norm.*"),
        ("cls.predictions.bias", "head.bias"),
    ),
    left_behind=("cls.seq_relationship.*", "classifier.*", "qa_outputs.*"),
)
ROBERTA = Family(
    prefix="roberta.",
    encoder=BERT_ENCODER,
    pooler=POOLER,
    head=(
        ("lm_head.dense.*", "head.dense.*"),
        ("lm_head.layer_norm.*", "head.norm.*"),
        ("lm_head.bias", "head.bias"),
    ),
    left_behind=("classifier.*", "qa_outputs.*"),
    special_rows=True,
    head_activation="gelu",
)
ELECTRA = Family(
    prefix="electra.",
    encoder=BERT_ENCODER,
    pooler=(),
    head=(
        ("generator_predictions.dense.*", "head.dense.*"),
        ("generator_predictions.LayerNorm.*", "head.norm.*"),
        ("generator_lm_head.bias", "head.bias"),
    ),
    left_behind=("discriminator_predictions.*", "classifier.*", "qa_outputs.*"),
    head_activation="gelu",
)
DISTILBERT = Family(
    prefix="distilbert.",
    encoder=(
        ("embeddings.word_embeddings.weight", "embeddings.word"),
        ("embeddings.position_embeddings.weight", "embeddings.position"),
        ("embeddings.LayerNorm.*", "embeddings.norm.*"),
        ("transformer.layer.{i}.attention.q_lin.*", "layer.{i}.query.*"),
        ("transformer.layer.{i}.attention.k_lin.*", "layer.{i}.key.*"),
        ("transformer.layer.{i}.attention.v_lin.*", "layer.{i}.value.*"),
        ("transformer.layer.{i}.attention.out_lin.*", "layer.{i}.attention_output.*"),
        ("transformer.layer.{i}.sa_layer_norm.*", "layer.{i}.attention_norm.*"),
        ("transformer.layer.{i}.ffn.lin1.*", "layer.{i}.up.*"),
        ("transformer.layer.{i}.ffn.lin2.*", "layer.{i}.down.*"),
        ("transformer.layer.{i}.output_layer_norm.*", "layer.{i}.output_norm.*"),
    ),
    pooler=(),
    head=(
        ("vocab_transform.*", "head.dense.*"),
        ("vocab_layer_norm.*", "head.norm.*"),
        ("vocab_projector.bias", "head.bias"),
    ),
    left_behind=("classifier.*", "pre_classifier.*", "qa_outputs.*"),
    config_names={
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    },
)

FAMILIES: dict[str, Family] = {
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "electra": ELECTRA,
    "distilbert": DISTILBERT,
}
"""By `model_type` of the config."""

REFUSED: dict[str, str] = {
    "albert": "its layers share their weights and its embeddings are factorised",
    "deberta": "its attention is disentangled into content and position",
    "deberta-v2": "its attention is disentangled into content and position",
    "mobilebert": "its layers are bottlenecks without LayerNorm",
    "longformer": "it is long already",
    "big_bird": "it is long already",
}

DECODERS: dict[str, str] = {
    "bert": "cls.predictions.decoder.weight",
    "roberta": "lm_head.decoder.weight",
    "xlm-roberta": "lm_head.decoder.weight",
    "camembert": "lm_head.decoder.weight",
    "electra": "generator_lm_head.weight",
    "distilbert": "vocab_projector.weight",
}
"""The output matrix of the masked-LM head: a copy of the word embeddings unless it was untied."""

DECODER_BIASES: dict[str, str] = {
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "lm_head.decoder.bias": "lm_head.bias",
}
"""Second names of the head's bias. Where an untied checkpoint has both, the first is computed with."""

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
    if kind in FAMILIES:
        return FAMILIES[str(kind)]
    reason = REFUSED.get(str(kind), f"the family {kind!r} is unknown to longbio")
    raise LongbioError(
        f"can't be converted: {reason}", where=where, remedy=f"convert one of {', '.join(FAMILIES)}"
    )


def expand(renames: Renames, num_layers: int) -> dict[str, str]:
    """Every rename of a table written out, with `{i}` and `*` replaced."""
    names: dict[str, str] = {}
    for ours, theirs in renames:
        for i in range(num_layers) if "{i}" in ours else (0,):
            for kind in ("weight", "bias") if "*" in ours else ("",):
                names[ours.format(i=i).replace("*", kind)] = theirs.format(i=i).replace("*", kind)
    return names


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
    found = {_bare(name, family.prefix): tensor for name, tensor in state.items()}
    for name in DECODER_BIASES.keys() & found.keys():
        found[DECODER_BIASES[name]] = found.pop(name)
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

    decoder = found.pop(DECODERS[model_type], None)
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


def _bare(name: str, prefix: str) -> str:
    return name.removeprefix(prefix)
