"""Scores on disk: predictions in the corpus' format, by length, and for models of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from longbio.artifacts.files import read_json
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Question, Span
from longbio.encoders.loading import quiet
from longbio.errors import LongbioError
from longbio.finetuning.evaluate import by_length, evaluate, task_for, write_predictions
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
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


def test_a_tagger_of_others_is_evaluated_by_the_name_of_its_task(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    with quiet(), torch.random.fork_rng():
        names = {0: "O", 1: "B-Drug", 2: "I-Drug"}
        model = AutoModelForTokenClassification.from_pretrained(tiny_bert_folder, id2label=names)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert_folder).save_pretrained(folder)
    assert task_for(folder, "ner") == task_for(folder) == Entities(types=("Drug",))
    gold = [Document("a", "drug 1 the drug 2", (Span.of(0, 6, "Drug"),))]
    report = evaluate(folder, gold, tmp_path / "scores", task=task_for(folder, "ner"))
    assert report == read_json(tmp_path / "scores" / "scores.json")
    with pytest.raises(LongbioError, match="of another model or other documents"):
        evaluate(folder, [Document("a", "drug 1")], tmp_path / "scores", task=task_for(folder))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(LongbioError, match="not empty"):
        evaluate(folder, gold, tmp_path / "full", task=task_for(folder))
    with pytest.raises(LongbioError, match="no such folder"):
        task_for(tmp_path / "mistyped")
    assert report["micro"]["true_positives"] + report["micro"]["false_negatives"] == 1

    with pytest.raises(LongbioError, match="there is no task 'tagging'"):
        task_for(folder, "tagging")
    with pytest.raises(LongbioError, match="fine-tuned for ner, not similarity"):
        task_for(folder, "similarity")
    with pytest.raises(LongbioError, match="has no task here; fine-tune it first"):
        task_for(tiny_bert_folder)
    model.config.id2label = {0: "B-Drug", 1: "I-Drug", 2: "O"}
    model.config.save_pretrained(folder)
    with pytest.raises(LongbioError, match="the tags aren't O, B-x"):
        task_for(folder, "ner")
