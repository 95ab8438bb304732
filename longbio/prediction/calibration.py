"""Calibrated probabilities: one temperature, fitted on labelled documents.

Logits are divided by it before they become probabilities (Guo et al., 2017, "On Calibration of Modern
Neural Networks"): which mention, answer or class is given stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from longbio.artifacts.atomic_files import read_json, write_json
from longbio.corpus.labels import respell_labels
from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document
from longbio.encoders.batches import length_batches
from longbio.errors import LongbioError
from longbio.prediction.predictor import Model, Predictor
from longbio.tasks import AnyTask
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.task import TARGETS, Sample, collate, forward, refuse_without_examples

FILE = "calibration.json"
COLDEST, HOTTEST = 0.05, 20.0
"""Between which a temperature is looked for."""

Calibrated = Entities | Answers | Classes


def calibrate(model: Model, documents: Sequence[Document], out: Path) -> Model:
    """The same model with the temperature that suits labelled documents best; fitted once for a folder.

    Args:
        model: fine-tuned.
        documents: with what is true of them; others than it has learned from.
        out: where `calibration.json` is kept: `temperature`; `loss_before`, `loss_after` in nats a label.

    Raises:
        LongbioError: the task has no probabilities, or there is no label in the documents.
    """
    task = model.task
    if not isinstance(task, Calibrated):
        raise LongbioError(f"a model of {task.kind} can't be calibrated", where="--calibrate")
    if isinstance(task, Classes):
        documents = respell_labels(documents, task.classes)
    refuse_without_examples(task, documents, "--calibrate")
    if not (out / FILE).is_file():
        write_json(out / FILE, fit(Predictor(model), task, documents))
    return replace(model, task=task.at_temperature(read_json(out / FILE)["temperature"]))


def fit(predictor: Predictor, task: Calibrated, documents: Sequence[Document]) -> dict[str, Any]:
    """The temperature with the lowest loss on labelled documents, and what it was found by."""
    # Weights of rare classes were for learning: a probability is of what occurs.
    task = replace(task, balanced=False, weights=()) if isinstance(task, Classes) else task
    left_out = PassedOver()
    samples = [s for document in documents for s in task.samples(document, predictor.inputs, left_out)]
    read = _read_samples(predictor, task, samples)
    learned = [mask for outputs, batch in read for _, mask in task.logits(outputs, batch)]
    labels = sum(int(mask.sum()) for mask in learned)
    if not labels:
        raise LongbioError("the documents have no label to calibrate by", where="--calibrate")

    def loss(temperature: float) -> float:
        losses = [
            task.summed_loss(_divide_logits(outputs, temperature, task), batch) for outputs, batch in read
        ]
        return float(sum(losses)) / labels

    best = minimize_scalar(
        lambda logarithm: loss(math.exp(logarithm)),
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    temperature = round(math.exp(best.x), 6)
    return {
        "temperature": temperature,
        "loss_before": loss(1.0),
        "loss_after": loss(temperature),
        "labels": labels,
        "documents": len(documents),
    }


@torch.no_grad()
def _read_samples(
    predictor: Predictor, task: AnyTask, samples: Sequence[Sample]
) -> list[tuple[Any, dict[str, Tensor]]]:
    """What the model says of samples, in batches: logits in float32 and what they are compared with."""
    lengths = [sum(len(row.ids) for row in sample.rows) for sample in samples]
    read = []
    for numbers in length_batches(lengths, predictor.batch_tokens):
        batch = collate(task, predictor.inputs, [samples[number] for number in numbers])
        device = predictor.network.device
        outputs = forward(predictor.network, {name: tensor.to(device) for name, tensor in batch.items()})
        logits = {name: value.float().cpu() for name, value in outputs.items() if name.endswith("logits")}
        kept = {name: batch[name] for name in (*TARGETS, "attention_mask") if name in batch}
        read.append((SimpleNamespace(**logits), kept))
    return read


def _divide_logits(outputs: Any, temperature: float, task: Calibrated) -> Any:
    """The same outputs with their logits divided; how much a window weighs is none of them."""
    divided = {name: logits / temperature for name, logits in vars(outputs).items()}
    if isinstance(task, Classes) and task.reading.pooling == "attention":
        divided["logits"][:, -1] = outputs.logits[:, -1]
    return SimpleNamespace(**divided)
