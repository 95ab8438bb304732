"""Long documents: read whole, in windows, with offsets of the original text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from longbio.corpus.records import Document
from longbio.encoders.loading import load
from longbio.prediction.entities import find_entities, max_tokens_of
from longbio.tasks import ner

LABELS = ner.Labels(("Drug",))


def tagger(folder: Path):
    """A model that tags by the token alone: B on 'drug', I on a digit, whatever stands around."""
    names = LABELS.names()
    model = load(folder, "ner", id2label=names, label2id={v: k for k, v in names.items()})
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


@pytest.mark.parametrize("folder", ["tiny_bert_folder", "tiny_long_folder"])
def test_every_mention_of_a_long_text_is_found_once(folder: str, request) -> None:
    model, tokenizer, seen = tagger(request.getfixturevalue(folder))
    text = "\r\n\t".join(f"the patient, drug {n % 10} and more µ" for n in range(80))
    found = find_entities(model, tokenizer, [Document("a", text)], overlap=16)[0]
    mentions = [found.text[span.start_char : span.end_char] for span in found.spans]
    assert mentions == [f"drug {n % 10}" for n in range(80)]
    assert found.text == text
    assert max(seen) <= max_tokens_of(model)


def test_an_empty_text_has_no_mentions(tiny_long_folder: Path) -> None:
    model, tokenizer, _ = tagger(tiny_long_folder)
    assert find_entities(model, tokenizer, [Document("a", "")])[0].spans == ()


def test_max_tokens_of_short_and_long(tiny_bert_folder: Path, tiny_long_folder: Path) -> None:
    assert max_tokens_of(load(tiny_bert_folder)) == 64
    assert max_tokens_of(load(tiny_long_folder)) == 256


def test_a_mention_on_the_border_of_two_windows_stays_whole(tiny_bert_folder: Path) -> None:
    """Wherever the mention stands, one window or the next answers for each of its words."""
    model, tokenizer, _ = tagger(tiny_bert_folder)
    for before in range(40, 70):
        text = "the " * before + "drug 1 2 3 " + "the " * 50
        found = find_entities(model, tokenizer, [Document("a", text)], overlap=8)[0]
        assert [span.covered(text) for span in found.spans] == ["drug 1 2 3"]
        assert np.diff(found.spans[0].fragments[0]) == 10
