"""The two long families: what they call the canonical weights."""

from __future__ import annotations

from dataclasses import dataclass

from longbio.conversion.sources import Renames


@dataclass(frozen=True)
class Target:
    """How a long family names its weights.

    Args:
        model_type: of its config.
        architecture: the class that holds encoder and masked-LM head.
        renames: native name <- canonical name, for the whole union of encoder, pooler and head.
        decoder: name of the output matrix, saved only where it isn't the word embeddings.
        head_activation: the activation its head is bound to; None where it is the config's.
        min_token_types: rows the token-type table has at least.
    """

    model_type: str
    architecture: str
    renames: Renames
    decoder: str
    head_activation: str | None
    min_token_types: int


def _encoder(prefix: str) -> Renames:
    layer = f"{prefix}encoder.layer.{{i}}."
    return (
        (f"{prefix}embeddings.word_embeddings.weight", "embeddings.word"),
        (f"{prefix}embeddings.position_embeddings.weight", "embeddings.position"),
        (f"{prefix}embeddings.token_type_embeddings.weight", "embeddings.token_type"),
        (f"{prefix}embeddings.LayerNorm.*", "embeddings.norm.*"),
        (f"{layer}attention.self.query.*", "layer.{i}.query.*"),
        (f"{layer}attention.self.key.*", "layer.{i}.key.*"),
        (f"{layer}attention.self.value.*", "layer.{i}.value.*"),
        (f"{layer}attention.output.dense.*", "layer.{i}.attention_output.*"),
        (f"{layer}attention.output.LayerNorm.*", "layer.{i}.attention_norm.*"),
        (f"{layer}intermediate.dense.*", "layer.{i}.up.*"),
        (f"{layer}output.dense.*", "layer.{i}.down.*"),
        (f"{layer}output.LayerNorm.*", "layer.{i}.output_norm.*"),
    )


TARGETS: dict[str, Target] = {
    "longformer": Target(
        model_type="longformer",
        architecture="LongformerForMaskedLM",
        renames=(
            *_encoder("longformer."),
            ("longformer.encoder.layer.{i}.attention.self.query_global.*", "layer.{i}.query.*"),
            ("longformer.encoder.layer.{i}.attention.self.key_global.*", "layer.{i}.key.*"),
            ("longformer.encoder.layer.{i}.attention.self.value_global.*", "layer.{i}.value.*"),
            ("longformer.pooler.dense.*", "pooler.*"),
            ("lm_head.dense.*", "head.dense.*"),
            ("lm_head.layer_norm.*", "head.norm.*"),
            ("lm_head.bias", "head.bias"),
        ),
        decoder="lm_head.decoder.weight",
        head_activation="gelu",
        min_token_types=1,
    ),
    "bigbird": Target(
        model_type="big_bird",
        architecture="BigBirdForMaskedLM",
        renames=(
            *_encoder("bert."),
            ("bert.pooler.*", "pooler.*"),
            ("cls.predictions.transform.dense.*", "head.dense.*"),
            ("cls.predictions.transform.LayerNorm.*", "head.norm.*"),
            ("cls.predictions.bias", "head.bias"),
        ),
        decoder="cls.predictions.decoder.weight",
        head_activation=None,
        min_token_types=2,
    ),
}
