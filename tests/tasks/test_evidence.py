"""What documents add to a score is the score: of all of them, and of any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbio.corpus.records import Document, Question, Relation, Span
from longbio.tasks.answers import score_answer
from longbio.tasks.classification import Classes
from longbio.tasks.evidence import MEASURES, of_pairs
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.relations import Relations
from longbio.tasks.similarity import Similarity
from longbio.tasks.task import Prediction

TEXT = "one two three four five six seven eight"
WORDS = tuple((place, place + len(word)) for word, place in ((w, TEXT.index(w)) for w in TEXT.split()))
CLASSES = ("a", "b", "none")


def mentions(draw: np.random.Generator) -> tuple[Span, ...]:
    chosen = [place for place in WORDS if draw.random() < 0.5]
    return tuple(Span.of(*place, str(draw.choice(["X", "Y"]))) for place in chosen)


def entities(draw: np.random.Generator, number: int) -> tuple[Document, Prediction]:
    gold, found = (
        Document(str(number), TEXT, spans=mentions(draw), units=WORDS, labels=("a",)) for _ in "ab"
    )
    return gold, Prediction(found, {"tokens": 8, "probabilities": [0.5 for _ in found.spans]})


def answers(draw: np.random.Generator, number: int) -> tuple[Document, Prediction]:
    asked, details = [], []
    for each in range(int(draw.integers(0, 4))):
        first, last = sorted(draw.integers(0, len(WORDS), 2))
        place = (WORDS[first][0], WORDS[last][1])
        asked.append(Question(f"{number}-{each}", "what?", (place,) if draw.random() < 0.8 else ()))
        start, end = WORDS[int(draw.integers(0, len(WORDS)))]
        best = {"start_char": start, "end_char": end, "text": TEXT[start:end], "probability": 0.7}
        details.append({"best": [best], "null_minus_best": float(draw.normal())})
    document = Document(str(number), TEXT, questions=tuple(asked))
    return document, Prediction(document, {"tokens": 8, "questions": details})


def classes(draw: np.random.Generator, number: int) -> tuple[Document, Prediction]:
    shares = draw.dirichlet([1.0] * len(CLASSES)).tolist()
    gold = Document(str(number), TEXT, labels=(str(draw.choice(CLASSES)),))
    return gold, Prediction(gold, {"tokens": 8, "probabilities": dict(zip(CLASSES, shares, strict=True))})


def labels(draw: np.random.Generator, number: int) -> tuple[Document, Prediction]:
    chosen = tuple(name for name in CLASSES if draw.random() < 0.4)
    gold = Document(str(number), TEXT, labels=chosen)
    return gold, Prediction(gold, {"tokens": 8, "probabilities": {name: draw.random() for name in CLASSES}})


def pairs(draw: np.random.Generator, number: int) -> tuple[Document, Prediction]:
    score = float(draw.normal(1000, 2))
    found = Document(str(number), TEXT, score=score + float(draw.normal()))
    return Document(str(number), TEXT, score=score), Prediction(found, {"tokens": 8})


def relations(draw: np.random.Generator, number: int) -> tuple[Document, Prediction]:
    head, *tails = (Span.of(*place, "X") for place in WORDS)

    def some() -> tuple[Relation, ...]:
        return tuple(Relation(str(draw.choice(["r", "s"])), head, t) for t in tails if draw.random() < 0.4)

    gold, found = (Document(str(number), TEXT, spans=(head, *tails), relations=some()) for _ in "ab")
    details = [{"label": each.label, "probability": 0.6} for each in found.relations]
    return gold, Prediction(found, {"tokens": 8, "relations": details})


CASES: dict[str, tuple[Any, Any]] = {
    "mentions": (Entities(types=("X", "Y")), entities),
    "words": (Entities(types=("X", "Y"), score_by="words"), entities),
    "answers": (Answers(), answers),
    "answers or none": (Answers(null_answers=True), answers),
    "accuracy": (Classes(classes=CLASSES), classes),
    "micro F1": (Classes(classes=CLASSES, choose_by="micro_f1", negative="none"), classes),
    "macro F1": (Classes(classes=CLASSES, choose_by="macro_f1"), classes),
    "labels": (Classes(classes=CLASSES, multi_label=True, choose_by="micro_f1"), labels),
    "labels, macro": (
        Classes(classes=CLASSES, multi_label=True, choose_by="macro_f1", thresholds=(0.2, 0.5, 0.8)),
        labels,
    ),
    "AUROC": (Classes(classes=CLASSES, choose_by="auroc", negative="none"), classes),
    "labels, AUROC": (Classes(classes=CLASSES, multi_label=True, choose_by="auroc"), labels),
    "similarity": (Similarity(mean=1000, deviation=2), pairs),
    "relations": (Relations(classes=("none", "r", "s")), relations),
}


def corpus(make: Any, seed: int, size: int) -> tuple[list[Document], list[Prediction]]:
    draw = np.random.default_rng(seed)
    made = [make(draw, number) for number in range(size)]
    return [gold for gold, _ in made], [found for _, found in made]


@pytest.mark.parametrize("case", CASES)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 12))
def test_the_sum_over_documents_gives_the_main_score(case: str, seed: int, size: int) -> None:
    task, make = CASES[case]
    gold, found = corpus(make, seed, size)
    evidence = task.evidence(gold, found)
    assert evidence.value == pytest.approx(task.score(gold, found)["main"], abs=1e-9)


@pytest.mark.parametrize("case", [case for case in CASES if "AUROC" not in case])
def test_any_documents_can_be_scored_again_many_at_once(case: str) -> None:
    task, make = CASES[case]
    gold, found = corpus(make, 7, 20)
    evidence = task.evidence(gold, found)
    drawn = np.random.default_rng(0).integers(0, 20, (5, 20))
    values = MEASURES[evidence.measure](evidence.totals[drawn].sum(axis=1))
    wanted = [task.score([gold[n] for n in row], [found[n] for n in row])["main"] for row in drawn.tolist()]
    if case.startswith("answers"):
        wanted = [_mean_f1(task, [gold[n] for n in row], [found[n] for n in row]) for row in drawn.tolist()]
    assert values == pytest.approx(wanted)


def _mean_f1(task: Answers, gold: Sequence[Document], found: Sequence[Prediction]) -> float:
    scores = []
    for document, each in zip(gold, found, strict=True):
        for question, detail in zip(document.questions, each.details["questions"], strict=True):
            is_none = task.null_answers and detail["null_minus_best"] > task.null_threshold
            texts = [document.text[start:end] for start, end in question.answers]
            scores.append(score_answer(texts, "" if is_none else detail["best"][0]["text"]).f1)
    return float(np.mean(scores))


@pytest.mark.parametrize("case", ["words", "macro F1", "labels, macro"])
def test_two_models_add_up_in_the_same_columns(case: str) -> None:
    """Whichever types each of them predicts."""
    task, make = CASES[case]
    shapes = {task.evidence(*corpus(make, seed, 2)).totals.shape for seed in range(20)}
    assert len(shapes) == 1


def test_sides_without_spread_do_not_correlate() -> None:
    assert of_pairs([1e6 + 1, 1e6 + 2, 1e6 + 3], [5, 5, 5]).value == 0
    assert of_pairs([1e6 + 1, 1e6 + 2, 1e6 + 3], [0.1, 0.2, 0.3]).value == pytest.approx(1)
    assert of_pairs([3.0], [4.0]).value == 0


@pytest.mark.parametrize(("case", "count"), [("mentions", 3), ("relations", 3), ("accuracy", 1)])
def test_what_was_right_is_right_by_its_probability(case: str, count: int) -> None:
    """As many of them as the score counts as true positives."""
    task, make = CASES[case]
    gold, found = corpus(make, 3, 15)
    right = sum(is_right for _, is_right in task.confidences(gold, found))
    assert right == task.evidence(gold, found).totals.sum(axis=0)[0]
    if case == "mentions":
        credits = [credit for places in task.places(gold, found) for _, credit in places]
        assert sum(credits) == right
        assert len(credits) == sum(len(document.spans) for document in gold)


def test_answers_have_their_place_and_their_f1() -> None:
    task, make = CASES["answers"]
    gold, found = corpus(make, 5, 10)
    places = task.places(gold, found)
    asked = [[q for q in document.questions if q.answers] for document in gold]
    assert [[start for start, _ in each] for each in places] == [
        [question.answers[0][0] for question in each] for each in asked
    ]
    unanswerable = sum(len(d.questions) for d in gold) - sum(map(len, asked))
    # Of a question without an answer any answer is wrong.
    total = task.evidence(gold, found).totals[:, 0].sum()
    assert unanswerable
    assert sum(credit for each in places for _, credit in each) == pytest.approx(total)


def test_no_answer_has_no_confidence() -> None:
    task, make = CASES["answers or none"]
    gold, found = corpus(make, 5, 20)
    details = [detail for each in found for detail in each.details["questions"]]
    given = [detail for detail in details if detail["null_minus_best"] <= task.null_threshold]
    assert 0 < len(given) < len(details)
    assert len(task.confidences(gold, found)) == len(given)
