"""Each stabiliser touches exactly the weights it names, in every family, and survives a kill."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from longbio.encoders.families import FAMILIES, dropout_names
from longbio.encoders.loading import INSTALL, load, quiet
from longbio.errors import LongbioError
from longbio.finetuning import mixout
from longbio.finetuning.rdrop import divergence
from longbio.finetuning.stability import Parts, Stability, parameter_groups, prepare, train_stably, wrap_loss
from longbio.training.stopping import EarlyStopping
from longbio.training.trainer import CHECKPOINTING
from tests.flat_settings import settings_of

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 34,
    "pad_token_id": 0,
}
OF_FAMILY: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 16, "n_layers": 6, "n_heads": 2, "hidden_dim": 24},
    "electra": {"embedding_size": 8},
    "longformer": {"attention_window": 8, "sep_token_id": 3, "type_vocab_size": 1},
    "big_bird": {"block_size": 4, "num_random_blocks": 1, "use_cache": False},
}
KINDS = {
    "features": transformers.AutoModel,
    "mlm": transformers.AutoModelForMaskedLM,
    "ner": transformers.AutoModelForTokenClassification,
    "classification": transformers.AutoModelForSequenceClassification,
}
KEY_BIASES = ("key.bias", "key_global.bias", "k_lin.bias")
SETTINGS = settings_of(steps=8, learning_rate=1.0)


def make(family: str, task: str = "ner", dropout: float = 0.0, **changes: Any) -> Any:
    """A tiny model of six layers, its weights as if they had been trained: nowhere zero or one."""
    config = transformers.AutoConfig.for_model(
        family,
        **(SIZES | OF_FAMILY.get(family, {}) | dict.fromkeys(dropout_names(family), dropout) | changes),
    )
    with quiet():
        model = KINDS[task].from_config(config)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            around = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            weight.copy_(around + 0.2 * torch.randn(weight.shape, generator=draw))
    if family in INSTALL:
        INSTALL[family](model, None)
    return model.eval()


def batch_for(model: Any, seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 40, (2, 16), generator=draw)
    labels = torch.randint(2, (2, 16), generator=draw)
    labels[:, 0] = labels[0, 9:] = -100
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    if model.config.model_type == "longformer":
        batch["global_attention_mask"] = (torch.arange(16) < 2).long().expand(2, -1)
    return batch


def inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in batch.items() if name != "labels"}


def summed_loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    logits = model(**inputs(batch)).logits
    return cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum")


def logits_of(outputs: Any, batch: Mapping[str, Any]) -> list[tuple[Tensor, Tensor]]:
    return [(outputs.logits, batch["labels"] != -100)]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def changed(model: nn.Module, before: Mapping[str, Tensor]) -> set[str]:
    return {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}


def place(name: str) -> str:
    """Where a weight stands, by its name alone: what the table of layers is checked against."""
    if ".embeddings." in name or ".embeddings_project." in name:
        return "embeddings"
    if ".layer." in name:
        return name.split(".layer.")[1].split(".")[0]
    return "pooler" if ".pooler." in name else "head"


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def own_chance() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


# ---- which weights ----


def test_every_weight_of_every_family_has_its_place(family: str) -> None:
    model = make(family, "classification")
    parts = Parts.of(model)
    assert len(parts.layers) == 6
    found = {id(w): "embeddings" for module in parts.embeddings for w in module.parameters()}
    for number, layer in enumerate(parts.layers):
        found |= {id(w): str(number) for w in layer.parameters()}
    if parts.pooler is not None:
        found |= {id(w): "pooler" for w in parts.pooler.parameters()}
    for name, weight in model.named_parameters():
        # A Longformer's head for documents has its source's pooler.
        is_pooler = family == "longformer" and name.startswith("classifier.dense.")
        assert found.get(id(weight), "head") == ("pooler" if is_pooler else place(name)), name
    assert (parts.pooler is not None) == (family in ("bert", "big_bird", "longformer"))


@pytest.mark.parametrize("settings", [{"freeze_embeddings": True}, {"freeze_layers": 2}])
def test_what_is_frozen_is_in_no_group_and_the_rest_learns(family: str, settings: dict) -> None:
    model = make(family)
    prepare(model, Stability(**settings))
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    places = {"embeddings"} | {str(n) for n in range(settings.get("freeze_layers", 0))}
    assert frozen == {name for name, _ in model.named_parameters() if place(name) in places}
    grouped = {id(w) for g in parameter_groups(model, SETTINGS, Stability(**settings)) for w in g["params"]}
    assert grouped == {id(w) for name, w in model.named_parameters() if name not in frozen}

    before = weights(model)
    optimizer = torch.optim.SGD(parameter_groups(model, SETTINGS, Stability(**settings)))
    summed_loss(model, batch_for(model)).backward()
    optimizer.step()
    # BigBird's pooler has no part in tagging, and biases of keys change no softmax.
    without_effect = {name for name in before if "pooler." in name or name.endswith(KEY_BIASES)}
    assert changed(model, before) - without_effect == set(before) - frozen - without_effect
    assert not changed(model, before) & frozen


def test_frozen_embeddings_stay_where_a_head_is_tied_to_them() -> None:
    model = make("bert", "mlm")
    prepare(model, Stability(freeze_embeddings=True))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert not model.get_output_embeddings().weight.requires_grad


def test_only_top_layers_and_pooler_begin_at_random(family: str) -> None:
    task = "features" if family in ("bert", "longformer") else "classification"
    model = make(family, task)
    for weight in model.parameters():
        weight._is_hf_initialized = True  # as `from_pretrained` leaves them
    before, again = weights(model), copy.deepcopy(model)
    torch.manual_seed(3)
    prepare(model, Stability(reinitialise_layers=2))
    expected = {
        name for name in before if any(f".layer.{n}." in f".{name}" for n in (4, 5)) or "pooler." in name
    }
    assert changed(model, before) == expected
    assert any("pooler" in name for name in expected) == (family in ("bert", "longformer", "big_bird"))
    assert (family != "longformer") == (not any("query_global" in name for name in expected))
    for name, weight in model.named_parameters():
        if name in expected and name.endswith("bias"):
            assert not weight.any(), name
        elif name in expected and "norm" in name.lower():
            assert torch.equal(weight, torch.ones_like(weight)), name
        elif name in expected:
            assert 0.005 < weight.std() < 0.04, name  # the families' initializer_range is 0.02
    torch.manual_seed(3)
    prepare(again, Stability(reinitialise_layers=2))
    assert not changed(again, weights(model))


def test_a_longformers_head_for_documents_gets_a_new_pooler_too() -> None:
    model = make("longformer", "classification")
    before = weights(model)
    prepare(model, Stability(reinitialise_layers=1))
    outside = {name for name in changed(model, before) if ".layer." not in name}
    assert outside == {"classifier.dense.weight", "classifier.dense.bias"}


def test_a_model_from_a_folder_begins_at_random_too(tmp_path: Path) -> None:
    make("bert").save_pretrained(tmp_path)
    model = load(tmp_path, "ner")
    before = weights(model)
    prepare(model, Stability(reinitialise_layers=1))
    assert {place(name) for name in changed(model, before)} == {"5"}


# ---- rates ----

# Six layers, d = 0.5, by hand: from the embeddings up.
ZHANG = {"embeddings": 2**-7, **{str(n): 2.0 ** (n - 6) for n in range(6)}, "pooler": 1.0, "head": 1.0}
ELECTRA = {"embeddings": 2**-8, **{str(n): 2.0 ** (n - 7) for n in range(6)}, "pooler": 1.0, "head": 1.0}


@pytest.mark.parametrize(("convention", "factors"), [("zhang", ZHANG), ("electra", ELECTRA)])
def test_rates_fall_from_layer_to_layer(family: str, convention: Any, factors: dict[str, float]) -> None:
    assert (factors["5"], factors["0"]) == ((0.5, 1 / 64) if convention == "zhang" else (0.25, 1 / 128))
    model = make(family, "classification")
    settings = settings_of(steps=1, learning_rate=0.1, head_factor=3.0)
    stability = Stability(layer_decay=0.5, decay_convention=convention)
    seen = 0
    names = {id(weight): name for name, weight in model.named_parameters()}
    for group in parameter_groups(model, settings, stability):
        assert "bias_correction" not in group
        for weight in group["params"]:
            name, seen = names[id(weight)], seen + 1
            times = 3.0 if place(name) in ("head", "pooler") else 1.0
            assert group["lr"] == pytest.approx(0.1 * factors[place(name)] * times), name
            decays = not ("norm" in name.lower() or name.endswith("bias"))
            assert group["weight_decay"] == (0.01 if decays else 0.0), name
    assert seen == len(names)


def test_without_settings_groups_are_the_trainers_own_in_any_family() -> None:
    from longbio.training import optimizers

    config = transformers.AlbertConfig(
        vocab_size=40, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=24
    )
    model = transformers.AlbertForTokenClassification(config)
    prepare(model, Stability())
    assert all(weight.requires_grad for weight in model.parameters())
    mine = parameter_groups(model, SETTINGS, Stability())
    for group, own in zip(mine, optimizers.parameter_groups(model, SETTINGS), strict=True):
        assert list(map(id, group.pop("params"))) == list(map(id, own.pop("params")))
        assert group == own
    with pytest.raises(LongbioError, match="layers of a albert"):
        parameter_groups(model, SETTINGS, Stability(layer_decay=0.9))


def test_every_group_says_that_bias_is_not_corrected() -> None:
    groups = parameter_groups(make("bert"), SETTINGS, Stability(bias_correction=False))
    assert [group["bias_correction"] for group in groups] == [False] * len(groups)


# ---- mixout ----


def outputs(model: Any, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(**inputs(batch_for(model))).logits


def far(model: Any, mixed: bool = True) -> None:
    """Move the weights that mixout brings back, and nothing else, away from where they were."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, mixout.MixedLinear):
                module._parameters["weight"] += 0.1 * torch.randn(
                    module._parameters["weight"].shape, generator=draw
                )


