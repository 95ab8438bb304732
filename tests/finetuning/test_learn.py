"""`learn`: both arms see the same text once, learn every task, and leave native folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoTokenizer

from longbio.artifacts.atomic_files import read_json
from longbio.artifacts.checkpoints import read_weights
from longbio.corpus.readers import read_documents
from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Question
from longbio.encoders.batches import IGNORED
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import TASKS, config_of, load, quiet
from longbio.errors import LongbioError
from longbio.finetuning.evaluate import evaluate
from longbio.finetuning.learn import inputs_of, learn, task_of
from longbio.finetuning.settings import Machine, Recipe
from longbio.finetuning.stability import Stability
from longbio.tasks import AnyTask
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.pooling import Reading
from longbio.tasks.qa import Answers
from longbio.tasks.similarity import Similarity
from longbio.tasks.tags import words_of
from longbio.tasks.task import collate

Notes = Callable[[int], list[Document]]

ENTITIES = Entities(sample_tokens=200, overlap=16)


def recipe(steps: int, **changes: Any) -> Recipe:
    given = {"learning_rate": 1e-2, "batch": 1, "epochs": 1e6, "head_factor": 3.0, "dropout": 0.0}
    return Recipe(max_steps=steps, **(given | changes))


def pairs(count: int) -> list[Document]:
    """The class, the labels and the score depend on a digit of the first text."""
    made = []
    for number in range(count):
        digit = number % 4
        text = f"{digit} " + "the patient " * (1 + number % 3)
        labels = tuple(name for name, bit in (("odd", 1), ("high", 2)) if digit & bit)
        document = Document(
            f"pair-{number}", "the drug " * (1 + number % 5), query=text, labels=labels, score=float(digit)
        )
        made.append(document)
    return made


def far_drugs(count: int) -> list[Document]:
    """One word among a hundred decides: most windows of a short model know nothing."""
    made = []
    for number in range(count):
        words = ["the patient"] * 50
        words[(7 * number) % 50] = "drug" if number % 2 else "no more"
        made.append(Document(f"n-{number}", " ".join(words), labels=("yes",) if number % 2 else ("no",)))
    return made


def questions(count: int) -> list[Document]:
    """The answer is the digits behind the word `drug`."""
    made = []
    for number in range(count):
        before = "the patient " * (2 + 3 * (number % 7))
        text = f"{before}drug {number % 10}{number % 7} the patient has no more of it. " + "the " * 20
        start = text.index("drug ") + 5
        asked = Question(f"q{number}", "the drug", ((start, start + 2),))
        made.append(Document(f"note-{number}", text, questions=(asked,)))
    return made


def test_both_arms_count_every_word_once(
    tiny_bert_folder: Path, tiny_long_folder: Path, drug_notes: Notes
) -> None:
    notes, words = drug_notes(3), []
    task = ENTITIES.learned_from(notes)
    for folder in (tiny_bert_folder, tiny_long_folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        inputs = InputFormat.of(load(folder).config, tokenizer)
        samples = [sample for note in notes for sample in task.samples(note, inputs, PassedOver())]
        batches = [collate(task, inputs, [sample]) for sample in samples]
        counted = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
        assert counted == sum(len(words_of(inputs.tokens(note.text)).heads) for note in notes)
        begun = sum(int((batch["labels"] == 1).sum()) for batch in batches)
        assert begun == sum(len(note.spans) for note in notes)
        words.append([int((batch["labels"] != IGNORED).sum()) for batch in batches])
        longest = max(batch["input_ids"].shape[1] for batch in batches)
        assert longest <= (64 if folder == tiny_bert_folder else 202)
    assert words[0] == words[1], "the two arms don't see the same text in the same sample"


@pytest.mark.parametrize("folder", ["tiny_bert_folder", "tiny_long_folder"])
def test_entities_are_learned_and_scored(folder: str, request, tmp_path: Path, drug_notes: Notes) -> None:
    told: list[int] = []
    begun: list[int] = []
    report = learn(
        request.getfixturevalue(folder),
        drug_notes(8),
        [],
        ENTITIES,
        recipe(40),
        tmp_path / "ner",
        on_start=lambda steps, words: begun.append(steps),
        on_step=lambda step, _: told.append(step),
    )
    assert begun == [40]
    assert told == list(range(1, 41))
    assert not any(report["left_out"].values())
    with quiet():
        _, info = TASKS["ner"].from_pretrained(tmp_path / "ner", output_loading_info=True)
    assert not info["missing_keys"]

    unseen = drug_notes(11)[8:]
    scores = evaluate(tmp_path / "ner", unseen, tmp_path / "found", format_name="brat")
    assert scores["scores"]["strict"]["micro"]["f1"] > 0.9
    assert scores["scores"]["main"] == pytest.approx(scores["scores"]["strict"]["micro"]["f1"])
    assert (
        scores["interval"]["low"] <= scores["scores"]["strict"]["micro"]["f1"] <= scores["interval"]["high"]
    )
    found = read_documents(tmp_path / "found")
    assert {d.id: d.text for d in found} == {d.id: d.text for d in unseen}


LEARNED: dict[str, tuple[AnyTask, Callable[[int], list[Document]]]] = {
    "several labels": (Classes(multi_label=True, choose_by="micro_f1"), pairs),
    "one class": (
        Classes(),
        lambda count: [replace(d, labels=("odd",) if d.score in (1, 3) else ("even",)) for d in pairs(count)],
    ),
    "balanced": (
        Classes(balanced=True, choose_by="macro_f1"),
        lambda count: [replace(d, labels=("0",) if d.score == 0 else ("more",)) for d in pairs(count)],
    ),
    "similarity": (Similarity(), pairs),
    "weighed windows": (Classes(reading=Reading(pooling="attention", overlap=4)), far_drugs),
    "answers": (Answers(), questions),
}


@pytest.mark.parametrize("folder", ["tiny_bert_folder", "tiny_long_folder"])
@pytest.mark.parametrize("name", LEARNED)
def test_every_task_is_learned(name: str, folder: str, request, tmp_path: Path) -> None:
    task, make = LEARNED[name]
    source = request.getfixturevalue(folder)
    learning = recipe(120, batch=8, learning_rate=3e-3)
    learn(source, make(56), make(28), task, learning, tmp_path / "model")
    scored = evaluate(tmp_path / "model", make(28), tmp_path / "found")
    assert scored["scores"]["main"] > 0.9, scored["scores"]
    assert not scored["has_collapsed"]
    head = {"answers": "QuestionAnswering"}.get(name, "SequenceClassification")
    with quiet():
        native = getattr(transformers, f"AutoModelFor{head}")
        _, info = native.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not info["missing_keys"]


def test_a_longformers_head_for_documents_begins_as_its_pooler(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    task, tiny = Classes(multi_label=True, choose_by="macro_f1"), recipe(1, batch=4, learning_rate=1e-7)
    learn(tiny_long_folder, pairs(4), pairs(4), task, tiny, tmp_path / "model")
    learned, given = read_weights(tmp_path / "model"), read_weights(tiny_long_folder)
    pooler = next(given[name] for name in given if name.endswith("pooler.dense.weight"))
    torch.testing.assert_close(learned["classifier.dense.weight"], pooler, atol=1e-5, rtol=0)


def test_the_record_gives_the_task_back(tiny_bert_folder: Path, tmp_path: Path) -> None:
    task = Classes(multi_label=True, choose_by="macro_f1")
    learn(tiny_bert_folder, pairs(8), pairs(8), task, recipe(1, batch=4), tmp_path / "model")
    found = task_of(tmp_path / "model")
    assert isinstance(found, Classes)
    assert found.classes == ("high", "odd")
    assert len(found.thresholds) == 2
    with pytest.raises(LongbioError, match=r"has no finetuning\.json"):
        task_of(tiny_bert_folder)


def test_dropout_comes_back_in_the_saved_config(
    tiny_long_folder: Path, tmp_path: Path, drug_notes: Notes
) -> None:
    learn(tiny_long_folder, drug_notes(1), [], ENTITIES, recipe(1), tmp_path / "ner")
    config = load(tmp_path / "ner", "ner").config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.1)
    assert config.id2label == {0: "O", 1: "B-Drug", 2: "I-Drug"}


def test_early_stopping_keeps_the_best_weights(
    tiny_bert_folder: Path, tmp_path: Path, drug_notes: Notes
) -> None:
    notes = drug_notes(8)
    report = learn(
        tiny_bert_folder,
        notes,
        notes[:3],
        ENTITIES,
        recipe(40, patience=50, evaluations=2),
        tmp_path / "ner",
    )
    scores = [score for _, score in report["history"]]
    assert len(scores) >= 5
    assert report["dev"]["main"] == pytest.approx(max(scores))


class Killed(Exception):
    pass


@pytest.mark.parametrize("stability", [Stability(), Stability(mixout=0.2, average_last=0.5, layer_decay=0.9)])
def test_a_killed_run_ends_with_the_same_model(
    stability: Stability, tiny_bert_folder: Path, tmp_path: Path, drug_notes: Notes
) -> None:
    def run(name: str, on_step: Callable[[int, float], None] = lambda step, loss: None) -> dict[str, Any]:
        return learn(
            tiny_bert_folder,
            drug_notes(4),
            drug_notes(2),
            ENTITIES,
            recipe(12, dropout=0.1, patience=9, batch=2),
            tmp_path / name,
            stability=stability,
            machine=Machine(save_steps=3),
            on_step=on_step,
        )

    def kill(step: int, loss: float) -> None:
        if step == 8:
            raise Killed

    whole = run("whole")
    with pytest.raises(Killed):
        run("killed", kill)
    assert (tmp_path / "killed.training").is_dir()
    resumed = run("killed")
    assert not (tmp_path / "killed.training").exists()
    assert resumed["losses"] == pytest.approx(whole["losses"], abs=1e-6)
    assert resumed["history"] == whole["history"]
    first, second = (load(tmp_path / name, "ner").state_dict() for name in ("whole", "killed"))
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in first)


def test_a_finished_run_does_nothing(tiny_bert_folder: Path, tmp_path: Path, drug_notes: Notes) -> None:
    given = (tiny_bert_folder, drug_notes(2), [], ENTITIES, recipe(2), tmp_path / "ner")
    report = learn(*given)
    weights = tmp_path / "ner" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert learn(*given) == read_json(tmp_path / "ner" / "finetuning.json")
    assert report["losses"] == learn(*given)["losses"]
    assert weights.stat().st_mtime_ns == before


def test_nothing_to_learn_from_is_said(tiny_bert_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="none of the 1 documents has a question"):
        learn(tiny_bert_folder, [Document("a", "x")], [], Answers(), recipe(2), tmp_path / "qa")
    with pytest.raises(LongbioError, match="none of the 1 documents has a label"):
        learn(tiny_bert_folder, [Document("a", "x")], [], Classes(), recipe(2), tmp_path / "classes")


def test_the_seed_decides(tiny_bert_folder: Path, tmp_path: Path, drug_notes: Notes) -> None:
    losses = [
        learn(tiny_bert_folder, drug_notes(4), [], ENTITIES, recipe(3), tmp_path / str(run), seed=seed)[
            "losses"
        ]
        for run, seed in enumerate((0, 0, 1))
    ]
    assert losses[0] == losses[1]
    assert not np.allclose(losses[0], losses[2])


def test_a_long_model_that_learned_from_chunks_is_read_in_chunks(
    tiny_long_folder: Path, tmp_path: Path
) -> None:
    for name, max_tokens in (("chunks", 40), ("whole", None)):
        chosen = recipe(2, max_tokens=max_tokens)
        learn(tiny_long_folder, questions(4), [], Answers(), chosen, tmp_path / name)
        evaluate(tmp_path / name, questions(6), tmp_path / f"{name}-found")
    windows = {}
    for name in ("chunks", "whole"):
        lines = (tmp_path / f"{name}-found" / "details.jsonl").read_text().splitlines()
        windows[name] = max(json.loads(line)["questions"][0]["windows"] for line in lines)
        inputs = inputs_of(tmp_path / name, config_of(tmp_path / name))
        assert inputs.max_tokens == (40 if name == "chunks" else 256)
    assert windows["whole"] == 1
    assert windows["chunks"] > 1


def test_rows_longer_than_the_model_are_refused(tiny_bert_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="rows of 4,096 tokens"):
        learn(
            tiny_bert_folder,
            pairs(4),
            [],
            Classes(multi_label=True, choose_by="micro_f1"),
            recipe(1, max_tokens=4096),
            tmp_path / "a",
        )


@pytest.mark.parametrize("task", [ENTITIES, Answers(), Classes(multi_label=True, choose_by="micro_f1")])
def test_an_encoder_of_others_learns_as_well(
    task: AnyTask, tiny_bert_folder: Path, tmp_path: Path, drug_notes: Notes
) -> None:
    """ModernBERT: its heads, and its dropout, have other names."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert_folder)
    config = transformers.ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=2,
        cls_token_id=2,
        eos_token_id=3,
        sep_token_id=3,
    )
    transformers.ModernBertModel(config).save_pretrained(tmp_path / "short")
    tokenizer.save_pretrained(tmp_path / "short")
    loaded = load(tmp_path / "short", task.head, new_head=True, dropout=0.1)
    assert (loaded.config.mlp_dropout, loaded.config.attention_dropout) == (0.1, 0.1)
    make = {"qa": questions, "ner": drug_notes}.get(task.kind, pairs)
    report = learn(tmp_path / "short", make(4), make(2), task, recipe(2, dropout=0.1), tmp_path / "model")
    assert report["steps"] == 2
    evaluate(tmp_path / "model", make(3), tmp_path / "found")
    assert len((tmp_path / "found" / "details.jsonl").read_text().splitlines()) == 3
