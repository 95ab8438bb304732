"""Training and scoring stop where documents lack what a task is about, before a model is made or loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longbio.corpus.records import Document, Span
from longbio.corpus.writers import brat
from longbio.errors import LongbioError
from longbio.finetuning.evaluate import evaluate
from longbio.finetuning.learn import learn
from longbio.finetuning.run import finetune
from longbio.finetuning.settings import Finetuning, Recipe
from longbio.prediction.predictor import Model
from longbio.progress import Silence
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers

SPLITS = ("train", "dev", "test")


def plan(model: Path, data: Path, **task: Any) -> Finetuning:
    return Finetuning.model_validate(
        {
            "task": task,
            "model": str(model),
            "out": data / "run",
            "data": {"path": data},
            "recipe": {"learning_rate": 1e-3, "batch": 2, "max_steps": 1},
        }
    )


def notes(folder: Path, bare: str) -> None:
    """Notes with mentions, but for those of one split."""
    for split in SPLITS:
        spans = () if split == bare else (Span.of(4, 8, "Drug"),)
        brat.write([Document(f"{split}-{n}", "the drug", spans) for n in range(2)], folder / split)
        for file in (folder / split).glob("*.ann") if split == bare else ():
            file.unlink()


@pytest.mark.parametrize("bare", SPLITS)
def test_forgotten_annotations_stop_a_run(bare: str, tiny_bert_folder: Path, tmp_path: Path) -> None:
    notes(tmp_path, bare)
    said = f"{bare}: none of the 2 documents, read as text, has a mention of an entity"
    with pytest.raises(LongbioError, match=said) as caught:
        finetune(plan(tiny_bert_folder, tmp_path, kind="ner"))
    assert "nothing but their texts" in str(caught.value)
    assert not list((tmp_path / "run").glob("seed-*"))


@pytest.mark.parametrize("kind", ["qa", "classification", "relations", "similarity"])
def test_a_task_of_another_kind_of_annotation(kind: str, tiny_bert_folder: Path, tmp_path: Path) -> None:
    notes(tmp_path, "none")
    with pytest.raises(
        LongbioError, match=r"read as brat, has a .*they have 2 mentions, of the types 'Drug'"
    ):
        finetune(plan(tiny_bert_folder, tmp_path, kind=kind))


def test_types_of_the_test_alone_are_told_or_refused(tiny_bert_folder: Path, tmp_path: Path) -> None:
    notes(tmp_path, "none")
    (tmp_path / "test" / "test-0.ann").write_text("T1\tSign 4 8\tdrug\n")
    told = Told()
    results = finetune(plan(tiny_bert_folder, tmp_path, kind="ner"), told)
    line = "test: 1 mentions of types that weren't learned, and are missed: 'Sign'"
    assert results["warnings"] == [line]
    assert line in told.lines
    (tmp_path / "test" / "test-1.ann").write_text("T1\tSign 4 8\tdrug\n")
    again = plan(tiny_bert_folder, tmp_path, kind="ner").model_copy(update={"out": tmp_path / "again"})
    with pytest.raises(LongbioError, match=r"test: none of the 2 documents.* has a mention .* 2 mentions"):
        finetune(again)


class Told(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def end(self, result: str) -> None:
        self.lines.append(result)


def squad(file: Path, impossible: int, possible: int) -> None:
    qas: list[dict[str, Any]] = [
        {"id": f"{file.stem}-{n}", "question": "what?", "answers": [], "is_impossible": True}
        for n in range(impossible)
    ]
    qas += [
        {"id": f"{file.stem}-p{n}", "question": "what?", "answers": [{"text": "drug", "answer_start": 4}]}
        for n in range(possible)
    ]
    content = {"data": [{"title": file.stem, "paragraphs": [{"context": "the drug", "qas": qas}]}]}
    file.write_text(json.dumps(content))


def test_questions_without_answers_are_told_where_none_may_be_given(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    for split in SPLITS:
        squad(tmp_path / f"{split}.json", impossible=3, possible=1)
    told = Told()
    results = finetune(plan(tiny_bert_folder, tmp_path, kind="qa"), told)
    said = "3 of 4 questions have no answer, and each scores 0"
    assert [
        line.startswith(f"{split}: {said}") for split, line in zip(SPLITS, results["warnings"], strict=True)
    ]
    assert any(said in line and "null_answers" in line for line in told.lines)
    squad(tmp_path / "test.json", impossible=3, possible=0)
    again = plan(tiny_bert_folder, tmp_path, kind="qa").model_copy(update={"out": tmp_path / "again"})
    with pytest.raises(LongbioError, match="has a question with an answer; they have 3 questions"):
        finetune(again)


def test_learning_and_scoring_refuse_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    bare, whole = [Document("a", "x")], [Document("a", "x", (Span.of(0, 1, "Drug"),))]
    for train, dev, where in ((bare, [], "data.train"), (whole, bare, "data.dev")):
        with pytest.raises(LongbioError, match=f"{where}: none of the 1 documents has a mention"):
            learn(tmp_path / "nothing", train, dev, Entities(), Recipe(learning_rate=1e-3), tmp_path / "out")
    from longbio.finetuning import evaluate as module

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "checkpoint_digest", lambda folder: "0")
        with pytest.raises(LongbioError, match="none of the 1 documents, read as brat, has a question"):
            evaluate(Model(tmp_path / "nothing", Answers()), whole, tmp_path / "out", format_name="brat")