def test_mixout_of_one_is_the_pretrained_model_and_evaluation_the_trained_one(family: str) -> None:
    model = make(family)
    keys, before = set(model.state_dict()), outputs(model)
    prepare(model, Stability(mixout=1.0))
    assert set(model.state_dict()) == keys
    linears = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and place(f".{name}.").isdigit()
    }
    mixed = {name for name, module in model.named_modules() if isinstance(module, mixout.MixedLinear)}
    assert mixed == linears
    assert len(linears) == 6 * (9 if family == "longformer" else 6)
    far(model)
    assert not torch.allclose(outputs(model.eval()), before, atol=1e-3)
    assert torch.allclose(outputs(model.train()), before, atol=1e-5)

    plain = make(family)
    plain.load_state_dict(model.state_dict())
    assert torch.equal(outputs(model.eval()), outputs(plain))
    mixout.remove(model)
    assert torch.equal(outputs(model.train()), outputs(plain))
    assert not any(isinstance(module, mixout.MixedLinear) for module in model.modules())


def test_mixout_of_zero_is_none() -> None:
    model, mixed = make("bert"), make("bert")
    prepare(model, Stability(mixout=0.0))
    assert not any(isinstance(module, mixout.MixedLinear) for module in model.modules())
    mixout.install(Parts.of(mixed).layers, 0.0)
    far(mixed)
    assert torch.allclose(outputs(mixed.train()), outputs(mixed.eval()), atol=1e-6)


