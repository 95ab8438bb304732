"""Scores on disk: predictions in the corpus' format, by length, and for models of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedModel

from longbio.artifacts.atomic_files import read_json
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Question, Relation, Span
from longbio.encoders.loading import quiet
from longbio.errors import LongbioError
from longbio.finetuning import evaluate as evaluation
from longbio.finetuning.evaluate import (
    by_length,
    evaluate,
    score_line,
    seqeval_report,
    task_for,
    write_predictions,
)
from longbio.prediction.predictor import Model, load_for
from longbio.tasks import TASKS, AnyTask
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.relations import Relations
from longbio.tasks.similarity import Similarity
from longbio.tasks.task import Prediction


def test_scores_by_length_are_of_the_documents_of_that_length() -> None:
    gold = [Document(str(n), "x", labels=("a",)) for n in range(4)]
    lengths, right = (10, 511, 512, 9000), (True, False, True, False)
    predictions = [
        Prediction(document, {"tokens": length, "probabilities": {"a": float(hit), "b": 0.5}})
        for document, length, hit in zip(gold, lengths, right, strict=True)
    ]
    rows = by_length(Classes(classes=("a", "b")), gold, predictions)
    assert [(row["from_tokens"], row["to_tokens"], row["documents"], row["main"]) for row in rows] == [
        (0, 512, 2, 0.5),
        (512, 1024, 1, 1.0),
        (4096, None, 1, 0.0),
    ]


@pytest.mark.parametrize(
    ("task", "format_name", "files"),
    [
        (Entities(), "brat", {"a.txt", "a.ann"}),
        (Entities(), "iob", {"documents.conll"}),
        (Entities(), "pubtator", {"documents.jsonl"}),
        (Answers(), "squad", {"predictions.json"}),
        (Classes(), "table", {"documents.jsonl"}),
    ],
)
def test_predictions_are_written_in_the_format_of_the_corpus(
    task: Entities | Answers | Classes, format_name: str, files: set[str], tmp_path: Path
) -> None:
    document = Document(
        "a", "no fever", (Span.of(3, 8, "Finding"),), questions=(Question("q", "what?", ((3, 8),)),)
    )
    write_predictions([Prediction(document, {"tokens": 2})], task, format_name, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == files | {"details.jsonl"}
    if format_name == "squad":
        assert read_json(tmp_path / "predictions.json") == {"q": "fever"}
    elif format_name in ("brat", "iob", "pubtator"):
        (found,) = read_documents(tmp_path / ("." if format_name == "brat" else min(files)))
        assert found.spans == document.spans


def test_what_a_format_cannot_hold_is_written_as_json_lines(tmp_path: Path) -> None:
    """XML has no form feed."""
    document = Document("a", "no\ffever", (Span.of(3, 8, "Finding"),))
    whole = Document("b", "fever", (Span.of(0, 5, "Finding"),))
    predictions = [Prediction(each, {"tokens": 2}) for each in (whole, document)]
    write_predictions(predictions, Entities(), "bioc", tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"documents.jsonl", "details.jsonl"}
    assert read_documents(tmp_path / "documents.jsonl") == [whole, document]


def save_tagger(encoder: Path, names: list[str], folder: Path) -> PreTrainedModel:
    """A tagger as others publish it, of random weights."""
    with quiet(), torch.random.fork_rng():
        tags = dict(enumerate(names))
        model = AutoModelForTokenClassification.from_pretrained(encoder, id2label=tags)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return model.eval()


def test_a_tagger_of_others_is_evaluated_by_the_name_of_its_task(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    save_tagger(tiny_bert_folder, ["O", "B-Drug", "I-Drug"], folder)
    assert task_for(folder, "ner") == task_for(folder) == Entities(types=("Drug",), constrained=False)
    gold = [Document("a", "drug 1 the drug 2", (Span.of(0, 6, "Drug"),))]
    report = evaluate(folder, gold, tmp_path / "scores")
    assert report == read_json(tmp_path / "scores" / "scores.json")
    with pytest.raises(LongbioError, match="another plan: documents has changed"):
        evaluate(folder, [Document("a", "drug 1")], tmp_path / "scores")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(LongbioError, match="not empty"):
        evaluate(folder, gold, tmp_path / "full")
    with pytest.raises(LongbioError, match="no such folder"):
        task_for(tmp_path / "mistyped")
    micro = report["scores"]["strict"]["micro"]
    assert micro["correct"] + micro["incorrect"] + micro["missed"] == 1
    assert "seqeval" not in report

    with pytest.raises(LongbioError, match="there is no task 'tagging'"):
        task_for(folder, "tagging")
    with pytest.raises(LongbioError, match="fine-tuned for ner, not similarity"):
        task_for(folder, "similarity")
    with pytest.raises(LongbioError, match="has no task here; fine-tune it first"):
        task_for(tiny_bert_folder)


@pytest.mark.parametrize("changed", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_scores_belong_to_a_model_wherever_it_lies(
    changed: str, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    folder, gold = tmp_path / "model", [Document("a", "drug 1 the drug 2", (Span.of(0, 6, "Drug"),))]
    save_tagger(tiny_bert_folder, ["O", "B-Drug", "I-Drug"], folder)
    report = evaluate(folder, gold, tmp_path / "scores")
    folder = folder.rename(tmp_path / "moved")
    assert evaluate(folder, gold, tmp_path / "scores") == report
    data = bytearray((folder / changed).read_bytes())
    data[-1:] = bytes([data[-1] ^ 1]) if changed == "model.safetensors" else data[-1:] + b" "
    (folder / changed).write_bytes(data)
    with pytest.raises(LongbioError, match="was made by another plan: model has changed"):
        evaluate(folder, gold, tmp_path / "scores")


def test_on_words_with_tags_seqeval_says_the_same(tiny_bert_folder: Path, tmp_path: Path) -> None:
    folder, corpus = tmp_path / "theirs", tmp_path / "words.conll"
    model = save_tagger(tiny_bert_folder, ["O", "B-Drug", "I-Drug"], folder)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.0, 0.1, 0.1]))
    model.save_pretrained(folder)
    corpus.write_text("drug\tB-Drug\n1\tI-Drug\nthe\tO\n\ndrug\tB-Drug\n2\tO\nfever\tB-Sign\n\n")
    gold = read_documents(corpus, "iob")

    report = evaluate(folder, gold, tmp_path / "scores", format_name="iob")
    theirs = report["seqeval"]
    assert set(theirs) == {"Drug", "Sign", "micro avg", "macro avg", "weighted avg"}
    assert theirs["Drug"]["support"] == 2
    assert theirs["micro avg"]["f1-score"] == pytest.approx(report["scores"]["main"])
    assert read_json(tmp_path / "scores" / "scores.json")["seqeval"] == theirs

    # One Drug is right, one where there is nothing; a Drug and a Sign are missed.
    assert [document.text for document in gold] == ["drug 1 the", "drug 2 fever"]
    right, wrong = Span.of(0, 6, "Drug"), Span.of(7, 10, "Drug")
    said = seqeval_report(gold, [replace(gold[0], spans=(right, wrong)), replace(gold[1], spans=())])
    assert said["Drug"] == {"precision": 0.5, "recall": 0.5, "f1-score": 0.5, "support": 2.0}
    assert (said["micro avg"]["precision"], said["micro avg"]["recall"]) == (0.5, pytest.approx(1 / 3))


def test_a_tagger_of_others_has_its_tags_in_any_order(tiny_bert_folder: Path, tmp_path: Path) -> None:
    model = save_tagger(tiny_bert_folder, ["B-Drug", "I-Sign", "O", "B-Sign"], tmp_path)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.3, 0.1, 0.0, 0.2]))
    model.save_pretrained(tmp_path)

    task = task_for(tmp_path)
    assert task == Entities(types=("Drug", "Sign"), constrained=False)
    loaded = load_for(task, tmp_path)
    assert loaded.config.id2label == {0: "O", 1: "B-Drug", 2: "I-Drug", 3: "B-Sign", 4: "I-Sign"}
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        logits, expected = loaded(ids).logits, model(ids).logits
    torch.testing.assert_close(logits[..., [0, 1, 3, 4]], expected[..., [2, 0, 3, 1]])
    assert (logits[..., 2] < -9_999).all()


def judged(kind: str, name: str, group: str, is_right: bool, number: int) -> tuple[Document, Prediction]:
    """A document of a patient and what is said of it, right or wrong."""
    text, drug, sign = "the drug, a sign", Span.of(4, 8, "Drug"), Span.of(12, 16, "Sign")
    start, end = (4, 8) if is_right else (0, 3)
    best = {"start_char": start, "end_char": end, "text": text[start:end], "probability": 0.9}
    made: dict[str, tuple[Document, Document, dict[str, Any]]] = {
        "ner": (
            Document(name, text, (drug,)),
            Document(name, text, (drug if is_right else sign,)),
            {"probabilities": [0.9]},
        ),
        "qa": (
            Document(name, text, questions=(Question(f"q{name}", "what?", ((4, 8),)),)),
            Document(name, text),
            {"questions": [{"best": [best], "null_minus_best": -1.0}]},
        ),
        "classification": (
            Document(name, text, labels=("a",)),
            Document(name, text, labels=("a" if is_right else "b",)),
            {"probabilities": {"a": float(is_right), "b": float(not is_right)}},
        ),
        "relations": (
            Document(name, text, (drug, sign), relations=(Relation("treats", drug, sign),)),
            Document(
                name,
                text,
                (drug, sign),
                relations=(Relation("treats" if is_right else "causes", drug, sign),),
            ),
            {"relations": [{"probability": 0.9}]},
        ),
        "similarity": (
            Document(name, text, query="y", score=float(number % 5)),
            Document(name, text, query="y", score=float(number % 5 if is_right else -number % 3)),
            {},
        ),
    }
    gold, found, details = made[kind]
    return replace(gold, group=group), Prediction(found, {"tokens": 4, **details})


JUDGES: dict[str, AnyTask] = {
    "ner": Entities(types=("Drug", "Sign")),
    "qa": Answers(),
    "classification": Classes(classes=("a", "b")),
    "relations": Relations(classes=("none", "treats", "causes")),
    "similarity": Similarity(mean=2, deviation=1),
}


@pytest.mark.parametrize("kind", TASKS)
def test_the_interval_of_every_task_is_over_patients(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All notes of a patient are read alike, so that notes by themselves would seem to say far more."""
    task = JUDGES[kind]
    pairs = [
        judged(kind, f"{patient}-{n}", f"p{patient}", patient % 3 > 0, patient)
        for patient in range(9)
        for n in range(10)
    ]
    predictions = [found for _, found in pairs]
    monkeypatch.setattr(evaluation, "checkpoint_digest", lambda folder: "0")
    loaded = SimpleNamespace(network=None, inputs=None, batch_tokens=1)
    monkeypatch.setattr(evaluation, "Predictor", lambda model: loaded)
    monkeypatch.setattr(evaluation, "predict", lambda *given, **named: iter(predictions))
    monkeypatch.setattr(type(task), "check", lambda *given: None)

    def scored(name: str, gold: list[Document]) -> dict[str, Any]:
        report = evaluate(Model(tmp_path, task), gold, tmp_path / name)
        assert report["interval"]["value"] == pytest.approx(report["scores"]["main"])
        assert report["interval"]["low"] < report["scores"]["main"] < report["interval"]["high"]
        return report

    grouped = scored("grouped", [gold for gold, _ in pairs])
    blind = scored("blind", [replace(gold, group=None) for gold, _ in pairs])
    widths = [each["interval"]["high"] - each["interval"]["low"] for each in (grouped, blind)]
    assert widths[0] > 2.5 * widths[1]
    said = score_line(task, grouped)
    assert said.startswith(f"{task.measure} {grouped['scores']['main']:.3f} (95% interval 0.")
    assert said.endswith(" over 9 groups (patients))")
    assert score_line(task, blind).endswith(" over 90 documents)")
