"""Rates, decay, and Adam as BERT was released with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from longbio.encoders.loading import load
from longbio.errors import LongbioError
from longbio.training.optimizers import UncorrectedAdamW, make_optimizer, parameter_groups
from tests.flat_settings import settings_of

SETTINGS = settings_of(steps=1, learning_rate=1e-3, head_factor=10.0)


def test_the_head_learns_faster_and_norms_do_not_decay(tiny_long_folder: Path) -> None:
    model = load(tiny_long_folder, "ner", num_labels=3)
    groups = parameter_groups(model, SETTINGS)
    assert {(round(g["lr"], 6), g["weight_decay"]) for g in groups} == {
        (1e-3, 0.01),
        (1e-3, 0.0),
        (1e-2, 0.01),
        (1e-2, 0.0),
    }
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
    undecayed = {id(weight) for g in groups if not g["weight_decay"] for weight in g["params"]}
    for name, weight in model.named_parameters():
        assert (id(weight) in undecayed) == ("LayerNorm" in name or name.endswith("bias")), name
    assert type(make_optimizer(SETTINGS, groups)) is torch.optim.AdamW


@pytest.mark.parametrize("family", ["bert", "longformer"])
def test_the_layer_before_the_classes_learns_as_the_head_does_in_short_and_long(
    family: str, tiny_bert_folder: Path, tiny_long_folder: Path
) -> None:
    # The same weights, pre-trained as BERT's pooler: the arms of a comparison differ by their length alone.
    folder = {"bert": tiny_bert_folder, "longformer": tiny_long_folder}[family]
    model = load(folder, "classification", num_labels=3)
    dense = model.bert.pooler.dense if family == "bert" else model.classifier.dense
    rates = {id(w): g["lr"] for g in parameter_groups(model, SETTINGS) for w in g["params"]}
    assert rates[id(dense.weight)] == rates[id(dense.bias)] == pytest.approx(1e-2)


def test_frozen_weights_are_in_no_group_and_factors_multiply(tiny_long_folder: Path) -> None:
    model = load(tiny_long_folder, "ner", num_labels=3)
    model.classifier.bias.requires_grad_(False)
    factors = {id(model.classifier.weight): 0.5, id(model.longformer.embeddings.LayerNorm.bias): 0.25}
    rates = {id(w): g["lr"] for g in parameter_groups(model, SETTINGS, factors) for w in g["params"]}
    assert id(model.classifier.bias) not in rates
    assert rates[id(model.classifier.weight)] == pytest.approx(5e-3)
    assert rates[id(model.longformer.embeddings.LayerNorm.bias)] == pytest.approx(2.5e-4)
    assert len(rates) == len(list(model.parameters())) - 1


def moved(optimizer: str, gradients: list[float], decay: float = 0.0) -> float:
    weight = nn.Parameter(torch.tensor([2.0]))
    groups = [{"params": [weight], "lr": 0.01, "weight_decay": decay, "bias_correction": optimizer == "on"}]
    made = make_optimizer(settings_of(steps=1, learning_rate=0.01), groups)
    assert isinstance(made, UncorrectedAdamW) == (optimizer == "off")
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        made.step()
    return 2.0 - weight.item()


def test_without_bias_correction_first_steps_are_as_worked_by_hand() -> None:
    # 0.1 g / (sqrt(0.001 g^2) + 1e-6), whatever the gradient; corrected it is 1.
    assert moved("off", [0.5]) == pytest.approx(0.01 * 0.05 / (0.00025**0.5 + 1e-6), rel=1e-4)
    assert moved("off", [0.5]) == pytest.approx(0.0316, abs=1e-4)
    assert moved("on", [0.5]) == pytest.approx(0.01, rel=1e-4)
    # The second, of gradient -1: mean 0.9 * 0.05 - 0.1, square 0.999 * 0.00025 + 0.001.
    second = 0.01 * (0.045 - 0.1) / ((0.00024975 + 0.001) ** 0.5 + 1e-6)
    assert moved("off", [0.5, -1.0]) == pytest.approx(moved("off", [0.5]) + second, rel=1e-4)
    # A decay of 0.1 at rate 0.01 takes a thousandth of the weight besides.
    assert moved("off", [0.5], decay=0.1) == pytest.approx(moved("off", [0.5]) + 0.002, rel=1e-4)


def test_a_weight_without_a_gradient_stays_and_stable_adamw_always_corrects() -> None:
    weight = nn.Parameter(torch.ones(2))
    groups = [{"params": [weight], "lr": 0.1, "weight_decay": 0.1, "bias_correction": False}]
    make_optimizer(settings_of(steps=1, learning_rate=0.1), groups).step()
    assert torch.equal(weight, torch.ones(2))
    with pytest.raises(LongbioError, match="always corrects"):
        make_optimizer(settings_of(steps=1, learning_rate=0.1, optimizer="stable-adamw"), groups)