def test_weights_under_mixout_are_pretrained_or_further_away_and_right_on_average() -> None:
    linear = nn.Linear(3, 2)
    pretrained = linear.weight.detach().clone()
    mixout.install([linear], 0.75)
    with torch.no_grad():
        linear._parameters["weight"] += torch.tensor([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]])
    learned = linear._parameters["weight"]
    linear.train()
    draws = torch.stack([linear.weight.detach() for _ in range(4000)])
    is_back = torch.isclose(draws, pretrained, atol=1e-6)
    assert is_back.float().mean() == pytest.approx(0.75, abs=0.02)
    # (1 - p)^-1 (w - p u), the paper's.
    away = (learned.detach() - 0.75 * pretrained) / 0.25
    assert torch.isclose(draws[~is_back], away.expand_as(draws)[~is_back], atol=1e-5).all()
    assert torch.allclose(draws.mean(0), learned, atol=0.2)
    torch.manual_seed(5)
    kept = (linear.weight.detach() - pretrained).abs() > 1e-6
    torch.manual_seed(5)
    linear.weight.sum().backward()
    assert torch.allclose(learned.grad, kept / 0.25)
    assert linear.eval().weight is learned


def test_mixout_leaves_frozen_and_random_layers_alone() -> None:
    model = make("bert")
    prepare(model, Stability(mixout=0.5, freeze_layers=1, reinitialise_layers=2))
    mixed = [name for name, module in model.named_modules() if isinstance(module, mixout.MixedLinear)]
    assert {place(f"{name}.") for name in mixed} == {"1", "2", "3"}


def test_a_checkpoint_made_under_mixout_is_native(tmp_path: Path) -> None:
    model = make("longformer")
    prepare(model, Stability(mixout=0.5))
    far(model)
    model.train().save_pretrained(tmp_path)
    with quiet():
        found, report = transformers.AutoModelForTokenClassification.from_pretrained(
            tmp_path, output_loading_info=True
        )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in found.state_dict().items())


