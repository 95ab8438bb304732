"""Classes: losses by hand, thresholds, classes that were never learned."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from pydantic import TypeAdapter, ValidationError

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat
from longbio.errors import LongbioError
from longbio.finetuning.rdrop import divergence
from longbio.tasks import TASKS, AnyTask
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.pooling import Reading
from longbio.tasks.qa import Answers
from longbio.tasks.relations import Relations
from longbio.tasks.similarity import Similarity
from longbio.tasks.task import Prediction, collate

WORDS = ["no", "fever", "the", "patient", "has", "pain"]
SINGLE = Classes(classes=("a", "b", "c"))
MULTI = Classes(classes=("a", "b", "c"), multi_label=True, choose_by="micro_f1")


@pytest.fixture(scope="module")
def inputs() -> InputFormat:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = transformers.BertTokenizer(vocab={word: n for n, word in enumerate(vocabulary)})
    return InputFormat.of(transformers.BertConfig(max_position_embeddings=24), tokenizer)


def of(*labels: str, words: int = 3) -> Document:
    return Document("a", "fever " * words, labels=labels)


def batch_of(task: Classes, documents: list[Document], inputs: InputFormat) -> dict[str, torch.Tensor]:
    samples = [s for document in documents for s in task.samples(document, inputs, PassedOver())]
    return collate(task, inputs, samples)


def outputs_for(batch: dict[str, torch.Tensor], num_classes: int = 3) -> Any:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(len(batch["input_ids"]), num_classes, generator=draw)
    return type("Output", (), {"logits": logits})()


def said(task: Classes, document: Document, logits: list[float], inputs: InputFormat) -> Prediction:
    encoded = task.encode(document, inputs)
    return task.decode(encoded, [np.array(logits)] * len(encoded.rows))


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 5.0)])
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_the_loss_of_one_class_by_hand(weights, pooling, inputs: InputFormat) -> None:
    task = replace(SINGLE, weights=weights, reading=Reading(pooling=pooling))
    batch = batch_of(task, [of("c", words=50), of("a")], inputs)
    assert batch["row_samples"].tolist() == [0] * (len(batch["row_samples"]) - 1) + [1]
    assert len(batch["row_samples"]) > 3
    outputs = outputs_for(batch)
    windows, last = outputs.logits[:-1], outputs.logits[-1]
    first = windows.mean(0) if pooling == "mean" else windows.amax(0)
    rates = weights or (1, 1, 1)
    by_hand = -rates[2] * first.log_softmax(0)[2] - rates[0] * last.log_softmax(0)[0]
    torch.testing.assert_close(task.summed_loss(outputs, batch), by_hand)


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 5.0)])
def test_the_loss_of_labels_by_hand(weights, inputs: InputFormat) -> None:
    task = replace(MULTI, weights=weights)
    batch = batch_of(task, [of("a", "c"), of()], inputs)
    assert batch["labels"].tolist() == [[1, 0, 1], [0, 0, 0]]
    outputs = outputs_for(batch)
    rates = torch.tensor(weights or (1.0, 1, 1))
    there, labels = outputs.logits.sigmoid(), batch["labels"]
    by_hand = -(rates * labels * there.log() + (1 - labels) * (1 - there).log()).sum()
    torch.testing.assert_close(task.summed_loss(outputs, batch), by_hand)


@pytest.mark.parametrize("task", [SINGLE, MULTI])
def test_softmaxes_for_r_drop(task: Classes, inputs: InputFormat) -> None:
    """Of labels each is a softmax of two, the second of which is the label's probability."""
    batch = batch_of(task, [of("a", words=50), of("b")], inputs)
    outputs = outputs_for(batch)
    ((logits, learned),) = task.logits(outputs, batch)
    assert learned.shape == logits.shape[:-1] == ((2, 3) if task.multi_label else (2,))
    assert learned.all()
    assert divergence(logits, logits, learned) == 0
    found = logits.softmax(-1)[..., 1] if task.multi_label else logits.softmax(-1)
    logits_of_rows = [row.numpy() for row in outputs.logits[:-1]]
    encoded = task.encode(of("a", words=50), inputs)
    shares = task.decode(encoded, logits_of_rows).details["probabilities"]
    np.testing.assert_allclose(list(shares.values()), found[0].numpy(), rtol=1e-5)


def test_probabilities_of_extreme_logits_are_numbers(inputs: InputFormat) -> None:
    one = said(SINGLE, of("a"), [1e4, -1e4, 0], inputs)
    assert one.details["probabilities"] == {"a": 1, "b": 0, "c": 0}
    many = said(MULTI, of("a"), [800, -800, 0], inputs)
    assert many.details["probabilities"] == pytest.approx({"a": 1, "b": 0, "c": 0.5})
    assert many.document.labels == ("a", "c")


