from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.big_bird import modeling_big_bird
from transformers.models.longformer import modeling_longformer
from transformers.utils import logging

import longbio
from longbio.attention import reference
from longbio.attention.kernels import KERNELS, Kernel
from longbio.encoders import bigbird, longformer
from longbio.encoders.loading import TASKS, load, quiet, set_kernel
from longbio.errors import LongbioError

MakeFolder = Callable[..., Path]
MakeBatch = Callable[..., dict[str, torch.Tensor]]
OURS = {"longformer": longformer.LongformerModel, "big_bird": bigbird.BigBirdModel}
STOCK = {"longformer": modeling_longformer.LongformerModel, "big_bird": modeling_big_bird.BigBirdModel}


def copy_of(folder: Path, place: Path) -> Path:
    return Path(shutil.copytree(folder, place))


def for_task(batch: dict[str, torch.Tensor], family: str) -> dict[str, torch.Tensor]:
    """What the stock question-answering classes ask for: a separator, and a global mask."""
    ids = batch["input_ids"].clone()
    ids[:, 9] = 3
    made = {"input_ids": ids, "attention_mask": batch["attention_mask"]}
    if family == "longformer":
        made["global_attention_mask"] = torch.zeros_like(ids)
        made["global_attention_mask"][:, :9] = 1
    return made


@pytest.mark.parametrize("task", TASKS)
def test_every_task_loads_on_the_named_kernel(
    task: str, family: str, make_folder: MakeFolder, make_batch: MakeBatch
) -> None:
    folder = make_folder(family, "mlm")
    model = load(folder, task)
    native = TASKS[task]._model_mapping[type(model.config)].__name__ if task != "features" else None
    assert native is None or type(model).__name__ == native
    assert isinstance(model.base_model, OURS[family])
    assert not model.training
    batch = for_task(make_batch(20, 20), family)
    with torch.no_grad():
        assert all(value.isfinite().all() for value in model(**batch).values() if value is not None)


def test_kernels_give_the_same(family: str, make_folder: MakeFolder, make_batch: MakeBatch) -> None:
    folder, batch = make_folder(family), make_batch(27)
    outputs = {}
    for name in ("auto", "blocked", "reference", "stock"):
        model = load(folder, kernel=name)
        expected = STOCK[family] if name == "stock" else OURS[family]
        assert type(model) is expected
        with torch.no_grad():
            outputs[name] = model(**batch).last_hidden_state
    for name, output in outputs.items():
        assert (output - outputs["stock"]).abs().max() < 1e-5, name


def test_longbio_load_is_this_one() -> None:
    assert longbio.load is load


def test_unknown_task_or_kernel(family: str, make_folder: MakeFolder) -> None:
    with pytest.raises(ValueError, match="no task 'translation'; the tasks are features, mlm"):
        load(make_folder(family), "translation")
    with pytest.raises(LongbioError, match="no kernel 'sdpa'; the kernels are auto, reference, blocked"):
        load(make_folder(family), kernel="sdpa")