@pytest.mark.parametrize("kind", ["bert", "longformer"])
def test_gradient_checkpointing_repeats_the_draws_of_mixout(kind: str, monkeypatch) -> None:
    draws: list[float] = []
    monkeypatch.setattr(
        mixout, "dropout", lambda *given: draws.append(given[1]) or nn.functional.dropout(*given)
    )
    gradients = []
    for checkpointed in (False, True):
        model = make(kind, dropout=0.1)
        prepare(model, Stability(mixout=0.5))
        far(model)
        model.train()
        if checkpointed:
            getattr(model, f"{CHECKPOINTING}_enable")()
        torch.manual_seed(7)
        summed_loss(model, batch_for(model)).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    assert len(draws) == 3 * 6 * (9 if kind == "longformer" else 6)
    for name, gradient in gradients[0].items():
        if gradient is not None:
            assert torch.allclose(gradient, gradients[1][name], atol=1e-5), name


# ---- R-Drop ----


def test_divergence_by_hand() -> None:
    # p = (1/2, 1/2), q = (3/4, 1/4): KL(p||q) = ln 2 - ln 3 / 2, KL(q||p) = 3/4 ln 3 - ln 2.
    one, other = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 1.0]]).log()
    log2, log3 = np.log(2), np.log(3)
    by_hand = ((log2 - log3 / 2) + (0.75 * log3 - log2)) / 2
    counted = torch.tensor([True])
    assert divergence(one, other, counted).item() == pytest.approx(by_hand, abs=1e-6)
    assert divergence(one, other, torch.tensor([False])).item() == 0
    # What both leave out with -inf counts for nothing, and has no gradient that is no number.
    left_out = torch.tensor([[-torch.inf]])
    one = torch.cat([one, left_out], 1).requires_grad_()
    found = divergence(one, torch.cat([other, left_out], 1), counted)
    assert found.item() == pytest.approx(by_hand, abs=1e-6)
    found.backward()
    assert one.grad.isfinite().all()


def spans(outputs: Any, batch: Mapping[str, Any]) -> list[tuple[Tensor, Tensor]]:
    both = outputs.logits.unbind(-1)
    return [(logits, torch.tensor([True, False])) for logits in both]


def documents(outputs: Any, batch: Mapping[str, Any]) -> list[tuple[Tensor, Tensor]]:
    return [(outputs.logits[:, 0], torch.tensor([True, True]))]


@pytest.mark.parametrize("softmaxes", [logits_of, spans, documents])
def test_rdrop_adds_the_weighted_divergence_to_the_mean_of_two_losses(softmaxes: Any) -> None:
    model = make("bert", dropout=0.3).train()
    batch = batch_for(model)
    torch.manual_seed(1)
    first, second = (model(**inputs(batch)) for _ in range(2))
    torch.manual_seed(1)
    losses = [summed_loss(model, batch).item() for _ in range(2)]
    apart = sum(
        nn.functional.kl_div(
            b[learned].log_softmax(-1), a[learned].log_softmax(-1), log_target=True, reduction="sum"
        ).item()
        for one, other in zip(softmaxes(first, batch), softmaxes(second, batch), strict=True)
        for learned in [one[1]]
        for a, b in ((one[0], other[0]), (other[0], one[0]))
    )
    assert apart > 0
    torch.manual_seed(1)
    found = wrap_loss(summed_loss, Stability(r_drop=2.0), softmaxes)(model, batch)
    assert found.item() == pytest.approx(sum(losses) / 2 + 2.0 * apart / 2, rel=1e-4)
    assert not model._forward_hooks
    assert wrap_loss(summed_loss, Stability(), softmaxes) is summed_loss


def test_without_dropout_or_distributions_rdrop_is_refused() -> None:
    on = Stability(r_drop=1.0)
    with pytest.raises(LongbioError, match="the model has none"):
        prepare(make("bert"), on)
    prepare(make("bert", dropout=0.1), on)
    prepare(make("bert"), Stability(r_drop=1.0, mixout=0.1))
    with pytest.raises(LongbioError, match="regression has no KL"):
        wrap_loss(summed_loss, on)
    model = make("bert", dropout=0.1).train()
    with pytest.raises(LongbioError, match="regression has no KL"):
        wrap_loss(summed_loss, on, lambda outputs, batch: [])(model, batch_for(model))


