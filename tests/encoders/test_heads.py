"""A Longformer's head for documents begins with its source's pooler, once."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from longbio.encoders.heads import begin_from_pooler
from longbio.encoders.loading import load


def test_the_pooler_of_the_checkpoint_is_taken(tiny_long_folder: Path, tmp_path: Path) -> None:
    weights = load_file(tiny_long_folder / "model.safetensors")
    pooler = next(weights[name] for name in weights if name.endswith("pooler.dense.weight"))
    model = load(tiny_long_folder, "classification", num_labels=2)
    assert (model.classifier.dense.weight != pooler).any()
    assert begin_from_pooler(model, tiny_long_folder)
    assert (model.classifier.dense.weight == pooler).all()

    # A head that was trained stays.
    model.classifier.dense.weight.data.fill_(1.0)
    model.save_pretrained(tmp_path / "trained")
    trained = load(tmp_path / "trained", "classification")
    assert not begin_from_pooler(trained, tmp_path / "trained")
    assert (trained.classifier.dense.weight == 1).all()


def test_others_are_left_alone(tiny_bert_folder: Path, tiny_long_folder: Path) -> None:
    assert not begin_from_pooler(load(tiny_bert_folder, "classification"), tiny_bert_folder)
    assert not begin_from_pooler(load(tiny_long_folder, "ner"), tiny_long_folder)
