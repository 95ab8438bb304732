"""A Longformer's head for documents begins with its source's pooler, once."""

from __future__ import annotations

from pathlib import Path

import torch
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


def test_a_new_head_depends_on_its_seed_alone(tiny_bert_folder: Path) -> None:
    heads = []
    for drawn, seed in ((0, 3), (1000, 3), (0, 4)):
        torch.manual_seed(drawn)
        torch.rand(drawn + 1)
        heads.append(load(tiny_bert_folder, "ner", head_seed=seed, num_labels=3).classifier)
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert not heads[0].bias.any()
    # What is in the checkpoint stays.
    encoders = [load(tiny_bert_folder, "ner", head_seed=seed).base_model.state_dict() for seed in (3, 4)]
    assert all(torch.equal(encoders[0][name], encoders[1][name]) for name in encoders[0])
