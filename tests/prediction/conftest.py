"""Models whose answers are known: what they say of a token depends on that token alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from longbio.encoders.loading import load, load_tokenizer
from longbio.prediction.predictor import Model
from longbio.tasks import AnyTask
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers

TASKS: dict[str, AnyTask] = {
    "ner": Entities(types=("Drug",)),
    "qa": Answers(),
    "classification": Classes(classes=("sick", "well")),
}


@torch.no_grad()
def make(source: Path, task: AnyTask, out: Path) -> Path:
    """A checkpoint in which nothing mixes tokens: `drug` begins a mention or an answer, digits go on or
    end it. Its layers add nothing, so a hidden state is the token's embedding."""
    model = load(source, task.head, head_seed=0, **task.config_changes())
    tokenizer = load_tokenizer(source)
    for name, weights in model.named_parameters():
        if any(part in name for part in ("position_embeddings", "token_type", ".output.dense.")):
            weights.zero_()
    words = model.get_input_embeddings().weight
    words[:] = torch.eye(words.shape[1])[2]
    words[tokenizer.convert_tokens_to_ids("drug")] = torch.eye(words.shape[1])[0]
    words[tokenizer.convert_tokens_to_ids([*"0123456789"])] = torch.eye(words.shape[1])[1]
    if task.kind != "classification":
        head = model.classifier if task.kind == "ner" else model.qa_outputs
        head.weight.zero_()
        head.bias.zero_()
        places = {"ner": [(0, 2), (1, 0), (2, 1)], "qa": [(0, 0), (1, 1)]}[task.kind]
        for row, column in places:
            head.weight[row, column] = 1.0
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


@pytest.fixture(scope="session")
def reader_of(
    tiny_bert_folder: Path, tiny_long_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Model]:
    """reader_of(kind, length): a model of 64 tokens (`short`) or 256 (`long`)."""
    made: dict[tuple[str, str], Model] = {}

    def reader(kind: str = "ner", length: str = "short") -> Model:
        if (kind, length) not in made:
            source = tiny_bert_folder if length == "short" else tiny_long_folder
            out = tmp_path_factory.mktemp(f"{kind}-{length}") / "model"
            made[kind, length] = Model(make(source, TASKS[kind], out), TASKS[kind], batch_tokens=1024)
        return made[kind, length]

    return reader
