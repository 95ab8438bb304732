"""One temperature: the one that makes probabilities as high as what is given is often right."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from longbio.corpus.records import Document, Question, Span
from longbio.errors import LongbioError
from longbio.prediction import calibration
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.calibration import fit
from longbio.prediction.predictor import Model, Predictor
from longbio.tasks.classification import Classes
from longbio.tasks.pooling import Reading
from longbio.tasks.similarity import Similarity

Reader = Callable[..., Model]

TEXT = "drug " + "the " * 9
RIGHT = 0.8
"""Of the ten words of each document, what the tagger says of two is wrong."""


def documents() -> list[Document]:
    """The tagger says that each `drug` is a mention and each `the` is none."""
    spans = [
        (Span.of(0, 4, "Drug"), Span.of(5, 8, "Drug"), Span.of(9, 12, "Drug")),
        (Span.of(5, 8, "Drug"),),
    ]
    return [Document(str(n), TEXT, spans[n % 2]) for n in range(4)]


def gap_of(model: Model) -> float:
    """By how much the logit of the tag that is given is above the two others, for every word."""
    predictor = Predictor(model)
    encoded = predictor.task.encode(Document("a", TEXT), predictor.inputs)
    logits = predictor.network(**predictor.inputs.batch(encoded.rows)).logits[0, 1].detach()
    ordered = logits.sort(descending=True).values
    assert ordered[1] == pytest.approx(float(ordered[2]), abs=1e-4)
    return float(ordered[0] - ordered[1])


def test_the_temperature_is_that_at_which_probability_is_accuracy(reader_of: Reader, tmp_path: Path) -> None:
    model = reader_of()
    found = fit(Predictor(model), model.task, documents())
    # Likelihood is highest where 1 / (1 + 2 exp(-gap / T)) is the share of words that are right.
    wanted = gap_of(model) / math.log(2 * RIGHT / (1 - RIGHT))
    assert found["temperature"] == pytest.approx(wanted, rel=1e-3)
    assert found["loss_after"] < found["loss_before"]
    assert found["loss_after"] == pytest.approx(
        -RIGHT * math.log(RIGHT) - (1 - RIGHT) * math.log((1 - RIGHT) / 2), abs=1e-5
    )
    assert (found["labels"], found["documents"]) == (40, 4)


def test_predictions_are_calibrated_and_the_same(
    reader_of: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    notes, model = Notes(tmp_path / "a.txt"), reader_of()
    annotate(model, notes, tmp_path / "plain")
    told = annotate(model, notes, tmp_path / "calibrated", labelled=documents())
    rows = [json.loads((tmp_path / out / "predictions.jsonl").read_text()) for out in ("plain", "calibrated")]
    assert rows[0]["spans"] == rows[1]["spans"]
    assert rows[0]["prediction"]["probabilities"][0] > 0.9
    assert rows[1]["prediction"]["probabilities"] == pytest.approx([RIGHT], abs=1e-3)
    kept = json.loads((tmp_path / "calibrated" / calibration.FILE).read_text())
    assert told["temperature"] == rows[1]["prediction"]["temperature"] == kept["temperature"] > 1

    monkeypatch.setattr(calibration, "fit", None)  # it isn't fitted again
    again = annotate(model, notes, tmp_path / "calibrated", labelled=documents())
    assert again == told | {"finished_before": True}
    with pytest.raises(LongbioError, match="another plan: calibrated_on has changed"):
        annotate(model, notes, tmp_path / "calibrated", labelled=documents()[:1])


@pytest.mark.parametrize("kind", ["qa", "classification"])
def test_answers_and_classes(kind: str, reader_of: Reader) -> None:
    model = reader_of(kind, "short")
    # The second is wrong, so nothing is as sure as it seems.
    questions = [Question("a", "the", ((4, 8),)), Question("b", "the", ((0, 3),))]
    labelled = [
        Document(str(n), "the drug the " * 40, questions=(questions[n],), labels=(("sick", "well")[n],))
        for n in range(2)
    ]
    found = fit(Predictor(model), model.task, labelled)
    assert found["loss_after"] < found["loss_before"]
    assert found["temperature"] > 1
    warmer = fit(Predictor(model), replace(model.task, temperature=3.0), labelled)
    assert warmer == found


def test_weights_of_classes_and_of_windows_are_left_out_of_it(reader_of: Reader) -> None:
    model = reader_of("classification")
    labelled = [Document(str(n), "the drug", labels=(("sick", "well")[n > 2],)) for n in range(4)]
    weighed = replace(model.task, weights=(1.0, 50.0))
    assert fit(Predictor(model), weighed, labelled) == fit(Predictor(model), model.task, labelled)

    attended = Classes(classes=("a", "b"), reading=Reading(pooling="attention"))
    outputs = SimpleNamespace(logits=torch.tensor([[2.0, 4.0, 6.0]]))
    assert calibration._divide_logits(outputs, 2.0, attended).logits.tolist() == [[1.0, 2.0, 6.0]]
    assert calibration._divide_logits(outputs, 2.0, model.task).logits.tolist() == [[1.0, 2.0, 3.0]]


def test_what_cant_be_calibrated(reader_of: Reader, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="similarity can't be calibrated"):
        calibration.calibrate(replace(reader_of(), task=Similarity()), documents(), tmp_path)
    with pytest.raises(LongbioError, match="no label to calibrate by"):
        fit(Predictor(reader_of()), reader_of().task, [Document("a", "")])
