"""What a family of encoders is: what it calls its weights and settings, and what it can take.

Conversion, loading, pre-training, fine-tuning and new vocabulary read this table and nothing else. Every
weight has a canonical name (the right column of a rename); `{i}` stands for a layer, `*` for `weight` and
`bias`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
GLOBAL_PROJECTIONS: Renames = (
    ("encoder.layer.{i}.attention.self.query_global.*", "layer.{i}.query.*"),
    ("encoder.layer.{i}.attention.self.key_global.*", "layer.{i}.key.*"),
    ("encoder.layer.{i}.attention.self.value_global.*", "layer.{i}.value.*"),
)
DISTILBERT_ENCODER: Renames = (
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
)
POOLER: Renames = (("pooler.dense.*", "pooler.*"),)
BERT_HEAD: Renames = (
    ("cls.predictions.transform.dense.*", "head.dense.*"),
    ("cls.predictions.transform.LayerNorm.*", "head.norm.*"),
    ("cls.predictions.bias", "head.bias"),
)
ROBERTA_HEAD: Renames = (
    ("lm_head.dense.*", "head.dense.*"),
    ("lm_head.layer_norm.*", "head.norm.*"),
    ("lm_head.bias", "head.bias"),
)
ELECTRA_HEAD: Renames = (
    ("generator_predictions.dense.*", "head.dense.*"),
    ("generator_predictions.LayerNorm.*", "head.norm.*"),
    ("generator_lm_head.bias", "head.bias"),
)
DISTILBERT_HEAD: Renames = (
    ("vocab_transform.*", "head.dense.*"),
    ("vocab_layer_norm.*", "head.norm.*"),
    ("vocab_projector.bias", "head.bias"),
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of encoders: the renames of its parts, and what it can take.

    Args:
        prefix: what a model with a head puts before the names of its encoder.
        head: of the masked-LM head; the first is of the first module after the encoder.
        decoder: the output matrix of that head: a copy of the word embeddings unless it was untied.
        layers: where the layers stand within the encoder.
        left_behind: weights that no long model has a place for, as patterns.
        head_activation: the activation inside the masked-LM head; None where it is the encoder's.
        first_after_padding: the first token's position is `pad_token_id + 1`, and not 0.
        packs: a row can hold several documents, by positions and a mask over pairs of tokens, or by the
            pattern of a long model.
        is_long: it has a kernel of ours.
        takes_global: it takes a `global_attention_mask`.
        min_token_types: rows the token-type table has at least.
    """

    prefix: str
    head: Renames
    decoder: str
    encoder: Renames = BERT_ENCODER
    pooler: Renames = POOLER
    layers: str = "encoder.layer"
    left_behind: tuple[str, ...] = ()
    head_activation: str | None = None
    first_after_padding: bool = False
    packs: bool = True
    is_long: bool = False
    takes_global: bool = False
    min_token_types: int = 0

    @property
    def head_module(self) -> str:
        """The first module after the encoder."""
        return self.head[0][0].partition(".")[0]

    @property
    def head_biases(self) -> tuple[str, str]:
        """The bias of the output matrix, and its second name, which an untied checkpoint computes with."""
        return self.head[-1][0], self.decoder.removesuffix("weight") + "bias"

    @property
    def renames(self) -> Renames:
        """Those of a whole masked-LM model with a pooler."""
        return (*((self.prefix + ours, theirs) for ours, theirs in self.encoder + self.pooler), *self.head)


ROBERTA = Family(
    prefix="roberta.",
    head=ROBERTA_HEAD,
    decoder="lm_head.decoder.weight",
    left_behind=("classifier.*", "qa_outputs.*"),
    head_activation="gelu",
    first_after_padding=True,
)

