"""A fine-tuned model on documents it hasn't seen: predictions on disk, scores with their spread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import read_json
from longbio.artifacts.checkpoints import checkpoint_digest
from longbio.artifacts.runs import RUN, make_once
from longbio.corpus.labels import respell_labels
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.corpus.tag_schemes import scheme_of
from longbio.corpus.writers import WRITERS
from longbio.corpus.writers.conll import tags_of
from longbio.encoders.config_checks import refuse_unnamed_head
from longbio.encoders.loading import config_of
from longbio.errors import LongbioError
from longbio.finetuning.breakdown import by_length, by_position, evidence, reliability
from longbio.finetuning.data import digest
from longbio.finetuning.learn import REPORT as RECORD
from longbio.finetuning.learn import inputs_of, task_of
from longbio.prediction.predictor import Model, Predictor, predict
from longbio.tasks import TASKS, AnyTask
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.statistics import interval_text, score_interval
from longbio.tasks.task import Prediction, refuse_without_examples
from longbio.training.processes import processes

REPORT = "scores.json"

PREDICTION_FORMATS = {
    ("ner", "brat"): "brat",
    ("relations", "brat"): "brat",
    ("ner", "bioc"): "bioc",
    ("relations", "bioc"): "bioc",
    ("ner", "iob"): "conll",
    ("qa", "squad"): "squad",
    ("qa", "table"): "squad",
    ("qa", "json"): "squad",
}
"""The writer by task and format of the corpus."""


def evaluate(
    model: Model | Path,
    documents: Sequence[Document],
    out: Path,
    *,
    format_name: str = "jsonl",
    reading: Reading | None = None,
    on_document: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Score a fine-tuned model on documents, and leave its predictions in `out`.

    Args:
        model: fine-tuned, short or long; of a folder alone, see `model_of`.
        documents: with what is true of them.
        out: the folder to make; when it is there already, of the same model and documents, nothing is
            done.
        format_name: the format the documents came in, in which predictions are written where it can
            hold them.
        reading: of the documents: what it left out and passed over is kept with the scores.
        on_document: told how many documents are done.

    Returns:
        What is saved as `scores.json` in `out`: `scores`, `interval` (of the main score, see
        `tasks.statistics.score_interval`), `by_length`, `by_position`, `reliability`, `evidence` (what
        each document adds to the main score), `seconds`; of entities in a corpus of words also `seqeval`,
        its own report.

    Raises:
        LongbioError: `out` holds something else, or the documents can't be scored.
    """
    model = model_of(model) if isinstance(model, Path) else model
    task = model.task
    documents = _in_classes_of(task, documents)
    made_of = {
        "model": checkpoint_digest(model.folder),
        "documents": digest(documents),
        "task": asdict(task),
        **({} if model.dtype is None else {"dtype": model.dtype}),
    }

    def make(folder: Path) -> dict[str, Any]:
        refuse_without_examples(task, documents, "the documents", format_name)
        report, predictions = score(model, documents, reading=reading, on_document=on_document)
        write_predictions(predictions, task, format_name, folder)
        return report

    if processes().is_main_process:
        make_once(out, REPORT, made_of, make)
    processes().wait_for_everyone()
    return read_json(out / REPORT)


def score(
    model: Model,
    documents: Sequence[Document],
    *,
    reading: Reading | None = None,
    on_document: Callable[[int], None] = lambda done: None,
) -> tuple[dict[str, Any], list[Prediction]]:
    """As `evaluate`, of documents whose classes are spelled as the model spells them, and without a folder.

    Returns:
        What `evaluate` saves, and the predictions.

    Raises:
        LongbioError: the model can't be loaded, or the documents can't be scored.
    """
    loaded, task = Predictor(model), model.task
    task.check(documents, loaded.inputs)
    start, tokens = time.monotonic(), loaded.batch_tokens
    predictions = list(
        predict(loaded.network, loaded.inputs, task, documents, batch_tokens=tokens, on_document=on_document)
    )
    seconds = round(time.monotonic() - start, 1)
    return _report(task, documents, predictions, reading) | {"seconds": seconds}, predictions


def examples_for(
    task: AnyTask, documents: Sequence[Document], where: str | Path, read_as: str
) -> list[Document]:
    """Documents, their classes spelled as the task spells them.

    Raises:
        LongbioError: none is an example for the task; see `refuse_without_examples`.
    """
    documents = _in_classes_of(task, documents)
    refuse_without_examples(task, documents, where, read_as)
    return documents


def _in_classes_of(task: AnyTask, documents: Sequence[Document]) -> list[Document]:
    return respell_labels(documents, task.classes) if isinstance(task, Classes) else [*documents]


def fine_tuned(folder: Path) -> Path:
    """The folder of a fine-tuned model: the one that is given, or that of the first seed of a run.

    Raises:
        LongbioError: the run has no model yet.
    """
    if (folder / "config.json").is_file() or not (folder / RUN).is_file():
        return folder
    configs = list(folder.glob("seed-*/model/config.json"))
    if not configs:
        raise LongbioError(
            "the run has no fine-tuned model", where=folder, remedy="run longbio finetune to its end"
        )
    return min(configs, key=lambda file: int(file.parts[-3].removeprefix("seed-"))).parent


