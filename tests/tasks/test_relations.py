"""Relations: which pairs are asked about, how they stand in their texts, and what is made of the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Relation, Span
from longbio.encoders.input_format import InputFormat
from longbio.tasks.relations import NONE, Relations
from longbio.tasks.task import Prediction, collate

LETTERS = "abcdefghijklmnopqrstuvwxyz@#*$-"


@pytest.fixture(scope="module")
def inputs() -> InputFormat:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS)]
    tokenizer = transformers.BertTokenizer(vocab={piece: n for n, piece in enumerate(pieces)})
    return InputFormat.of(transformers.BertConfig(max_position_embeddings=64), tokenizer)


TEXT = "aspirin caused a rash, not fever."
DRUG = Span.of(0, 7, "Drug")
RASH = Span.of(17, 21, "Event")
FEVER = Span.of(27, 32, "Event")
CAUSES = Relation("causes", DRUG, RASH)
NOTE = Document("a", TEXT, (DRUG, RASH, FEVER), relations=(CAUSES,), group="patient")
TASK = Relations(classes=(NONE, "causes", "treats"), pairs=(("Drug", "Event"),))


def said(task: Relations, document: Document, labels: dict[Any, str], inputs: InputFormat) -> Prediction:
    """What is decoded where each pair is surely of its class, or of none."""
    encoded = task.encode(document, inputs)
    outputs = []
    for pair, text in zip(encoded.pairs, encoded.texts, strict=True):
        logits = np.zeros(len(task.classes))
        logits[task.classes.index(labels.get(pair, NONE))] = 9
        outputs += [logits] * len(text.rows)
    assert len(outputs) == len(encoded.rows)
    return task.decode(encoded, outputs)


def text(task: Relations, head: Span, tail: Span, document: Document = NOTE) -> str:
    return task.text_of(document, head, tail).text


def test_types_and_pairs_are_those_of_the_training_relations() -> None:
    learned = Relations().learned_from([NOTE])
    assert learned.classes == (NONE, "causes")
    assert learned.pairs == (("Drug", "Event"),)
    assert learned.weights == ()
    given = TASK.learned_from([NOTE])
    assert given == TASK
    with pytest.raises(ValueError, match="'none'"):
        Relations(classes=("causes",))
    with pytest.raises(ValueError, match="2 weights for 0 classes"):
        Relations(weights=(1.0, 2.0))
    weighed = replace(TASK, weights=(0.5, 1.0, 2.0))
    assert weighed.learned_from([NOTE]) == weighed
    assert weighed.classifier.weights == (0.5, 1.0, 2.0)


def test_balanced_weights_are_those_of_the_pairs() -> None:
    """Two pairs, one of them related."""
    learned = Relations(balanced=True).learned_from([NOTE])
    assert learned.weights == (2 / (2 * 1), 2 / (2 * 1))
    many = replace(NOTE, spans=(*NOTE.spans, Span.of(8, 14, "Event")))
    assert Relations(balanced=True).learned_from([many]).weights == (3 / (2 * 2), 3 / (2 * 1))


def test_the_context_of_a_pair_is_whole_words() -> None:
    text = "severe aspirin caused cafe\u0301 rash today"
    drug, rash = Span.of(7, 14, "Drug"), Span.of(28, 32, "Event")
    near = replace(TASK, context_chars=3, style="masked")
    assert near.text_of(Document("n", text), drug, rash).text.strip() == "@Drug$ caused cafe\u0301 @Event$"


def test_candidates_are_pairs_of_the_right_types_in_their_order() -> None:
    assert list(TASK.candidates(NOTE)) == [(DRUG, RASH), (DRUG, FEVER)]
    backward = replace(TASK, pairs=(("Event", "Drug"),))
    assert list(backward.candidates(NOTE)) == [(RASH, DRUG), (FEVER, DRUG)]
    same = replace(TASK, pairs=(("Event", "Event"),))
    assert list(same.candidates(NOTE)) == [(RASH, FEVER), (FEVER, RASH)]


def test_a_mention_that_is_given_twice_is_asked_about_once(inputs: InputFormat) -> None:
    twice = replace(NOTE, spans=(DRUG, DRUG, RASH, FEVER))
    assert list(TASK.candidates(twice)) == [(DRUG, RASH), (DRUG, FEVER)]
    found = said(TASK, twice, {(DRUG, RASH): "causes"}, inputs)
    assert TASK.score([twice], [found])["main"] == 1


@pytest.mark.parametrize(("reach", "near"), [(9, False), (10, True), (None, True)])
@pytest.mark.parametrize("pairs", [("Drug", "Event"), ("Event", "Drug")])
def test_reach_is_the_characters_between(reach: int | None, near: bool, pairs: tuple[str, str]) -> None:
    task = replace(TASK, pairs=(pairs,), reach_chars=reach)
    assert any(RASH in pair for pair in task.candidates(NOTE)) == near


def test_mentions_that_overlap_are_near() -> None:
    inner = Span.of(2, 4, "Event")
    document = replace(NOTE, spans=(DRUG, inner))
    assert list(replace(TASK, reach_chars=0).candidates(document)) == [(DRUG, inner)]


def test_one_line_is_asked_about_and_read() -> None:
    document = Document("a", "before\n" + TEXT + "\nafter rash", (), group=None)
    drug, rash, after = Span.of(7, 14, "Drug"), Span.of(24, 28, "Event"), Span.of(47, 51, "Event")
    assert document.text[47:51] == "rash"
    document = replace(document, spans=(drug, rash, after))
    task = replace(TASK, same_line=True)
    assert list(task.candidates(document)) == [(drug, rash)]
    assert (drug, after) in list(TASK.candidates(document))
    marked = text(replace(task, style="masked", context_chars=1), drug, rash, document)
    assert marked == "@Drug$ caused a @Event$, not fever."


def test_pairs_are_marked() -> None:
    assert text(TASK, DRUG, RASH) == " @ * Drug * aspirin @  caused a  # * Event * rash # , not fever."
    assert text(TASK, RASH, DRUG) == " # * Drug * aspirin #  caused a  @ * Event * rash @ , not fever."
    assert TASK.text_of(NOTE, DRUG, RASH).group == "patient"


def test_pairs_are_masked() -> None:
    task = replace(TASK, style="masked")
    for pair in ((DRUG, RASH), (RASH, DRUG)):
        assert text(task, *pair) == "@Drug$ caused a @Event$, not fever."


def test_context_is_cut_on_both_sides() -> None:
    task = replace(TASK, style="masked", context_chars=3)
    assert text(task, RASH, FEVER) == " a @Event$, not @Event$."
    assert text(replace(task, context_chars=0), RASH, FEVER) == "@Event$, not @Event$"


@pytest.mark.parametrize(
    ("head", "tail", "marked", "masked"),
    [
        # One inside the other, beginning together, ending together, crossing, adjacent, broken.
        ((0, 6), (2, 4), " @ * H * ab # * T * cd # ef @ ", "@H-T$"),
        ((2, 4), (0, 6), " # * T * ab @ * H * cd @ ef # ", "@H-T$"),
        ((0, 4), (2, 6), " @ * H * ab # * T * cd @ ef # ", "@H-T$"),
        ((0, 3), (3, 6), " @ * H * abc @  # * T * def # ", "@H$@T$"),
        ((3, 6), (0, 3), " # * T * abc #  @ * H * def @ ", "@T$@H$"),
    ],
)
def test_mentions_that_touch_stay_readable(
    head: tuple[int, int], tail: tuple[int, int], marked: str, masked: str
) -> None:
    document = Document("a", "abcdef")
    spans = Span.of(*head, "H"), Span.of(*tail, "T")
    assert text(TASK, *spans, document).replace("  ", " ") == marked.replace("  ", " ")
    assert text(replace(TASK, style="masked"), *spans, document) == masked


@pytest.mark.parametrize(("head", "tail"), [((0, 6), (0, 3)), ((0, 6), (3, 6)), ((0, 6), (0, 6))])
def test_marks_at_one_place_lose_no_character(head: tuple[int, int], tail: tuple[int, int]) -> None:
    document = Document("a", "abcdef")
    marked = text(TASK, Span.of(*head, "H"), Span.of(*tail, "T"), document)
    assert "".join(x for x in marked if x in "abcdef") == "abcdef"
    assert (marked.count("@"), marked.count("#"), marked.count("H"), marked.count("T")) == (2, 2, 1, 1)


def test_a_broken_mention_is_marked_from_end_to_end() -> None:
    document = Document("a", "left and right arm")
    broken, inner = Span(((0, 4), (15, 18)), "H"), Span.of(9, 14, "T")
    assert text(TASK, broken, inner, document) == " @ * H * left and  # * T * right #  arm @ "
    assert text(replace(TASK, style="masked"), broken, inner, document) == "@H-T$"


def test_every_pair_is_learned_with_its_class(inputs: InputFormat) -> None:
    left_out = PassedOver()
    samples = TASK.samples(NOTE, inputs, left_out)
    batch = collate(TASK, inputs, samples)
    assert [int(sample.labels[0]) for sample in samples] == batch["labels"].tolist() == [1, 0]
    assert not +left_out
    logits = torch.randn(len(batch["input_ids"]), 3, generator=torch.Generator().manual_seed(0))
    outputs = type("Output", (), {"logits": logits})()
    assert len(logits) == 2 + (batch["row_samples"].bincount() - 1).sum()
    by_hand = torch.stack([logits[batch["row_samples"] == n].mean(0) for n in (0, 1)])
    wanted = cross_entropy(by_hand, batch["labels"], reduction="sum")
    torch.testing.assert_close(TASK.summed_loss(outputs, batch), wanted)
    ((softmax, learned),) = TASK.logits(outputs, batch)
    torch.testing.assert_close(softmax, by_hand)
    assert learned.tolist() == [True, True]


def test_what_cannot_be_learned_is_counted(inputs: InputFormat) -> None:
    more = (CAUSES, replace(CAUSES, label="treats"), Relation("treats", DRUG, FEVER))
    left_out = PassedOver()
    near = replace(TASK, reach_chars=12)
    (sample,) = near.samples(replace(NOTE, relations=more), inputs, left_out)
    assert sample.labels[0] == near.classes.index("causes")
    assert left_out["relations of a pair that has another"] == 1
    assert left_out["relations of pairs that aren't asked about"] == 1


def test_relations_come_back(inputs: InputFormat) -> None:
    wanted = (CAUSES, Relation("treats", DRUG, FEVER))
    document = replace(NOTE, relations=wanted)
    labels = {(each.head, each.tail): each.label for each in wanted}
    found = said(TASK, document, labels, inputs)
    assert found.document.relations == wanted
    assert [each["label"] for each in found.details["relations"]] == ["causes", "treats"]
    assert TASK.score([document], [found])["main"] == 1
    assert not TASK.has_collapsed([found])


def test_each_answer_goes_to_its_own_pair(inputs: InputFormat) -> None:
    """Texts of several windows: their outputs are counted off pair by pair."""
    long = Document("a", "aspirin " + "ab " * 60 + "rash " + "cd " * 60 + "fever", ())
    drug, rash = Span.of(0, 7, "Drug"), Span.of(188, 192, "Event")
    fever = Span.of(len(long.text) - 5, len(long.text), "Event")
    long = replace(long, spans=(drug, rash, fever))
    task = replace(TASK, reach_chars=None)
    assert [len(each.rows) > 1 for each in task.encode(long, inputs).texts] == [True, True]
    found = said(task, long, {(drug, fever): "treats"}, inputs)
    assert found.document.relations == (Relation("treats", drug, fever),)


def test_a_relation_nobody_asked_about_is_missed(inputs: InputFormat) -> None:
    document = replace(NOTE, relations=(CAUSES, Relation("treats", DRUG, FEVER)))
    task = replace(TASK, reach_chars=12)
    found = said(task, document, {(DRUG, RASH): "causes"}, inputs)
    scores = task.score([document], [found])
    assert scores["micro"]["precision"] == 1
    assert scores["micro"]["recall"] == 0.5
    assert scores["types"]["treats"]["recall"] == 0


def test_pairs_of_no_relation_count_nowhere(inputs: InputFormat) -> None:
    found = said(TASK, NOTE, {(DRUG, RASH): "treats"}, inputs)
    scores = TASK.score([NOTE], [found])
    assert scores["main"] == 0
    assert set(scores["types"]) == {"causes", "treats"}
    right = said(TASK, NOTE, {(DRUG, RASH): "causes"}, inputs)
    assert TASK.score([NOTE], [right])["main"] == 1
    turned = replace(NOTE, relations=(Relation("causes", RASH, DRUG),))
    assert TASK.score([turned], [right])["main"] == 0


def test_a_document_is_as_long_as_its_text(inputs: InputFormat) -> None:
    """Scores by length are of documents, not of all their pairs' texts."""
    found = said(TASK, NOTE, {}, inputs)
    assert found.details["tokens"] == len(inputs.tokens(TEXT).ids)
    assert found.details["pairs"] == 2
    alone = replace(NOTE, spans=(DRUG,), relations=())
    assert said(TASK, alone, {}, inputs).details["tokens"] == len(inputs.tokens(TEXT).ids)


