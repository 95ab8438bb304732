"""Documents in, predictions out: rows of many documents share a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from longbio.corpus.records import Document
from longbio.encoders.batches import length_batches
from longbio.encoders.heads import order_classes
from longbio.encoders.input_format import InputFormat, Row
from longbio.encoders.loading import load
from longbio.tasks import AnyTask
from longbio.tasks.ner import Entities
from longbio.tasks.task import Array, Encoded, Prediction, Task, forward
from longbio.training.processes import processes

POOLED_ROWS = 512
"""Rows that are sorted by length before they are cut into batches."""


def load_for(
    task: AnyTask, folder: Path, kernel: str = "auto", device: str | None = None, dtype: str | None = None
) -> PreTrainedModel:
    """A fine-tuned model, its outputs in the order that the task has its classes in.

    Args:
        task: what it was fine-tuned for.
        folder: where it lies.
        kernel: of attention.
        device: where it goes; None for the GPU, where there is one.
        dtype: of its weights, one of `encoders.loading.DTYPES`; None for what they are stored in.

    Raises:
        LongbioError: weights are missing, or the kernel, the device or the type can't be had here.
    """
    place = device or str(processes().device)
    model = load(folder, task.head, kernel, own_head=True, device=place, dtype=dtype)
    if isinstance(task, Entities):
        order_classes(model, task.labels.names())
    return model


def predict(
    model: PreTrainedModel,
    inputs: InputFormat,
    task: Task[Any],
    documents: Iterable[Document],
    *,
    batch_tokens: int = 4096,
    on_document: Callable[[int], None] = lambda done: None,
) -> Iterator[Prediction]:
    """What a model says of documents, one prediction each, in their order.

    Args:
        model: with the task's head, in evaluation mode.
        inputs: how it wants its inputs.
        task: what it was trained for.
        documents: read as they are needed.
        batch_tokens: tokens of one forward pass, padding included; at least one row.
        on_document: told how many documents are done.
    """
    done = 0
    for pool in _pools(task, documents, inputs):
        rows = [row for encoded in pool for row in encoded.rows]
        outputs = iter(outputs_of(model, inputs, rows, batch_tokens=batch_tokens))
        for encoded in pool:
            prediction = task.decode(encoded, [next(outputs) for _ in encoded.rows])
            done += 1
            on_document(done)
            yield prediction


def _pools(task: Task[Any], documents: Iterable[Document], inputs: InputFormat) -> Iterator[list[Encoded]]:
    pool: list[Encoded] = []
    size = 0
    for document in documents:
        encoded = task.encode(document, inputs)
        pool.append(encoded)
        # Some documents have no row: nothing is asked of them.
        size += max(1, len(encoded.rows))
        if size >= POOLED_ROWS:
            yield pool
            pool, size = [], 0
    if pool:
        yield pool


@torch.no_grad()
def outputs_of(
    model: PreTrainedModel, inputs: InputFormat, rows: Sequence[Row], *, batch_tokens: int = 4096
) -> list[Array]:
    """The logits of each row, in their order, rows of like length together in a pass.

    Returns:
        Of each row (T, C) for a token classifier, (T, 2) for the start and end of answers, (C,) for
        a classifier; float32.
    """
    found: list[Array] = [np.zeros(0)] * len(rows)
    for numbers in length_batches([len(row.ids) for row in rows], batch_tokens):
        batch = inputs.batch([rows[number] for number in numbers])
        output = forward(model, {name: tensor.to(model.device) for name, tensor in batch.items()})
        logits = (
            torch.stack([output.start_logits, output.end_logits], dim=-1)
            if hasattr(output, "start_logits")
            else output.logits
        )
        arrays = logits.float().cpu().numpy()
        for place, number in enumerate(numbers):
            is_by_token = arrays.ndim == 3
            found[number] = arrays[place, : len(rows[number].ids)] if is_by_token else arrays[place]
    return found
