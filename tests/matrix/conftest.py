"""Short encoders of five layers, one of each family, with tokenizers trained here on a few sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.encoders.loading import quiet

LAYERS = 5
"""More than the layers that any command asks for by itself."""

SENTENCES = (
    "Mrs. Böhm, 74 y/o, was started on Warfarin (5mg) for atrial fibrillation.",
    "On day 3 she developed severe nausea and a maculopapular rash; warfarin was stopped.",
    "Metoprolol 47.5 mg daily was continued, naïve to beta-blockers; no café-au-lait spots.",
    "The patient denies chest pain, and the rash has not come back since metoprolol was restarted.",
)

WORDPIECE = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BRACKETS = ("<s>", "<pad>", "</s>", "<unk>")


def wordpiece(*, lower: bool) -> Any:
    """BERT's, cased or not."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=[*WORDPIECE], show_progress=False)
    made.train_from_iterator(SENTENCES, trainer)
    return transformers.BertTokenizer(vocab=made.get_vocab(), do_lower_case=lower)


def byte_level(kind: Any) -> Any:
    """RoBERTa's byte-level BPE."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=[*BRACKETS, "<mask>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(SENTENCES, trainer)
    model = json.loads(made.to_str())["model"]
    return kind(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])


def unigram(kind: Any) -> Any:
    """SentencePiece's Unigram, whose words begin with a mark for the space before them."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=[*BRACKETS], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(SENTENCES, trainer)
    return kind(vocab=[tuple(piece) for piece in json.loads(made.to_str())["model"]["vocab"]])


SOURCES: dict[str, tuple[str, Callable[[], Any]]] = {
    "bert-uncased": ("bert", lambda: wordpiece(lower=True)),
    "bert-cased": ("bert", lambda: wordpiece(lower=False)),
    "electra-uncased": ("electra", lambda: wordpiece(lower=True)),
    "distilbert-cased": ("distilbert", lambda: wordpiece(lower=False)),
    "roberta-bytes": ("roberta", lambda: byte_level(transformers.RobertaTokenizer)),
    "xlm-roberta-unigram": ("xlm-roberta", lambda: unigram(transformers.XLMRobertaTokenizer)),
    "camembert-unigram": ("camembert", lambda: unigram(transformers.CamembertTokenizer)),
}
"""Family and tokenizer."""

LENGTHS: dict[str, dict[str, Any]] = {
    "longformer": {"max_tokens": 192, "window": 32},
    "bigbird": {"max_tokens": 192, "block": 16, "random_blocks": 1},
}
"""They read 192 tokens, of which few are near."""


def config_of(family: str, tokenizer: Any) -> Any:
    """A tiny model's config."""
    names = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos", "cls", "sep")}
    special = {f"{name}_token_id": number for name, number in names.items() if number is not None}
    rows = 64 if family in ("bert", "electra", "distilbert") else 64 + tokenizer.pad_token_id + 1
    sizes: dict[str, Any] = {"vocab_size": len(tokenizer), "max_position_embeddings": rows, **special}
    if family == "distilbert":
        sizes |= {"dim": 16, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 24}
    else:
        sizes |= {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 24, "type_vocab_size": 1 if "roberta" in family else 2}
    if family == "electra":
        sizes["embedding_size"] = 16
    return transformers.AutoConfig.for_model(family, **sizes)


@dataclass(frozen=True)
class Checkpoint:
    """A folder, and what is in it."""

    source: str
    arm: str
    folder: Path

    @property
    def tokenizer_kind(self) -> str:
        return self.source.rpartition("-")[2]


def make_source(name: str, folder: Path) -> Path:
    family, make_tokenizer = SOURCES[name]
    tokenizer = make_tokenizer()
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForMaskedLM.from_config(config_of(family, tokenizer))
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2) if weight.dim() > 1 else None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sources() -> dict[str, tuple[str, Callable[[], Any]]]:
    return SOURCES


@pytest.fixture(scope="session")
def lengths() -> dict[str, dict[str, Any]]:
    return LENGTHS


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Checkpoint]:
    """checkpoint_of(source, arm), a short model or one made of it, made once: don't write there."""
    made: dict[tuple[str, str], Path] = {}

    def get(source: str, arm: str) -> Checkpoint:
        if (source, arm) not in made:
            folder = tmp_path_factory.mktemp(f"{source}-{arm}") / arm
            if arm == "short":
                made[source, arm] = make_source(source, folder)
            else:
                sizes = ConversionSettings(to=arm, **LENGTHS[arm])  # type: ignore[arg-type]  # a key of LENGTHS
                convert(get(source, "short").folder, folder, settings=sizes, verification=False)
                made[source, arm] = folder
        return Checkpoint(source, arm, made[source, arm])

    return get
