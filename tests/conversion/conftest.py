"""Tiny short encoders of every family, all weights random, made in-process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import pre_tokenizers
from torch import Tensor, nn

from longbio.conversion import native, verify
from longbio.conversion.convert import Conversion, convert
from longbio.conversion.settings import ConversionSettings
from longbio.encoders.loading import quiet

NUM_POSITIONS = 40  # what the tiny sources read
LETTERS = "abcdefghijklmnopqrstuvwxyzµ0123456789.,;:-/()[]*%<>+=≥°"
WORDS = ("the", "patient", "##ine", "mg", "history", "pain", "##itis", "daily")

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.07,
    "attention_probs_dropout_prob": 0.03,
    "initializer_range": 0.03,
    "layer_norm_eps": 1e-4,
    "max_position_embeddings": NUM_POSITIONS,
}
DISTIL_SIZES = {
    "dim": 32,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 48,
    "activation": "gelu",
    "dropout": 0.07,
    "attention_dropout": 0.03,
    "initializer_range": 0.03,
    "max_position_embeddings": NUM_POSITIONS,
}
ROBERTA_SIZES = SIZES | {"max_position_embeddings": NUM_POSITIONS + 2, "type_vocab_size": 1}

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "electra": SIZES | {"embedding_size": 32},
    "distilbert": DISTIL_SIZES,
    "roberta": ROBERTA_SIZES,
    "xlm-roberta": ROBERTA_SIZES,
    "camembert": ROBERTA_SIZES,
}
"""What `AutoConfig.for_model` is given, by family."""

HEADS = {
    "encoder": transformers.AutoModel,
    "mlm": transformers.AutoModelForMaskedLM,
    "pretraining": transformers.AutoModelForPreTraining,
    "ner": transformers.AutoModelForTokenClassification,
}


def wordpiece(kind: Any) -> Any:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    vocabulary += [*LETTERS, *(f"##{letter}" for letter in LETTERS)]
    return kind(vocab={token: i for i, token in enumerate(vocabulary)})


def byte_pairs() -> Any:
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary += ["in", "Ġt", "Ġth", "<mask>"]
    merges = [("i", "n"), ("Ġ", "t"), ("Ġt", "h")]
    return transformers.RobertaTokenizer(vocab={t: i for i, t in enumerate(vocabulary)}, merges=merges)


def pieces(kind: Any, specials: tuple[str, ...]) -> Any:
    scored = [(token, 0.0) for token in specials] + [(f"▁{word}", -2.0) for word in ("the", "pain", "mg")]
    scored += [("▁", -3.0), *((letter, -4.0) for letter in LETTERS + LETTERS[:26].upper()), ("<mask>", 0.0)]
    return kind(vocab=scored)


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: wordpiece(transformers.BertTokenizer),
    "electra": lambda: wordpiece(transformers.BertTokenizer),
    "distilbert": lambda: wordpiece(transformers.DistilBertTokenizer),
    "roberta": byte_pairs,
    "xlm-roberta": lambda: pieces(transformers.XLMRobertaTokenizer, ("<s>", "<pad>", "</s>", "<unk>")),
    "camembert": lambda: pieces(
        transformers.CamembertTokenizer,
        ("<s>", "<pad>", "</s>", "<unk>", "<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
    ),
}


def randomise(model: nn.Module, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            around = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            weight.copy_(around + 0.2 * torch.randn(weight.shape, generator=draw))


MakeSource = Callable[..., Path]


@pytest.fixture(scope="session")
def make_source(tmp_path_factory: pytest.TempPathFactory) -> MakeSource:
    """make_source(family, head="encoder", dtype=..., **config) -> folder, made once: don't write there."""
    made: dict[Any, Path] = {}

    def make(family: str, head: str = "encoder", dtype: torch.dtype = torch.float32, **config: Any) -> Path:
        key = (family, head, dtype, tuple(sorted(config.items())))
        if key not in made:
            tokenizer = TOKENIZERS[family]()
            settings = CONFIGS[family] | {"vocab_size": len(tokenizer)} | config
            with quiet(), torch.random.fork_rng():
                model = HEADS[head].from_config(transformers.AutoConfig.for_model(family, **settings))
                randomise(model)
                folder = tmp_path_factory.mktemp(f"{family}-{head}")
                model.to(dtype).save_pretrained(folder)
                tokenizer.save_pretrained(folder)
            made[key] = folder
        return made[key]

    return make


@pytest.fixture
def own_source(make_source: MakeSource, tmp_path: Path) -> MakeSource:
    """The same in a copy that the test may damage."""

    def make(*arguments: Any, **settings: Any) -> Path:
        return Path(shutil.copytree(make_source(*arguments, **settings), tmp_path / "source"))

    return make


SMALL = {
    "longformer": ConversionSettings(to="longformer", max_tokens=64, window=16),
    "bigbird": ConversionSettings(to="bigbird", max_tokens=64, window=16, block=4, random_blocks=1),
}


@pytest.fixture(params=sorted(SMALL))
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def small() -> dict[str, ConversionSettings]:
    """Tiny settings, by target: exact to 9 and to 28 tokens."""
    return SMALL


@pytest.fixture
def plain_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check 3 without its subprocess, which costs seconds: stock classes in this one."""

    def plain(folder: Path, batch: dict[str, Tensor], logits_at: Tensor) -> dict[str, Tensor]:
        with quiet(), torch.no_grad():
            encoder = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
            whole = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
            native.move_global_projections(encoder)
            native.move_global_projections(whole)
            output = encoder(**batch)
            logits = whole(**batch).logits[:, logits_at]
        return {"hidden": output.last_hidden_state, "pooled": output.pooler_output, "logits": logits}

    monkeypatch.setattr(native, "plain_transformers", plain)


@pytest.fixture
def without_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No check 5: random weights predict nothing, so its figures say nothing (test_verify.py)."""
    monkeypatch.setattr(verify, "same_use_of_positions", lambda *_: iter(()))


@pytest.fixture(scope="session")
def converted(make_source: MakeSource, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Conversion]:
    """converted(family, head, to, ...) -> an unverified conversion, made once: don't write there."""
    made: dict[Any, Conversion] = {}

    def make(family: str, head: str, to: str, **config: Any) -> Conversion:
        key = (family, head, to, tuple(sorted(config.items())))
        if key not in made:
            out = tmp_path_factory.mktemp("converted") / to
            source = make_source(family, head, **config)
            made[key] = convert(source, out, settings=SMALL[to], verification=False)
        return made[key]

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
