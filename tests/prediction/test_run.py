"""Long documents: read whole, in windows, in batches of many documents, with offsets of the text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from longbio.corpus.records import Document
from longbio.encoders.batches import length_batches
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import load
from longbio.prediction.predictor import predict
from longbio.tasks.ner import Entities

TASK = Entities(types=("Drug",))


def tagger(folder: Path):
    """A model that tags by the token alone: B on 'drug', I on a digit, whatever stands around."""
    model = load(folder, "ner", **TASK.config_changes())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    drug = tokenizer.convert_tokens_to_ids("drug")
    digits = tokenizer.convert_tokens_to_ids([str(n) for n in range(10)])
    seen: list[int] = []

    def forward(input_ids, **rest):
        seen.append(input_ids.shape[1])
        logits = torch.zeros(*input_ids.shape, 3)
        logits[..., 0] = 1.0
        logits[..., 1] += 2.0 * (input_ids == drug)
        logits[..., 2] += 2.0 * torch.isin(input_ids, torch.tensor(digits))
        return type("Output", (), {"logits": logits})()

    model.forward = forward
    return model, tokenizer, seen


def found_in(tagged: Any, texts: list[str], overlap: int | None = None, **settings: Any) -> list[Document]:
    model, tokenizer, _ = tagged
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    task = replace(TASK, overlap=overlap)
    inputs = InputFormat.of(model.config, tokenizer)
    return [each.document for each in predict(model, inputs, task, documents, **settings)]


@pytest.mark.parametrize("folder", ["tiny_bert_folder", "tiny_long_folder"])
def test_every_mention_of_a_long_text_is_found_once(folder: str, request) -> None:
    tagged = tagger(request.getfixturevalue(folder))
    text = "\r\n\t".join(f"the patient, drug {n % 10} and more µ" for n in range(80))
    found = found_in(tagged, [text], overlap=16)[0]
    mentions = [found.text[span.start_char : span.end_char] for span in found.spans]
    assert mentions == [f"drug {n % 10}" for n in range(80)]
    assert found.text == text
    assert max(tagged[2]) <= (64 if folder == "tiny_bert_folder" else 256)


def test_an_empty_text_has_no_mentions(tiny_long_folder: Path) -> None:
    assert found_in(tagger(tiny_long_folder), [""])[0].spans == ()


def test_a_mention_on_the_border_of_two_windows_stays_whole(tiny_bert_folder: Path) -> None:
    """Wherever the mention stands, one window or the next answers for each of its words."""
    texts = ["the " * before + "drug 1 2 3 " + "the " * 50 for before in range(40, 70)]
    for text, found in zip(texts, found_in(tagger(tiny_bert_folder), texts, overlap=8), strict=True):
        assert [span.text_in(text) for span in found.spans] == ["drug 1 2 3"]
        assert np.diff(found.spans[0].fragments[0]) == 10


def test_documents_share_passes_and_keep_their_order(tiny_bert_folder: Path) -> None:
    sizes = (3, 90, 0, 17, 60, 5)
    texts = ["the " * size + f"drug {size % 10}" for size in sizes]
    tagged = tagger(tiny_bert_folder)
    done: list[int] = []
    together = found_in(tagged, texts, batch_tokens=400, on_document=done.append)
    assert done == [1, 2, 3, 4, 5, 6]
    passes = len(tagged[2])
    one_by_one = found_in(tagged, texts, batch_tokens=1)
    assert together == one_by_one
    assert passes < len(tagged[2]) - passes
    assert [d.spans[0].text_in(d.text) for d in together] == [f"drug {size % 10}" for size in sizes]


@given(st.lists(st.integers(min_value=2, max_value=50), max_size=30), st.integers(min_value=1, max_value=120))
def test_every_row_is_in_one_batch_and_batches_are_no_larger_than_allowed(
    lengths: list[int], batch_tokens: int
) -> None:
    batches = list(length_batches(lengths, batch_tokens))
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[number] for number in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens
