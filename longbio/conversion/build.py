"""The weights, config and tokenizer of a long model, out of those of a short one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from transformers import PretrainedConfig

from longbio.conversion.settings import ConversionSettings, How
from longbio.conversion.sources import Source
from longbio.encoders.families import Family, expand

SHARED_SETTINGS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
)
"""Settings that a long model takes over under the same name."""


def write(folder: Path, source: Source, target: Family, settings: ConversionSettings) -> list[str]:
    """Write config, weights and tokenizer of the long model into `folder`.

    Returns:
        A sentence for each thing that the source lacks and that was made up.
    """
    whole, made_up = complete_weights(source, target)
    whole["embeddings.position"] = position_table(source, target, settings)
    config = long_config(source, target, settings, whole)

    state = rename_to_target(whole, target, config.num_hidden_layers)
    decoder = source.head_decoder
    if decoder is not None:
        state[target.decoder] = decoder.contiguous()
        state[target.decoder.replace("weight", "bias")] = whole["head.bias"].clone()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)

    # A tokenizer.json may hold the cut of a shorter use: MiniLM's stops at 128 tokens.
    tokenizer = source.tokenizer
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.model_max_length = settings.max_tokens
    tokenizer.save_pretrained(folder)
    return made_up


def complete_weights(source: Source, target: Family) -> tuple[dict[str, Tensor], list[str]]:
    """The source's canonical weights with what it lacks, and a sentence for each thing that was made up."""
    whole, made_up = dict(source.weights), []
    word = whole["embeddings.word"]
    hidden = word.shape[1]

    if not source.has_pooler:
        identity = torch.eye(hidden, dtype=word.dtype)
        whole |= {"pooler.weight": identity, "pooler.bias": word.new_zeros(hidden)}
        made_up.append("pooler: the source has none, so its dense layer is the identity")
    if not source.has_head:
        whole |= {
            "head.dense.weight": torch.eye(hidden, dtype=word.dtype),
            "head.dense.bias": word.new_zeros(hidden),
            "head.norm.weight": word.new_ones(hidden),
            "head.norm.bias": word.new_zeros(hidden),
            "head.bias": word.new_zeros(len(word)),
        }
        made_up.append(
            "masked-LM head: the source has none, so it is its word embeddings, "
            "with the identity as dense layer; train it before its scores mean anything"
        )

    types = whole.get("embeddings.token_type")
    if types is None:
        whole["embeddings.token_type"] = word.new_zeros(target.min_token_types, hidden)
        made_up.append("token types: the source has none, so the rows are zero")
    elif len(types) < target.min_token_types:
        copies = types[:1].expand(target.min_token_types - len(types), -1)
        whole["embeddings.token_type"] = torch.cat([types, copies])
        made_up.append("token types: the second is a copy of the first")
    return whole, made_up


def position_table(source: Source, target: Family, settings: ConversionSettings) -> Tensor:
    """The long model's position rows: a Longformer counts from `pad_token_id + 1`, a BigBird from 0."""
    table, first = source.weights["embeddings.position"], source.first_row
    rows = stretch_positions(table[first:], settings.max_tokens, settings.positions)
    return number_positions(rows, table[:first], source.first_row_in(target))


def stretch_positions(rows: Tensor, max_tokens: int, how: How) -> Tensor:
    """(max_tokens, hidden size), storage of its own.

    Args:
        rows: (source positions, hidden size), the rows of real positions only.
        how: `tile` repeats the rows, which keeps every distance within a tile as it was learned
            (Longformer, Beltagy et al. 2020, section 5); `interpolate` spreads them evenly.
    """
    if how == "tile":
        return rows.repeat(-(-max_tokens // len(rows)), 1)[:max_tokens].clone()
    spread = torch.nn.functional.interpolate(
        rows.float().T[None], size=max_tokens, mode="linear", align_corners=True
    )
    return spread[0].T.to(rows.dtype).contiguous()


def number_positions(rows: Tensor, special_rows: Tensor, first_row: int) -> Tensor:
    """(first_row + max_tokens, hidden size): the table of a model whose first token has row `first_row`.

    Before it stand the source's own special rows; those that it lacks are zero, as the padding row of a fresh
    embedding is.
    """
    table = rows.new_zeros(first_row + len(rows), rows.shape[1])
    table[first_row:] = rows
    shared = min(first_row, len(special_rows))
    table[:shared] = special_rows[:shared]
    return table


def rename_to_target(whole: Mapping[str, Tensor], target: Family, num_layers: int) -> dict[str, Tensor]:
    """Rename to the target's names: each tensor with storage of its own, none left over."""
    names = expand(target.renames, num_layers)
    unused = set(whole) - set(names.values())
    assert not unused, f"no place in a long model for {sorted(unused)}"
    state: dict[str, Tensor] = {}
    used: set[str] = set()
    for native_name, canonical in names.items():
        # Local and global projections share a canonical name; whoever comes second is a clone.
        tensor = whole[canonical]
        state[native_name] = tensor.clone() if canonical in used else tensor.contiguous()
        used.add(canonical)
    return state


def long_config(
    source: Source, target: Family, settings: ConversionSettings, whole: Mapping[str, Tensor]
) -> PretrainedConfig:
    """The native config: the source's settings, the target's attention."""
    tokenizer = source.tokenizer
    values = {name: source.setting(name) for name in SHARED_SETTINGS}
    values |= {
        "max_position_embeddings": len(whole["embeddings.position"]),
        "type_vocab_size": len(whole["embeddings.token_type"]),
        "layer_norm_eps": getattr(source.config, "layer_norm_eps", 1e-12),
        "pad_token_id": source.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "tie_word_embeddings": source.head_decoder is None,
        "dtype": str(whole["embeddings.word"].dtype).removeprefix("torch."),
    }
    if settings.to == "longformer":
        windows = [settings.window] * values["num_hidden_layers"]
        architecture = ["LongformerForMaskedLM"]
        return transformers.LongformerConfig(**values, architectures=architecture, attention_window=windows)
    config = transformers.BigBirdConfig(
        **values,
        architectures=["BigBirdForMaskedLM"],
        block_size=settings.block,
        num_random_blocks=settings.random_blocks,
        use_cache=False,
    )
    config.random_pattern_seed = 0  # longbio's own, see bigbird.py
    return config
