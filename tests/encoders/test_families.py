"""What the table says of a family is what transformers' own models of it have."""

from __future__ import annotations

import pytest
from transformers import AutoConfig, AutoModelForMaskedLM

from longbio.encoders.families import (
    FAMILIES,
    dropout_names,
    expand,
    first_position,
    max_positions,
    setting,
)

SIZES = {"vocab_size": 50, "max_position_embeddings": 40, "pad_token_id": 1}
OWN = {
    "distilbert": {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12},
    "electra": {"embedding_size": 8},
    "longformer": {"attention_window": [4, 4]},
    "big_bird": {"block_size": 4},
}
BERTS = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}


@pytest.mark.parametrize("model_type", FAMILIES)
def test_names_and_counts_are_those_of_a_model(model_type: str) -> None:
    family = FAMILIES[model_type]
    sizes = SIZES | ({} if model_type == "distilbert" else BERTS) | OWN.get(model_type, {})
    config = AutoConfig.for_model(model_type, **sizes)
    model = AutoModelForMaskedLM.from_config(config)

    assert (setting(config, "hidden_size"), setting(config, "intermediate_size")) == (8, 12)
    assert all(isinstance(getattr(config, name), float) for name in dropout_names(model_type))
    assert first_position(config) == (2 if family.first_after_padding else 0)
    assert max_positions(config) == (38 if family.first_after_padding else 40)
    padding = model.base_model.embeddings.position_embeddings.padding_idx
    assert (padding == 1) == family.first_after_padding

    assert len(model.base_model.get_submodule(family.layers)) == 2
    assert model.get_submodule(family.head_module) is not None
    decoder = model.get_submodule(family.decoder.removesuffix(".weight"))
    assert decoder is model.get_output_embeddings()
    assert family.prefix == f"{model.base_model_prefix}."
    bias, second_bias = family.head_biases
    assert model.get_parameter(bias).shape == (50,)
    poolers = {f"{family.prefix}{name}" for name in expand(family.pooler, 2)}
    ours = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    # Second names of what is tied: the word embeddings, and the bias where it has two.
    ours -= {family.decoder, second_bias} - {bias}
    assert set(expand(family.renames, 2)) == ours | poolers