def model_of(
    folder: Path,
    task: AnyTask | None = None,
    kernel: str = "auto",
    batch_tokens: int = 4096,
    device: str | None = None,
    dtype: str | None = None,
) -> Model:
    """A fine-tuned model as prediction takes it: it reads in the rows that it learned from.

    Args:
        folder: where it lies.
        task: what it was fine-tuned for; as it was recorded, or as its config tells, when None.
        kernel: of attention.
        batch_tokens: of a forward pass.
        device: where it goes; None for the GPU, where there is one.
        dtype: of its weights; None for what they are stored in.

    Raises:
        LongbioError: there is no fine-tuned model.
    """
    task = task or task_for(folder)
    max_tokens = inputs_of(folder, config_of(folder)).max_tokens
    return Model(folder, task, max_tokens, kernel, batch_tokens, device, dtype)


def _report(
    task: AnyTask, documents: Sequence[Document], predictions: Sequence[Prediction], reading: Reading | None
) -> dict[str, Any]:
    added = evidence(task, documents, predictions)
    report = {
        "task": task.kind,
        "warnings": task.warnings(documents),
        "data": None if reading is None else reading.counts(),
        "scores": task.score(documents, predictions),
        "interval": score_interval([added]),
        "by_length": by_length(task, documents, predictions),
        "by_position": by_position(task, documents, predictions),
        "reliability": reliability(task, documents, predictions),
        "evidence": added,
        "has_collapsed": task.has_collapsed(predictions),
    }
    if task.kind == "ner" and all(document.units for document in documents):
        report["seqeval"] = seqeval_report(documents, [prediction.document for prediction in predictions])
    return report


def task_for(model_folder: Path, kind: str | None = None) -> AnyTask:
    """What a model was fine-tuned for: as `learn` recorded it, or as its config tells.

    Args:
        model_folder: longbio's model or another's.
        kind: what it must be; None for any.

    Raises:
        LongbioError: there is no such task, the model learned another one, or has no head.
    """
    if kind is not None and kind not in TASKS:
        raise LongbioError(f"there is no task {kind!r}", where="--task", remedy=f"choose from {list(TASKS)}")
    if not model_folder.is_dir():
        raise LongbioError("there is no such folder", where=model_folder, remedy="give a model's folder")
    if (model_folder / RECORD).is_file():
        task = task_of(model_folder)
    else:
        config = config_of(model_folder)
        refuse_unnamed_head(config, model_folder)
        task = _task_of_config(config, model_folder)
    if kind not in (None, task.kind):
        raise LongbioError(f"the model was fine-tuned for {task.kind}, not {kind}", where=model_folder)
    return task


def _task_of_config(config: Any, where: Path) -> AnyTask:
    """By the head in a config, its classes those of `id2label`: for models of others."""
    names: dict[int, str] = {int(number): name for number, name in (config.id2label or {}).items()}
    classes = tuple(names[number] for number in sorted(names))
    head = (config.architectures or [""])[0]
    if head.endswith("ForTokenClassification"):
        scheme = scheme_of(classes)
        if scheme is not None:
            return Entities(types=scheme.types, constrained=scheme.says_where_mentions_begin)
        raise LongbioError(
            "its tags are of no scheme that is known: not O with B-, I-, E- or L-, S- or U- before or behind"
            " each type, nor O and types alone",
            where=where,
            remedy="fine-tune it with longbio, or name its tags so in id2label of config.json",
        )
    if head.endswith("ForQuestionAnswering"):
        return Answers()
    if head.endswith("ForSequenceClassification") and len(classes) > 1:
        if config.problem_type == "multi_label_classification":
            return Classes(classes=classes, multi_label=True, choose_by="micro_f1")
        return Classes(classes=classes)
    raise LongbioError(
        f"a {head or 'model without a head'} has no task here", where=where, remedy="fine-tune it first"
    )


def score_line(task: AnyTask, report: Mapping[str, Any]) -> str:
    """One line of a `scores.json`."""
    return f"{task.measure} {report['scores']['main']:.3f} ({interval_text(report['interval'])})"


def seqeval_report(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, Any]:
    """What seqeval says of the BIO tags of documents that came in words: by type, and averages."""
    from seqeval.metrics import classification_report

    tags = [[tags_of(document, document.units) for document in side] for side in (gold, predicted)]
    by_name = classification_report(*tags, output_dict=True, zero_division=0)
    return {name: {key: float(value) for key, value in scores.items()} for name, scores in by_name.items()}


def write_predictions(
    predictions: Sequence[Prediction], task: AnyTask, format_name: str, folder: Path
) -> None:
    """Predictions in the format of the corpus where it can hold them, and their details as JSON lines, in an
    empty folder."""
    name = PREDICTION_FORMATS.get((task.kind, format_name), "jsonl")
    documents = [prediction.document for prediction in predictions]
    try:
        WRITERS[name](documents, folder)
    except LongbioError:
        # Some format can't hold some character or id, which must not cost a day's work.
        for begun in folder.iterdir():
            begun.unlink()
        WRITERS["jsonl"](documents, folder)
    lines = [json.dumps({"id": prediction.document.id, **prediction.details}) for prediction in predictions]
    (folder / "details.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