# ---- what can't be ----


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"freeze_layers": -1}, "0 or more"),
        ({"reinitialise_layers": -1}, "0 or more"),
        ({"layer_decay": 0.0}, "layer_decay of 0"),
        ({"layer_decay": 1.1}, "layer_decay of 1.1"),
        ({"decay_convention": "other"}, "electra"),
        ({"mixout": 1.5}, "from 0 to 1"),
        ({"average_last": -0.1}, "from 0 to 1"),
        ({"r_drop": -1.0}, "0 or more"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Stability(**settings)
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Stability).validate_python(settings)
    with pytest.raises(ValidationError, match=r"not permitted|nexpected"):
        TypeAdapter(Stability).validate_python({"freeze_layer": 1})


def test_more_layers_than_there_are_and_divided_weights_are_refused(monkeypatch) -> None:
    with pytest.raises(LongbioError, match="4 layers are to be frozen and 3 to begin at random"):
        prepare(make("bert"), Stability(freeze_layers=4, reinitialise_layers=3))
    prepare(make("bert"), Stability(freeze_layers=6))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(LongbioError, match="without FSDP"):
        prepare(make("bert"), Stability(mixout=0.1))


# ---- everything at once ----


class Killed(Exception):
    """Stands for a kill."""


EVERYTHING = Stability(
    freeze_layers=1,
    layer_decay=0.9,
    decay_convention="electra",
    reinitialise_layers=1,
    bias_correction=False,
    mixout=0.3,
    r_drop=0.5,
    average_last=0.5,
)


def learn(out: Path, stability: Stability, *, kill_at: int | None = None, kind: str = "bert", **changes: Any):
    torch.manual_seed(11)
    model = make(kind, dropout=0.1, num_hidden_layers=3)
    stop = changes.pop("stop", True)
    settings = settings_of(**{"steps": 8, "learning_rate": 1e-2, "batch": 2, "save_steps": 3} | changes)
    samples: Any = [batch_for(model, seed) for seed in range(settings.steps * settings.batch)]

    def collate(some: Any) -> dict[str, Tensor]:
        return {name: torch.cat([one[name] for one in some]) for name in some[0]}

    def evaluate(model: Any) -> float:
        assert not model.training
        held_out = batch_for(model, 99)
        random.random(), np.random.rand(), torch.rand(3)
        return -summed_loss(model, held_out).item()

    def on_step(step: int, loss: float) -> None:
        if step == kill_at:
            raise Killed

    stopping = EarlyStopping(evaluate, every_steps=2, patience=3)
    trained, losses = train_stably(
        model, samples, collate, summed_loss, settings, out, stability,
        logits_of=logits_of, stopping=stopping if stop else None, on_step=on_step,
    )  # fmt: skip
    return trained, losses, stopping


@pytest.mark.parametrize(("kind", "kill_at"), [("bert", 4), ("bert", 8), ("longformer", 7)])
def test_a_killed_run_with_everything_on_ends_as_if_nothing_had_happened(
    kind: str, kill_at: int, tmp_path: Path
) -> None:
    whole, losses, scores = learn(tmp_path / "whole", EVERYTHING, kind=kind)
    with pytest.raises(Killed):
        learn(tmp_path / "killed", EVERYTHING, kill_at=kill_at, kind=kind)
    resumed, again, seen = learn(tmp_path / "killed", EVERYTHING, kind=kind)
    assert len(losses) == 8
    assert again == pytest.approx(losses, abs=1e-6)
    assert [step for step, _ in scores.history] == [2, 4, 6, 8]
    assert dict(seen.history) == pytest.approx(dict(scores.history), abs=1e-6)
    for name, weight in whole.state_dict().items():
        assert torch.allclose(weight, resumed.state_dict()[name], atol=1e-6), name
    # What is returned is what scored best, and a plain model.
    best = max(score for _, score in scores.history)
    assert -summed_loss(whole, batch_for(whole, 99)).item() == pytest.approx(best, abs=1e-6)
    assert not any(isinstance(module, mixout.MixedLinear) for module in whole.modules())


def test_each_setting_changes_what_is_learned(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{}, {"layer_decay": 0.9}, {"bias_correction": False}, {"mixout": 0.3}]
    settings += [{"r_drop": 0.5}, {"average_last": 0.5}, {"freeze_layers": 1}, {"reinitialise_layers": 1}]
    found = []
    for number, changes in enumerate(settings):
        model, _, _ = learn(
            tmp_path / str(number), Stability(**changes), steps=3, save_steps=None, stop=False
        )
        found.append(torch.cat([weight.flatten() for weight in weights(model).values()]))
    for number, one in enumerate(found):
        for other in found[:number]:
            assert not torch.allclose(one, other, atol=1e-6)