@pytest.mark.parametrize("document", [Document("a", ""), Document("a", TEXT, (DRUG,))])
def test_a_document_without_pairs_has_no_rows(document: Document, inputs: InputFormat) -> None:
    assert TASK.encode(document, inputs).rows == ()
    assert TASK.samples(document, inputs, PassedOver()) == []
    found = TASK.decode(TASK.encode(document, inputs), [])
    assert found.document == document
    assert TASK.has_collapsed([found])
    assert TASK.score([document], [found])["main"] == 0


def test_without_direction_each_pair_is_asked_about_once_in_text_order() -> None:
    first, second, third = (Span.of(4 * n, 4 * n + 3, "Drug") for n in range(3))
    related = (Relation("int", second, first), Relation("int", first, third))
    document = Document("a", "aaa bbb ccc", (first, second, third), relations=related)
    either, one_way = Relations(directed=False), Relations()
    asked = [list(task.learned_from([document]).candidates(document)) for task in (either, one_way)]
    assert asked[0] == [(first, second), (first, third), (second, third)]
    assert len(asked[1]) == 6
    other = Document("b", "ADE Drug", (Span.of(0, 3, "Event"), Span.of(4, 8, "Drug")))
    assert list(replace(TASK, directed=False).candidates(other)) == [other.spans]
    assert list(TASK.candidates(other)) == [other.spans[::-1]]
    turned = replace(document, relations=(Relation("int", first, second), Relation("int", third, first)))
    for task, f1 in ((either, 1.0), (one_way, 0.0)):
        assert task.score([document], [Prediction(turned)])["main"] == f1