FAMILIES: dict[str, Family] = {
    "bert": Family(
        prefix="bert.",
        head=BERT_HEAD,
        decoder="cls.predictions.decoder.weight",
        left_behind=("cls.seq_relationship.*", "classifier.*", "qa_outputs.*"),
    ),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "electra": Family(
        prefix="electra.",
        pooler=(),
        head=ELECTRA_HEAD,
        decoder="generator_lm_head.weight",
        left_behind=("discriminator_predictions.*", "classifier.*", "qa_outputs.*"),
        head_activation="gelu",
    ),
    "distilbert": Family(
        prefix="distilbert.",
        encoder=DISTILBERT_ENCODER,
        pooler=(),
        layers="transformer.layer",
        head=DISTILBERT_HEAD,
        decoder="vocab_projector.weight",
        left_behind=("classifier.*", "pre_classifier.*", "qa_outputs.*"),
        packs=False,
    ),
    "longformer": Family(
        prefix="longformer.",
        encoder=BERT_ENCODER + GLOBAL_PROJECTIONS,
        head=ROBERTA_HEAD,
        decoder="lm_head.decoder.weight",
        head_activation="gelu",
        first_after_padding=True,
        is_long=True,
        takes_global=True,
        min_token_types=1,
    ),
    "big_bird": Family(
        prefix="bert.",
        pooler=(("pooler.*", "pooler.*"),),
        head=BERT_HEAD,
        decoder="cls.predictions.decoder.weight",
        is_long=True,
        min_token_types=2,
    ),
}
"""By `model_type` of the config."""

TARGETS: dict[str, Family] = {"longformer": FAMILIES["longformer"], "bigbird": FAMILIES["big_bird"]}
"""The long ones, by what a conversion calls them."""

SETTINGS: dict[str, dict[str, str]] = {
    "distilbert": {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    },
    "modernbert": {"hidden_dropout_prob": "mlp_dropout", "attention_probs_dropout_prob": "attention_dropout"},
}
"""Settings whose name differs from BERT's, by `model_type`; modernbert is fine-tuned here and no more."""

HEADS = tuple(sorted({f"{name.partition('.')[0]}." for f in FAMILIES.values() for name, _ in f.head}))
"""What the weights of masked-LM heads begin with."""

DECODERS = tuple({family.decoder for family in FAMILIES.values()})
DECODER_BIASES = tuple({name for family in FAMILIES.values() for name in family.head_biases})
"""What checkpoints call the output matrices of those heads, and their biases."""


def is_long(model_type: str) -> bool:
    """Whether a model has a kernel of ours."""
    return model_type in FAMILIES and FAMILIES[model_type].is_long


def takes_global(model_type: str) -> bool:
    """Whether a model takes a `global_attention_mask`."""
    return model_type in FAMILIES and FAMILIES[model_type].takes_global


def setting(config: Any, name: str) -> Any:
    """A setting of a config under BERT's name for it."""
    return getattr(config, SETTINGS.get(config.model_type, {}).get(name, name))


def dropout_names(model_type: str) -> tuple[str, str]:
    """What a family's config calls the dropout of hidden states and of attention weights."""
    names = SETTINGS.get(model_type, {})
    hidden, attention = "hidden_dropout_prob", "attention_probs_dropout_prob"
    return names.get(hidden, hidden), names.get(attention, attention)


def first_position(config: Any) -> int:
    """The row of the first token's position: some families begin with rows that belong to padding."""
    family = FAMILIES.get(config.model_type)
    return int(config.pad_token_id) + 1 if family is not None and family.first_after_padding else 0


def max_positions(config: Any) -> int:
    """Tokens that a model reads: its positions, less the rows that belong to padding."""
    return int(config.max_position_embeddings - first_position(config))


def expand(renames: Renames, num_layers: int) -> dict[str, str]:
    """Every rename of a table written out, with `{i}` and `*` replaced."""
    names: dict[str, str] = {}
    for ours, theirs in renames:
        for i in range(num_layers) if "{i}" in ours else (0,):
            for kind in ("weight", "bias") if "*" in ours else ("",):
                names[ours.format(i=i).replace("*", kind)] = theirs.format(i=i).replace("*", kind)
    return names