def test_the_first_of_equals_is_predicted_and_scored(inputs: InputFormat) -> None:
    found = said(SINGLE, of("b"), [0, 0, 0], inputs)
    assert sum(found.details["probabilities"].values()) == pytest.approx(1)
    assert found.document.labels == ("a",)
    assert SINGLE.score([of("a")], [found])["accuracy"] == 1


def test_classes_and_weights_of_the_training_documents() -> None:
    documents = [of("b"), of("a"), of("b"), of("b")]
    found = Classes(balanced=True).learned_from(documents)
    assert found.classes == ("a", "b")
    assert found.weights == (4 / (2 * 1), 4 / (2 * 3))
    # Balanced weights leave the loss of all documents as large as it was.
    assert found.weights[0] + 3 * found.weights[1] == pytest.approx(len(documents))
    many = replace(MULTI, classes=(), balanced=True).learned_from([of("a", "b"), of("a"), of("a"), of()])
    assert many.weights == (1 / 3, 3 / 1)
    assert Classes().learned_from(documents).weights == ()


def test_weights_that_are_given_are_kept() -> None:
    given = Classes(classes=("a", "b"), weights=(1.0, 3.0))
    assert given.learned_from([of("a"), of("b")]) == given
    with pytest.raises(ValueError, match="1 weights for 2 classes"):
        Classes(classes=("a", "b"), weights=(1.0,))


def test_what_cannot_be_learned_is_said_before_training() -> None:
    with pytest.raises(LongbioError, match="none of the 2 classes is 'false'"):
        Classes(negative="false").learned_from([of("a"), of("b")])
    for wrong in (of(), of("a", "b"), Document("a", "x")):
        with pytest.raises(LongbioError, match="document a"):
            Classes().learned_from([wrong])
    with pytest.raises(LongbioError, match="no label"):
        replace(MULTI, classes=()).learned_from([Document("a", "x")])
    with pytest.raises(ValueError, match="choose_by"):
        Classes(multi_label=True)


def test_a_class_that_was_never_learned_is_wrong(inputs: InputFormat) -> None:
    gold = [of("a"), of("new"), of("b")]
    found = [said(SINGLE, d, [5, 0, 0] if d.labels == ("a",) else [0, 5, 0], inputs) for d in gold]
    scores = SINGLE.score(gold, found)
    assert scores["accuracy"] == scores["main"] == pytest.approx(2 / 3)
    assert scores["classes"]["new"] == pytest.approx(scores["classes"]["new"] | {"recall": 0, "support": 1})
    left_out = PassedOver()
    assert SINGLE.samples(gold[1], inputs, left_out) == []
    assert left_out["documents of classes that aren't learned"] == 1

    many = [said(MULTI, d, [5, -5, -5], inputs) for d in gold]
    scores = MULTI.score(gold, many)
    # One found, two made up, two missed.
    assert scores["micro_f1"] == pytest.approx(2 / 6)
    low = [said(MULTI, d, [-2, -5, -5] if d.labels == ("a",) else [-4, -5, -5], inputs) for d in gold]
    thresholds = MULTI.tune(gold, low).thresholds
    assert thresholds[0] < 0.2
    assert thresholds == MULTI.tune([gold[0], of(), gold[2]], low).thresholds


def test_the_negative_class_is_left_out_of_f1(inputs: InputFormat) -> None:
    task = replace(SINGLE, negative="a", choose_by="micro_f1")
    gold = [of("a"), of("a"), of("b"), of("c")]
    logits = ([5, 0, 0], [5, 0, 0], [0, 5, 0], [5, 0, 0])
    found = [said(task, d, list(values), inputs) for d, values in zip(gold, logits, strict=True)]
    # b is found, c is missed; what is said of a counts nowhere.
    assert task.score(gold, found)["main"] == pytest.approx(2 * 1 / (2 * 1 + 1))
    assert task.score(gold, found)["accuracy"] == 0.75