def test_a_kernel_that_cannot_run_here_says_why(
    family: str, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_elsewhere(_: Any, *, device: torch.device, **options: Any) -> str | None:
        return f"it needs a quantum computer, not {device.type}"

    reason = "kernel 'elsewhere' can't run here: it needs a quantum computer, not .*; kernel='auto' picks one"
    elsewhere = Kernel("elsewhere", reference.attend, only_elsewhere, reference.prepare)
    monkeypatch.setitem(KERNELS, "elsewhere", elsewhere)
    with pytest.raises(LongbioError, match=reason):
        load(make_folder(family), kernel="elsewhere")
    model = load(make_folder(family))
    with pytest.raises(LongbioError, match=reason):
        set_kernel(model, "elsewhere")
    assert model.kernel is None


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_a_kernel_without_gradients_is_loaded_to_predict_and_refused_to_train(
    family: str, make_folder: MakeFolder, make_batch: MakeBatch
) -> None:
    with torch.no_grad():
        reason = KERNELS["flex"].supports(None, device=torch.device("cpu"), dtype=torch.float32, dropout=0.0)
    if reason is not None or torch.cuda.is_available():
        pytest.skip(reason or "there is a GPU")
    model = load(make_folder(family), kernel="flex")
    set_kernel(model, "flex")
    batch = make_batch(20, 27)
    with torch.no_grad():
        found = model(**batch).last_hidden_state
        expected = load(make_folder(family), kernel="reference")(**batch).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(LongbioError, match="kernel 'flex' can't run here: FlexAttention has no backward"):
        load(make_folder(family), kernel="flex", for_training=True)


def test_a_kernel_without_dropout_is_refused_to_train_a_model_that_has_it(
    family: str, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(_: Any, *, dropout: float, **options: Any) -> str | None:
        return "it has no dropout" if dropout else None

    kernel = Kernel("sober", reference.attend, without, reference.prepare)
    monkeypatch.setitem(KERNELS, "sober", kernel)
    for changes in ({"for_training": True, "dropout": 0.0}, {"dropout": 0.1}):
        load(make_folder(family), kernel="sober", **changes)
    with pytest.raises(LongbioError, match="kernel 'sober' can't run here: it has no dropout"):
        load(make_folder(family), kernel="sober", for_training=True, dropout=0.1)


def test_set_kernel(family: str, make_folder: MakeFolder, make_batch: MakeBatch) -> None:
    """The encoder holds it; layers get it with the batch."""
    model = load(make_folder(family), "ner")
    assert [type(m) for m in model.modules() if hasattr(m, "kernel")] == [OURS[family]]
    assert model.base_model.kernel is None
    ran = []
    attend = reference.attend

    def told(*given: Any, **options: Any) -> torch.Tensor:
        ran.append(1)
        return attend(*given, **options)

    set_kernel(model, "reference")
    assert model.base_model.kernel is KERNELS["reference"]
    model.base_model.kernel = replace(KERNELS["reference"], attend=told)
    model(**make_batch(9))
    assert len(ran) == 3
    set_kernel(model, "blocked")
    assert model.base_model.kernel is KERNELS["blocked"]
    model(**make_batch(9))
    assert len(ran) == 3
    set_kernel(model, "auto")
    assert model.base_model.kernel is None
    with pytest.raises(LongbioError, match="no kernel"):
        set_kernel(model, "sdpa")


def test_loading_leaves_stock_classes_and_other_models_alone(family: str, make_folder: MakeFolder) -> None:
    folder = make_folder(family)
    with quiet():
        bystander = transformers.AutoModel.from_pretrained(folder)
    before = {
        name: getattr(kind, name)
        for kind in (modeling_longformer.LongformerSelfAttention, modeling_big_bird.BigBirdAttention)
        for name in ("forward",)
    }
    load(folder)
    assert type(bystander) is STOCK[family]
    native = {**longformer.NATIVE, **bigbird.NATIVE}
    assert not {type(module) for module in bystander.modules()} & set(native.values())
    with quiet():
        assert type(transformers.AutoModel.from_pretrained(folder)) is STOCK[family]
    after = {
        name: getattr(kind, name)
        for kind in (modeling_longformer.LongformerSelfAttention, modeling_big_bird.BigBirdAttention)
        for name in ("forward",)
    }
    assert before == after


@pytest.mark.parametrize("task", TASKS)
def test_save_pretrained_writes_a_native_folder(
    task: str, family: str, make_folder: MakeFolder, make_batch: MakeBatch, tmp_path: Path
) -> None:
    model = load(make_folder(family, "mlm"), task)
    with quiet():
        model.save_pretrained(tmp_path / "saved")
        plain, report = TASKS[task].from_pretrained(tmp_path / "saved", output_loading_info=True)
    architectures = json.loads((tmp_path / "saved" / "config.json").read_text())["architectures"]
    assert architectures == [type(plain).__name__]
    assert getattr(transformers, architectures[0]) is type(plain)
    assert not report["missing_keys"]

    batch = for_task(make_batch(20, 20), family)
    with torch.no_grad():
        ours, theirs = model(**batch), plain.eval()(**batch)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert (value - theirs[name]).abs().max() < 2e-5, name


def test_pipelines_accept_the_model(family: str, make_folder: MakeFolder, tokenizer: Any) -> None:
    folder = make_folder(family, "mlm")
    fill = transformers.pipeline("fill-mask", model=load(folder, "mlm"), tokenizer=tokenizer)
    plain = transformers.pipeline("fill-mask", model=load(folder, "mlm", kernel="stock"), tokenizer=tokenizer)
    text = "the patient has [MASK] and no fever"
    ours, theirs = fill(text), plain(text)
    assert [guess["token"] for guess in ours] == [guess["token"] for guess in theirs]
    assert all(abs(a["score"] - b["score"]) < 1e-5 for a, b in zip(ours, theirs, strict=True))

    ner = load(folder, "ner", num_labels=3)
    tag = transformers.pipeline("token-classification", model=ner, tokenizer=tokenizer)
    found = tag("the patient has pain")
    assert [entity["word"] for entity in found] == ["the", "patient", "has", "pain"]


def test_missing_weights_are_no_random_ones(family: str, make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = copy_of(make_folder(family, "mlm"), tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    gone = next(name for name in state if name.endswith("layer.1.output.dense.weight"))
    del state[gone]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    for task in TASKS:
        with pytest.raises(LongbioError, match=r"1 weights are missing, the first is .*layer\.1\.output"):
            load(folder, task)


def test_a_masked_lm_head_starts_at_random_only_when_asked(family: str, make_folder: MakeFolder) -> None:
    folder = make_folder(family)
    with pytest.raises(LongbioError, match="weights are missing"):
        load(folder, "mlm")
    assert load(folder, "mlm", new_head=True) is not None
    for task in ("ner", "qa", "classification"):
        load(folder, task)


def test_wrong_shapes_are_one_line(family: str, make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = copy_of(make_folder(family), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    with pytest.raises(LongbioError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LongbioError) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_config_changes_and_dropout(family: str, make_folder: MakeFolder) -> None:
    model = load(make_folder(family), "ner", num_labels=7, dropout=0.3)
    assert model(torch.tensor([[2, 5, 3]])).logits.shape == (1, 3, 7)
    assert model.config.attention_probs_dropout_prob == 0.3
    assert model.config.hidden_dropout_prob == 0.3
    rates = {module.p for module in model.base_model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.3}
    if family == "longformer":
        assert model.longformer.encoder.layer[0].attention.self.dropout == 0.3


@pytest.mark.parametrize("window", [7, 0, [8, 9, 8]])
def test_windows_have_two_equal_sides(window: Any, make_folder: MakeFolder) -> None:
    with pytest.raises(ValueError, match=r"attention_window is \d; .* give an even number, 2 or more"):
        load(make_folder("longformer"), attention_window=window)
    assert load(make_folder("longformer"), attention_window=6).config.attention_window == [6, 6, 6]


def test_a_short_model_comes_back_as_it_is(tmp_path: Path) -> None:
    config = transformers.DistilBertConfig(vocab_size=60, dim=32, n_layers=1, n_heads=2, hidden_dim=48)
    with quiet():
        transformers.DistilBertModel(config).save_pretrained(tmp_path)
    model = load(tmp_path, dropout=0.2)
    assert type(model) is transformers.DistilBertModel
    assert (model.config.dropout, model.config.attention_dropout) == (0.2, 0.2)
    with pytest.raises(ValueError, match="a distilbert has no kernel"):
        set_kernel(model, "blocked")


def test_quiet_restores_the_verbosity() -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    loud = (logging.INFO, True)

    def fails() -> None:
        with quiet():
            assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.ERROR, False)
            raise KeyError

    logging.set_verbosity_info()
    logging.enable_progress_bar()
    try:
        with pytest.raises(KeyError):
            fails()
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == loud
    finally:
        logging.set_verbosity(before[0])
        if not before[1]:
            logging.disable_progress_bar()
