"""Similarity: standardised, pooled, and back in the corpus' own units."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import pearsonr

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat
from longbio.errors import LongbioError
from longbio.tasks.pooling import Reading
from longbio.tasks.similarity import Similarity
from longbio.tasks.task import Prediction, collate

WORDS = ["no", "fever", "the", "patient"]


@pytest.fixture(scope="module")
def inputs() -> InputFormat:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = transformers.BertTokenizer(vocab={word: n for n, word in enumerate(vocabulary)})
    return InputFormat.of(transformers.BertConfig(max_position_embeddings=24), tokenizer)


def pair(score: float | None, words: int = 2) -> Document:
    return Document("a", "fever " * words, query="the patient", score=score)


PAIRS = [pair(0.0), pair(1.5, words=40), pair(4.0)]


def said(task: Similarity, document: Document, value: float, inputs: InputFormat) -> Prediction:
    encoded = task.encode(document, inputs)
    return task.decode(encoded, [np.array([value])] * len(encoded.rows))


def test_scores_are_standardised_and_come_back(inputs: InputFormat) -> None:
    task = Similarity().learned_from(PAIRS)
    targets = [float(task.samples(d, inputs, PassedOver())[0].labels[0]) for d in PAIRS]
    assert np.mean(targets) == pytest.approx(0, abs=1e-6)
    assert np.std(targets) == pytest.approx(1, abs=1e-6)
    found = [said(task, d, target, inputs) for d, target in zip(PAIRS, targets, strict=True)]
    assert [each.document.score for each in found] == pytest.approx([0, 1.5, 4], abs=1e-6)
    assert task.score(PAIRS, found)["main"] == pytest.approx(1)
    assert not task.has_collapsed(found)


def test_what_is_given_is_kept() -> None:
    given = Similarity(mean=2, deviation=0.5)
    assert given.learned_from(PAIRS) is given


@pytest.mark.parametrize("score", [1.0, 0.1])
def test_equal_scores_teach_nothing(score: float) -> None:
    """Three times 0.1 has a deviation, of rounding."""
    with pytest.raises(LongbioError, match="the same score"):
        Similarity().learned_from([pair(score)] * 3)


def test_a_pair_without_a_score_is_named() -> None:
    with pytest.raises(LongbioError, match="document a"):
        Similarity().learned_from([pair(1), pair(None)])


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_the_loss_by_hand(pooling: Any, inputs: InputFormat) -> None:
    task = Similarity(mean=1, deviation=2, reading=Reading(pooling=pooling))
    samples = [sample for d in PAIRS for sample in task.samples(d, inputs, PassedOver())]
    batch = collate(task, inputs, samples)
    logits = torch.arange(len(batch["input_ids"]), dtype=torch.float32)[:, None] ** 2
    windows = logits[1:-1, 0]
    assert len(windows) > 2
    middle = windows.mean() if pooling == "mean" else windows.max()
    by_hand = (0 + 0.5) ** 2 + (middle - 0.25) ** 2 + (logits[-1, 0] - 1.5) ** 2
    outputs = type("Output", (), {"logits": logits})()
    torch.testing.assert_close(task.summed_loss(outputs, batch), by_hand)
    assert task.logits(outputs, batch) == []


def test_correlation_is_pearsons(inputs: InputFormat) -> None:
    task = Similarity(mean=0, deviation=1)
    values = [0.5, 0.1, 0.9]
    found = [said(task, d, value, inputs) for d, value in zip(PAIRS, values, strict=True)]
    scores = task.score(PAIRS, found)
    assert scores["main"] == scores["pearson"] == pytest.approx(pearsonr([0, 1.5, 4], values).statistic)
    assert scores["spearman"] == pytest.approx(0.5)


def test_nearly_the_same_of_all_is_a_collapse(inputs: InputFormat) -> None:
    task = Similarity(mean=3, deviation=2)
    assert task.has_collapsed([said(task, pair(0), value, inputs) for value in (0.01, 0.02)])
    assert not task.has_collapsed([said(task, pair(0), value, inputs) for value in (-0.2, 0.2)])


def test_an_empty_pair_has_a_score(inputs: InputFormat) -> None:
    task = Similarity(mean=3, deviation=2)
    empty = Document("a", "", query="", score=1)
    assert task.samples(empty, inputs, PassedOver())[0].labels[0] == -1
    assert said(task, empty, 0.5, inputs).document.score == 4


def test_unread_tokens_are_counted_and_nothing_is_tuned(inputs: InputFormat) -> None:
    task = Similarity(mean=3, deviation=2, reading=Reading(part="head"))
    left_out = PassedOver()
    task.samples(PAIRS[1], inputs, left_out)
    assert left_out["tokens that no row holds"] == 40 - (24 - 5)
    assert task.tune(PAIRS, []) is task
    assert task.config_changes() == {"num_labels": 1, "problem_type": "regression"}
    assert not replace(task, global_tokens=()).encode(PAIRS[0], inputs).rows[0].is_global.any()
