"""Where a plain pipeline ends on a long note, and the two calls that don't (docs/convert.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import pipeline

from longbio.corpus.records import Document
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import load, load_tokenizer, quiet
from longbio.prediction.predictor import load_for, predict
from longbio.tasks.ner import Entities

WORDS = 900
TEXT = "drug " * WORDS


@pytest.fixture(scope="module")
def tagger(tiny_long_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Longformer of 256 tokens to which every word is a drug."""
    out = tmp_path_factory.mktemp("tagger")
    names = {0: "O", 1: "B-Drug", 2: "I-Drug"}
    model = load(
        tiny_long_folder, "ner", head_seed=0, id2label=names, label2id={v: k for k, v in names.items()}
    )
    with torch.no_grad(), quiet():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 5.0, 0.0]))
        model.save_pretrained(out)
    load_tokenizer(tiny_long_folder).save_pretrained(out)
    return out


def test_a_plain_pipeline_ends_where_the_model_does(tagger: Path) -> None:
    with quiet():
        found = pipeline("token-classification", str(tagger), aggregation_strategy="first")(TEXT)
    assert len(found) == 254
    assert found[-1]["end"] < len(TEXT) / 3


def test_with_a_stride_it_reads_all(tagger: Path) -> None:
    with quiet():
        tag = pipeline("token-classification", str(tagger), aggregation_strategy="first", stride=64)
        found = tag(TEXT)
    assert [each["start"] for each in found] == list(range(0, len(TEXT), 5))


def test_longbio_reads_all(tagger: Path) -> None:
    task = Entities(types=("Drug",))
    model = load_for(task, tagger)
    inputs = InputFormat.of(model.config, load_tokenizer(tagger))
    (found,) = predict(model, inputs, task, [Document("note", TEXT)])
    assert [span.start_char for span in found.document.spans] == list(range(0, len(TEXT), 5))