def test_thresholds_are_tuned_and_applied(inputs: InputFormat) -> None:
    gold = [of("a"), of("a"), of()]
    logits = ([-1.0, -9, -9], [-1.2, -9, -9], [-3.0, -9, -9])
    found = [said(MULTI, d, list(values), inputs) for d, values in zip(gold, logits, strict=True)]
    assert [each.document.labels for each in found] == [(), (), ()]
    assert MULTI.score(gold, found)["main"] == 0
    assert MULTI.has_collapsed(found)
    tuned = MULTI.tune(gold, found)
    assert tuned.score(gold, found)["main"] == 1
    assert not tuned.has_collapsed(found)
    again = [said(tuned, d, list(values), inputs) for d, values in zip(gold, logits, strict=True)]
    assert [each.document.labels for each in again] == [("a",), ("a",), ()]
    assert tuned.score(gold, again) == tuned.score(gold, found)
    # A label reaches its threshold when it is just as likely.
    exact = replace(MULTI, thresholds=(found[0].details["probabilities"]["a"], 0.5, 0.5))
    assert said(exact, gold[0], [-1.0, -9, -9], inputs).document.labels == ("a",)
    assert SINGLE.tune(gold, found) is SINGLE


def test_the_same_class_for_all_is_a_collapse(inputs: InputFormat) -> None:
    same = [said(SINGLE, of("a"), [2, 1, 0], inputs), said(SINGLE, of("a"), [5, 1, 0], inputs)]
    assert SINGLE.has_collapsed(same)
    assert not SINGLE.has_collapsed([*same, said(SINGLE, of("a"), [0, 1, 0], inputs)])


def test_an_empty_document_has_a_class(inputs: InputFormat) -> None:
    empty = Document("a", "", labels=("c",))
    assert len(SINGLE.samples(empty, inputs, PassedOver())) == 1
    found = said(SINGLE, empty, [0, 0, 3], inputs)
    assert found.document.labels == ("c",)
    assert found.details["tokens"] == 0


def test_unread_tokens_are_counted(inputs: InputFormat) -> None:
    task = replace(SINGLE, reading=Reading(part="head"))
    left_out = PassedOver()
    task.samples(of("a", words=50), inputs, left_out)
    assert left_out["tokens that no row holds"] == 50 - 22
    assert said(task, of("a", words=50), [0, 0, 1], inputs).details["unread_tokens"] == 28


def test_a_config_names_its_classes() -> None:
    changes = SINGLE.config_changes()
    assert changes["id2label"] == {0: "a", 1: "b", 2: "c"}
    assert changes["label2id"] == {"a": 0, "b": 1, "c": 2}
    assert changes["problem_type"] == "single_label_classification"
    assert MULTI.config_changes()["problem_type"] == "multi_label_classification"


TOLD: list[AnyTask] = [
    Entities(types=("Drug",), sample_tokens=200, overlap=3, global_tokens=(), constrained=False),
    Answers(overlap=5, negatives=None, null_answers=True, null_threshold=-1.5, num_best=3),
    replace(MULTI, thresholds=(0.25, 0.5, 0.125), weights=(1.0, 2.0, 3.0), balanced=True),
    replace(SINGLE, negative="b", reading=Reading("head-tail", "max", 7), global_tokens=("cls", "headings")),
    Relations(classes=("none", "x"), pairs=(("Drug", "Event"),), style="masked", reach_chars=None),
    Similarity(mean=2.5, deviation=0.75, reading=Reading(part="head")),
    *(kind() for kind in TASKS.values()),
]


@pytest.mark.parametrize("task", TOLD, ids=lambda task: task.kind)
def test_tasks_are_recorded_and_read_back(task: AnyTask) -> None:
    adapter: TypeAdapter[AnyTask] = TypeAdapter(AnyTask)
    assert adapter.validate_python(asdict(task)) == task
    assert adapter.validate_python(json.loads(json.dumps(asdict(task)))) == task
    with pytest.raises(ValidationError):
        adapter.validate_python({**asdict(task), "unknown": 1})
    assert TASKS[task.kind] is type(task)


@pytest.mark.parametrize("task", [SINGLE, replace(MULTI, thresholds=(0.2, 0.5, 0.9))])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_a_temperature_moves_probabilities_and_not_what_is_chosen(
    task: Classes, temperature: float, inputs: InputFormat
) -> None:
    draw = np.random.default_rng(0)
    warmer = task.at_temperature(temperature)
    for _ in range(50):
        logits = draw.normal(0, 2, 3).tolist()
        plain, other = (said(each, of("a"), logits, inputs) for each in (task, warmer))
        assert plain.document.labels == other.document.labels
        if temperature != 1:
            assert plain.details["probabilities"] != pytest.approx(other.details["probabilities"])
    assert warmer.at_temperature(1.0).thresholds == pytest.approx(task.thresholds)


def test_weighed_windows_need_one_number_more() -> None:
    task = replace(SINGLE, reading=Reading(pooling="attention"))
    names = task.config_changes()["id2label"]
    assert [names[n] for n in range(3)] == list(SINGLE.classes)
    assert len(names) == 4
