"""Documents without an example of what a task is about are refused, whatever the task."""

from __future__ import annotations

from typing import Any

import pytest

from longbio.corpus.records import Document, Question, Relation, Span
from longbio.errors import LongbioError
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.relations import Relations
from longbio.tasks.similarity import Similarity
from longbio.tasks.task import refuse_without_examples

DRUG, SIGN = Span.of(0, 1, "Drug"), Span.of(2, 3, "Sign")
BARE = Document("a", "x y")
KNOWN: dict[str, tuple[Any, Document]] = {
    "ner": (Entities(), Document("b", "x y", (DRUG,))),
    "qa": (Answers(), Document("b", "x y", questions=(Question("q", "?", ((0, 1),)),))),
    "qa with none": (Answers(null_answers=True), Document("b", "x y", questions=(Question("q", "?"),))),
    "classification": (Classes(), Document("b", "x y", labels=("ill",))),
    "pairs": (Classes(), Document("b", "x y", query="z", labels=("ill",))),
    "labels": (Classes(multi_label=True, choose_by="micro_f1"), Document("b", "x", labels=("ill",))),
    "relations": (
        Relations(),
        Document("b", "x y", (DRUG, SIGN), relations=(Relation("treats", DRUG, SIGN),)),
    ),
    "similarity": (Similarity(), Document("b", "x y", query="z", score=0.0)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_one_example_is_enough_and_none_is_refused(name: str) -> None:
    task, example = KNOWN[name]
    refuse_without_examples(task, [BARE, example], "here", "text")
    refuse_without_examples(task, [], "here")
    with pytest.raises(LongbioError, match="here: none of the 2 documents, read as text, has a") as caught:
        refuse_without_examples(task, [BARE, BARE], "here", "text")
    assert "they have nothing but their texts" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("task", "document"),
    [
        (Entities(types=("Test",)), KNOWN["ner"][1]),
        (Classes(classes=("well", "worse")), KNOWN["classification"][1]),
        (Relations(classes=("none", "causes"), pairs=(("Drug", "Sign"),)), KNOWN["relations"][1]),
        (Answers(), KNOWN["qa with none"][1]),
        (Answers(), KNOWN["ner"][1]),
        (Relations(), KNOWN["ner"][1]),
    ],
)
def test_examples_are_of_what_is_learned(task: Any, document: Document) -> None:
    with pytest.raises(LongbioError, match="none of the 1 documents has a"):
        refuse_without_examples(task, [document], "here")


def test_what_was_found_instead_is_said() -> None:
    types = tuple(Span.of(number, number + 1, f"{'Type' * 20} {number}") for number in range(9))
    with pytest.raises(LongbioError) as caught:
        refuse_without_examples(Answers(), [Document("a", "x" * 9, types)], "f" * 40, "i2b2_2010")
    assert "they have 9 mentions, of the types 'Type" in str(caught.value)
    assert "and 6 more" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_was_not_learned_is_told() -> None:
    documents = [Document("a", "x y", (DRUG, SIGN)), Document("b", "x y", (SIGN,))]
    assert Entities(types=("Drug",)).warnings(documents) == [
        "2 mentions of types that weren't learned, and are missed: 'Sign'"
    ]
    assert Entities(types=("Drug", "Sign")).warnings(documents) == []
    labelled = [Document("a", "x", labels=("ill",)), Document("b", "x", labels=("well",))]
    assert Classes(classes=("well", "worse")).warnings(labelled) == [
        "1 labels of classes that weren't learned, and are missed: 'ill'"
    ]
    assert Relations(classes=("none", "causes")).warnings([KNOWN["relations"][1]]) == [
        "1 relations of types that weren't learned, and are missed: 'treats'"
    ]
    asked = [KNOWN["qa"][1], KNOWN["qa with none"][1]]
    assert "1 of 2 questions have no answer, and each scores 0" in Answers().warnings(asked)[0]
    assert Answers(null_answers=True).warnings(asked) == []
    assert Similarity().warnings(asked) == []
