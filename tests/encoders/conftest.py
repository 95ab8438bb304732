"""Tiny long models, every weight random, made in-process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from longbio.encoders.loading import quiet

SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "layer_norm_eps": 1e-5,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "longformer": SIZES
    | {
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "max_position_embeddings": 129,
        "type_vocab_size": 2,
        "attention_window": [8, 16, 4],
        "hidden_act": "gelu",
    },
    "big_bird": SIZES
    | {
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "max_position_embeddings": 128,
        "type_vocab_size": 2,
        "block_size": 4,
        "num_random_blocks": 1,
        "use_cache": False,
        "hidden_act": "gelu",
    },
}
"""A Longformer of 128 tokens, a BigBird of 128 with full attention up to 28."""

KINDS = {
    "features": transformers.AutoModel,
    "mlm": transformers.AutoModelForMaskedLM,
    "ner": transformers.AutoModelForTokenClassification,
    "qa": transformers.AutoModelForQuestionAnswering,
    "classification": transformers.AutoModelForSequenceClassification,
}


def randomise(model: nn.Module) -> None:
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            around = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            weight.copy_(around + 0.2 * torch.randn(weight.shape, generator=draw))


@pytest.fixture(scope="session")
def make_stock() -> Callable[..., Any]:
    """make_stock(family, task="features", **config) -> a stock model in evaluation mode."""

    def make(family: str, task: str = "features", **changes: Any) -> Any:
        config = transformers.AutoConfig.for_model(family, **(CONFIGS[family] | changes))
        with quiet(), torch.random.fork_rng():
            model = KINDS[task].from_config(config)
        randomise(model)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def make_folder(
    make_stock: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """make_folder(family, ...) -> a checkpoint with a tokenizer, made once: don't write there."""
    made: dict[Any, Path] = {}

    def make(family: str, task: str = "features", **changes: Any) -> Path:
        key = (family, task, repr(sorted(changes.items())))
        if key not in made:
            made[key] = tmp_path_factory.mktemp(family)
            with quiet():
                make_stock(family, task, **changes).save_pretrained(made[key])
            word_tokenizer().save_pretrained(made[key])
        return made[key]

    return make


def word_tokenizer() -> Any:
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *["the", "patient", "has", "pain", "and", "no", "fever"],
    ]
    words += [f"w{i}" for i in range(60 - len(words))]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    )


@pytest.fixture
def tokenizer() -> Any:
    return word_tokenizer()


@pytest.fixture
def make_batch() -> Callable[..., dict[str, torch.Tensor]]:
    """make_batch(lengths, side="right", is_long=True) -> ids, mask and token types."""

    def make(*lengths: int, side: str = "right", seed: int = 0) -> dict[str, torch.Tensor]:
        draw = torch.Generator().manual_seed(seed)
        longest, count = max(lengths), torch.tensor(lengths)[:, None]
        column = torch.arange(longest)
        mask = (column < count) if side == "right" else (column >= longest - count)
        ids = torch.randint(5, 60, mask.shape, generator=draw).masked_fill(~mask, 0)
        types = torch.randint(2, mask.shape, generator=draw)
        return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": types}

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on tensors this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)
