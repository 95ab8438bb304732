"""Fine-tuning: both arms see the same text once, learn, and leave native folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForTokenClassification, AutoTokenizer

from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Span
from longbio.encoders.loading import load, quiet
from longbio.finetuning.entities import FinetuningSettings, Samples, finetune_entities
from longbio.finetuning.evaluate import evaluate_entities
from longbio.tasks import ner
from longbio.training.trainer import TrainingSettings


def documents(count: int) -> list[Document]:
    """Every `drug N` is a mention."""
    made = []
    for number in range(count):
        text, spans = "", []
        for place in range(12):
            text += "the patient, " * (1 + (number + place) % 3)
            spans.append(Span.of(len(text), len(text) + 6, "Drug"))
            text += f"drug {place % 10}. "
        made.append(Document(f"note-{number}", text, tuple(spans)))
    return made


def settings(steps: int, rates: tuple[float, ...] = (1e-2,)) -> FinetuningSettings:
    training = TrainingSettings(steps=steps, learning_rate=0.0, head_factor=3.0)
    return FinetuningSettings(training, rates, sample_tokens=200, overlap=16)


def test_both_arms_count_every_word_once(tiny_bert_folder: Path, tiny_long_folder: Path) -> None:
    notes, labels = documents(3), ner.Labels(("Drug",))
    words = []
    for folder in (tiny_bert_folder, tiny_long_folder):
        model, tokenizer = load(folder), AutoTokenizer.from_pretrained(folder)
        samples = Samples(notes, tokenizer, model, labels, settings(1))
        batches = [samples.collate([sample]) for sample in samples.samples]
        counted = sum(int((batch["labels"] != ner.IGNORED).sum()) for batch in batches)
        assert counted == sum(len(ner.word_heads(tokens)) for tokens in samples.tokens)
        begun = sum(int((batch["labels"] == 1).sum()) for batch in batches)
        assert begun == sum(len(note.spans) for note in notes)
        words.append([int((batch["labels"] != ner.IGNORED).sum()) for batch in batches])
        longest = max(batch["input_ids"].shape[1] for batch in batches)
        assert longest <= (64 if folder == tiny_bert_folder else 202)
    assert words[0] == words[1], "the two arms don't see the same text in the same sample"


@pytest.mark.parametrize("folder", ["tiny_bert_folder", "tiny_long_folder"])
def test_it_learns_and_is_scored(folder: str, request, tmp_path: Path) -> None:
    source = request.getfixturevalue(folder)
    told: list[int] = []
    report = finetune_entities(
        source, documents(8), [], settings(40), tmp_path / "ner", on_step=lambda step, _: told.append(step)
    )
    assert told == list(range(1, 41))
    assert report["trials"][0]["lost_mentions"] == 0
    with quiet():
        _, info = AutoModelForTokenClassification.from_pretrained(tmp_path / "ner", output_loading_info=True)
    assert not info["missing_keys"]

    unseen = documents(11)[8:]
    scores = evaluate_entities(tmp_path / "ner", unseen, tmp_path / "found", overlap=16)
    assert scores["micro"]["f1"] > 0.9
    low, high = scores["micro_f1_interval"]
    assert low <= scores["micro"]["f1"] <= high
    found = read_documents(tmp_path / "found")
    assert {d.id: d.text for d in found} == {d.id: d.text for d in unseen}


def test_the_development_notes_choose_the_rate(tiny_bert_folder: Path, tmp_path: Path) -> None:
    rates = (1e-9, 1e-2)
    report = finetune_entities(
        tiny_bert_folder, documents(8), documents(2), settings(30, rates), tmp_path / "ner"
    )
    assert [trial["learning_rate"] for trial in report["trials"]] == [1e-9, 1e-2]
    assert report["chosen_learning_rate"] == 1e-2
    scores = evaluate_entities(tmp_path / "ner", documents(2), tmp_path / "found", overlap=16)
    assert scores["micro"]["f1"] == pytest.approx(report["trials"][1]["dev_micro_f1"])


def test_dropout_comes_back_in_the_saved_config(tiny_long_folder: Path, tmp_path: Path) -> None:
    finetune_entities(tiny_long_folder, documents(1), [], settings(1), tmp_path / "ner")
    config = load(tmp_path / "ner", "ner").config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.1)
    assert config.id2label == {0: "O", 1: "B-Drug", 2: "I-Drug"}


def test_the_order_of_samples_is_new_in_every_epoch_and_the_same_in_every_run(tiny_bert_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert_folder)
    model = load(tiny_bert_folder)
    samples = Samples(documents(4), tokenizer, model, ner.Labels(("Drug",)), settings(100))
    count = len(samples.samples)
    epochs = [[samples[i].windows[0].tokens for i in range(e * count, (e + 1) * count)] for e in (0, 1)]
    numbers = [[samples[i].windows[0].document for i in range(e * count, (e + 1) * count)] for e in (0, 1)]
    assert np.unique(numbers[0]).tolist() == [0, 1, 2, 3]
    assert (numbers[0], epochs[0]) != (numbers[1], epochs[1])
