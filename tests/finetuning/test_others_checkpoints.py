"""Configs of others that leave something out: right in every command, or one line that names the cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from longbio.corpus.records import Document, Span
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import config_of, load, load_tokenizer, quiet
from longbio.errors import LongbioError
from longbio.finetuning.evaluate import evaluate, model_of, task_for
from longbio.finetuning.learn import inputs_of, learn
from longbio.finetuning.settings import Recipe
from longbio.prediction.predictor import Model, Predictor, load_for
from longbio.tasks.ner import Entities

NAMES = {0: "O", 1: "B-Drug", 2: "I-Drug"}
DOCUMENTS = [Document(str(n), "the drug s", (Span.of(4, 8, "Drug"),)) for n in range(4)]
MakeTagger = Callable[..., Path]


@pytest.fixture
def make_tagger(tiny_bert_folder: Path, tmp_path: Path) -> MakeTagger:
    """make_tagger(id2label=...) -> a tagger of another's, its config changed; None removes a member."""

    def make(**changes: Any) -> Path:
        folder = tmp_path / "tagger"
        labels = {"id2label": NAMES, "label2id": {name: number for number, name in NAMES.items()}}
        model = load(tiny_bert_folder, "ner", head_seed=0, **labels)
        with quiet():
            model.save_pretrained(folder)
        load_tokenizer(tiny_bert_folder).save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text()) | changes
        kept = {key: value for key, value in config.items() if key not in changes or value is not None}
        (folder / "config.json").write_text(json.dumps(kept))
        return folder

    return make


def refusal(work: Callable[[], Any]) -> str:
    with pytest.raises(LongbioError) as caught:
        work()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300 + len(str(caught.value.where))
    return message


def test_without_model_type_every_command_names_the_line_to_write(
    make_tagger: MakeTagger, tmp_path: Path
) -> None:
    folder = make_tagger(model_type=None)
    task, recipe = Entities(types=("Drug",)), Recipe(learning_rate=1e-3, max_steps=1)
    for work in (
        lambda: config_of(folder),
        lambda: load_tokenizer(folder),
        lambda: load(folder),
        lambda: task_for(folder),
        lambda: learn(folder, DOCUMENTS, [], task, recipe, tmp_path / "learned"),
        lambda: evaluate(model_of(folder, task), DOCUMENTS, tmp_path / "scores"),
        lambda: Predictor(Model(folder, task)),
    ):
        assert 'write "model_type": "bert" into it' in refusal(work)


def test_a_head_that_the_config_names_no_class_for(make_tagger: MakeTagger) -> None:
    folder = make_tagger(architectures=None)
    message = refusal(lambda: task_for(folder))
    assert '"architectures": ["BertForTokenClassification"]' in message
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["BertForTokenClassification"]
    (folder / "config.json").write_text(json.dumps(config))
    assert task_for(folder) == Entities(types=("Drug",), constrained=False)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (transformers.BertForQuestionAnswering, "BertForQuestionAnswering"),
        (transformers.BertForSequenceClassification, "BertForSequenceClassification"),
    ],
)
def test_the_class_is_read_off_the_weights(
    kind: Any, named: str, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    with quiet():
        model = kind.from_pretrained(tiny_bert_folder)
        model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": None}))
    assert f'"architectures": ["{named}"]' in refusal(lambda: task_for(tmp_path))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"0": "O", "1": "B-Drug"}, "the head has 3 rows, and the config names 2 labels"),
        ({"0": "O", "1": "B-Drug", "2": "I-Drug", "3": "B-Sign"}, "3 rows, and the config names 4 labels"),
        ({"0": "O", "1": "B-Drug", "3": "I-Drug"}, "id2label numbers its 3 labels to 3, with gaps"),
    ],
)
def test_labels_that_do_not_fit_the_heads_rows(
    names: dict[str, str], words: str, make_tagger: MakeTagger, tmp_path: Path
) -> None:
    folder = make_tagger(id2label=names, label2id={name: int(n) for n, name in names.items()})
    task = task_for(folder)
    for work in (
        lambda: load_for(task, folder),
        lambda: evaluate(model_of(folder, task), DOCUMENTS, tmp_path / "scores"),
        lambda: Predictor(Model(folder, task)),
    ):
        message = refusal(work)
        assert words in message
        assert "id2label" in message


def test_learning_another_task_begins_with_a_new_head(make_tagger: MakeTagger, tmp_path: Path) -> None:
    """The old one has other rows; nothing of it is kept, and the seed alone decides the new one."""
    folder = make_tagger()
    documents = [Document("a", "the drug s", (Span.of(4, 8, "Drug"), Span.of(9, 10, "Sign")))]
    task, recipe = Entities(), Recipe(learning_rate=1e-3, max_steps=1)
    report = learn(folder, documents, [], task, recipe, tmp_path / "learned")
    assert report["task"]["types"] == ("Drug", "Sign") or report["task"]["types"] == ["Drug", "Sign"]
    heads = [load(folder, "ner", head_seed=seed, num_labels=5).classifier.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert heads[0].std() < 0.1  # drawn by the model's own rule


def test_a_head_that_is_not_there_predicts_nothing(make_tagger: MakeTagger) -> None:
    """A random one would, and without a word."""
    folder = make_tagger()
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("classifier.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    task = task_for(folder)
    assert "weights are missing, the first is classifier" in refusal(lambda: load_for(task, folder))


def test_question_answering_begins_from_a_tagger(make_tagger: MakeTagger) -> None:
    model = load(make_tagger(), "qa", head_seed=0)
    assert model.qa_outputs.out_features == 2


def test_padding_that_the_config_leaves_open(make_tagger: MakeTagger) -> None:
    folder = make_tagger(pad_token_id=None)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    assert config_of(folder).pad_token_id == 0
    assert load(folder, "ner").config.pad_token_id == 0
    assert inputs_of(folder, config_of(folder)).max_tokens == 64


def test_a_roberta_without_padding_in_its_config_counts_positions_behind_it(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.RobertaConfig(vocab_size=8, max_position_embeddings=20, **sizes)
    pieces = {piece: n for n, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "a", "b", "c", "<mask>"])}
    with quiet():
        transformers.RobertaModel(config).save_pretrained(tmp_path)
    transformers.RobertaTokenizer(vocab=pieces, merges=[]).save_pretrained(tmp_path)
    ids = torch.tensor([[0, 4, 5, 6, 2]])
    with torch.no_grad():
        before = load(tmp_path)(ids).last_hidden_state
        said = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(said | {"pad_token_id": None}))
        model = load(tmp_path)
        after = model(ids).last_hidden_state
    assert torch.equal(before, after)
    assert InputFormat.of(config_of(tmp_path), load_tokenizer(tmp_path)).max_tokens == 18
