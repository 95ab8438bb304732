"""Tiny long models, every weight random, made in-process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from longbio.attention.kernels import kernel_named
from longbio.attention.pattern import PADDING
from longbio.encoders.loading import INSTALL, quiet

Batch = dict[str, torch.Tensor]

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


@pytest.fixture(params=["longformer", "big_bird"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def make_pair(make_stock: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """make_pair(family, task, kernel="blocked", **config) -> stock model and ours, weights alike."""

    def make(family: str, task: str = "features", kernel: str = "blocked", **changes: Any) -> tuple[Any, Any]:
        theirs = make_stock(family, task, **changes)
        ours = copy.deepcopy(theirs)
        INSTALL[family](ours, kernel_named(kernel))
        return theirs, ours

    return make


@pytest.fixture(scope="session")
def make_ours(make_pair: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """make_ours(family, task, kernel="blocked", **config) -> ours alone."""
    return lambda *given, **changes: make_pair(*given, **changes)[1]


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


@pytest.fixture
def make_packed() -> Callable[..., Any]:
    """make_packed([[9, 5], [7]], behind=3) -> a batch of rows of documents, and each document alone.

    The rows are padded on the right to the longest and `behind` tokens further. The first token
    of every document is global, and about one in ten besides.
    """

    def make(
        rows: Sequence[Sequence[int]], behind: int = 3, seed: int = 0
    ) -> tuple[Batch, list[tuple[int, slice, Batch]]]:
        draw = torch.Generator().manual_seed(seed)
        shape = (len(rows), max(map(sum, rows)) + behind)
        batch = {
            "input_ids": torch.zeros(shape, dtype=torch.int64),
            "token_type_ids": torch.zeros(shape, dtype=torch.int64),
            "global_attention_mask": torch.zeros(shape, dtype=torch.int64),
        }
        documents = torch.full(shape, PADDING)
        alone = []
        for row, lengths in enumerate(rows):
            start = 0
            for number, length in enumerate(lengths):
                chosen = torch.rand(1, length, generator=draw) < 0.1
                chosen[0, 0] = True
                one = {
                    "input_ids": torch.randint(5, 60, (1, length), generator=draw),
                    "token_type_ids": torch.randint(2, (1, length), generator=draw),
                    "global_attention_mask": chosen.long(),
                }
                place = slice(start, start + length)
                for name, tensor in one.items():
                    batch[name][row, place] = tensor[0]
                documents[row, place] = number
                alone.append((row, place, one))
                start += length
        return batch | {"document_ids": documents}, alone

    return make


@pytest.fixture
def for_family() -> Callable[[str, Batch], Batch]:
    """for_family(family, batch): a BigBird takes no global tokens."""

    def choose(family: str, batch: Batch) -> Batch:
        left_out = set() if family == "longformer" else {"global_attention_mask"}
        return {name: tensor for name, tensor in batch.items() if name not in left_out}

    return choose


@pytest.fixture
def assert_near() -> Callable[..., None]:
    """assert_near(ours, theirs, limit=1e-5, what=""): full tensors, relative to max(1, |theirs|)."""

    def check(ours: Tensor, theirs: Tensor, limit: float = 1e-5, what: str = "") -> None:
        assert ours.shape == theirs.shape, what
        difference = (ours.double() - theirs.double()).abs().max().item()
        assert difference <= limit * max(1.0, theirs.abs().max().item()), (what, difference)

    return check


@pytest.fixture
def assert_same_gradients(assert_near: Callable[..., None]) -> Callable[..., int]:
    """assert_same_gradients(ours, theirs, limit=3e-5) -> how many of them aren't zero."""

    def check(ours: nn.Module, theirs: nn.Module, limit: float = 3e-5) -> int:
        compared = 0
        for (name, mine), (other_name, other) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            assert name == other_name
            given, wanted = (torch.zeros_like(p) if p.grad is None else p.grad for p in (mine, other))
            assert_near(given, wanted, limit, name)
            compared += bool(wanted.abs().sum() > 0)
        return compared

    return check


@pytest.fixture
def assert_same_function(
    assert_near: Callable[..., None], assert_same_gradients: Callable[..., int]
) -> Callable[..., int]:
    """assert_same_function(theirs, ours, batch): outputs and gradients on real tokens.

    Ours gives zeros at padding, where no stock pattern keeps it. Returns how many parameters have
    a gradient that isn't zero.
    """

    def check(theirs: Any, ours: Any, batch: Batch, limit: float = 3e-5, zeros: bool = True) -> int:
        real = batch["attention_mask"].bool()
        draw = torch.Generator().manual_seed(1)
        width = ours.config.hidden_size
        weight = torch.randn(*real.shape, width, generator=draw) * real[:, :, None]
        pooled_weight = torch.randn(len(real), width, generator=draw) * real[:, :1]
        # Stock code lets padding be global; only ours takes care of it.
        for_stock = dict(batch)
        if "global_attention_mask" in batch:
            for_stock["global_attention_mask"] = batch["global_attention_mask"] * batch["attention_mask"]

        outputs = []
        for model, given in ((theirs, for_stock), (ours, batch)):
            output = model(**given)
            loss = (output.last_hidden_state * weight).sum() + (output.pooler_output * pooled_weight).sum()
            loss.backward()
            outputs.append(output)
        wanted, found = outputs
        assert_near(found.last_hidden_state[real], wanted.last_hidden_state[real])
        assert_near(found.pooler_output[real[:, 0]], wanted.pooler_output[real[:, 0]])
        assert not (zeros and found.last_hidden_state[~real].any())
        return assert_same_gradients(ours, theirs, limit)

    return check


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on tensors this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)
