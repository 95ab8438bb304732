"""Mentions in whole documents, however long, with a short or a long model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from longbio.corpus.records import Document
from longbio.encoders.roles import section_headings
from longbio.encoders.tokens import Tokens, Window, batch_of, tokenize, windows_of
from longbio.tasks import ner


def max_tokens_of(model: PreTrainedModel) -> int:
    """What a model reads at most, special tokens included."""
    config = model.config
    offset = config.pad_token_id + 1 if config.model_type in NUMBERED_FROM_PADDING else 0
    return int(config.max_position_embeddings - offset)


NUMBERED_FROM_PADDING = ("longformer", "roberta", "xlm-roberta", "camembert")
"""Families whose first position is `pad_token_id + 1`."""


def default_overlap(max_tokens: int) -> int:
    """Tokens that neighbouring windows share: 128, or a quarter of what a very short model reads."""
    return min(128, max_tokens // 4)


def tokenize_document(document: Document, tokenizer: Any, model_type: str) -> Tokens:
    """A document's tokens, its section headings global for a Longformer."""
    headings = section_headings(document.text) if model_type == "longformer" else []
    tokens = tokenize(document.text, tokenizer, headings)
    return tokens.in_units(document.units) if document.units else tokens


@torch.no_grad()
def find_entities(
    model: PreTrainedModel,
    tokenizer: Any,
    documents: Sequence[Document],
    *,
    overlap: int | None = None,
    batch_tokens: int = 4096,
    on_document: Callable[[int], None] = lambda done: None,
) -> list[Document]:
    """Every document with the mentions the model finds in it, in place of its own.

    Documents longer than the model are read in overlapping windows; each word's tag comes from
    the window with most context around it, and mentions are decoded over the whole document, so
    that one on a border stays whole.

    Args:
        model: a token classifier with BIO tags as `ner.Labels` names them, in evaluation mode.
        tokenizer: its tokenizer.
        documents: what to read.
        overlap: tokens neighbouring windows share at least; `default_overlap` when None.
        batch_tokens: tokens of one forward pass, at least one window.
        on_document: told how many documents are done.
    """
    names: dict[int, str] = {int(i): tag for i, tag in (model.config.id2label or {}).items()}
    labels = ner.Labels.from_names(names)
    max_tokens = max_tokens_of(model)
    if overlap is None:
        overlap = default_overlap(max_tokens)
    found = []
    for number, document in enumerate(documents):
        tokens = tokenize_document(document, tokenizer, model.config.model_type)
        windows = windows_of(0, len(tokens.ids), max_tokens=max_tokens, overlap=overlap)
        rows = max(1, batch_tokens // max_tokens)
        tags = np.zeros(len(tokens.ids), dtype=np.int64)
        for start in range(0, len(windows), rows):
            _tag(model, tokenizer, tokens, windows[start : start + rows], tags)
        found.append(replace(document, spans=ner.decode(tags, tokens, labels)))
        on_document(number + 1)
    return found


def _tag(
    model: PreTrainedModel,
    tokenizer: Any,
    tokens: Tokens,
    windows: Sequence[Window],
    tags: ner.Tags,
) -> None:
    """Fill in the tags of the tokens that these windows own."""
    use_global = model.config.model_type == "longformer"
    batch = batch_of(windows, [tokens], tokenizer, use_global=use_global)
    logits = model(**{name: value.to(model.device) for name, value in batch.items()}).logits
    best = logits.argmax(dim=-1).cpu().numpy()
    for row, window in enumerate(windows):
        # Position 0 of a row is the first special token.
        shift = 1 - window.tokens.start
        owned = slice(window.owned.start + shift, window.owned.stop + shift)
        tags[window.owned] = best[row, owned]
