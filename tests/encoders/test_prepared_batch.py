"""Masks become a pattern once: nothing is asked of the device afterwards, and bad ones are told."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from longbio.attention import reference
from longbio.attention.kernels import KERNELS, Kernel
from longbio.attention.pattern import SparsePattern
from longbio.encoders import prepared_batch
from longbio.encoders.prepared_batch import batch_pattern, prepare
from longbio.errors import LongbioError

MakeOurs = Callable[..., Any]
MakeBatch = Callable[..., dict[str, Tensor]]
CPU = torch.device("cpu")
WAITS = {"aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.item", "aten._to_copy.cpu"}
"""What would stop the host until the device has caught up."""


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func).removesuffix(".default"))
        return func(*args, **(kwargs or {}))


class BlockingCopies(TorchDispatchMode):
    """Copies to another device that a host with a queue of work would wait for.

    On CUDA a copy that isn't `non_blocking` waits for everything queued before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if "copy" in str(func) and isinstance(result, Tensor):
            source = args[1] if str(func).startswith("aten.copy_") else args[0]
            asynchronous = (kwargs or {}).get("non_blocking") or (len(args) > 2 and args[2])
            if source.device != result.device and not asynchronous:
                self.shapes.append(tuple(result.shape))
        return result


def collated(family: str, lengths: list[int], share: float = 0.05, packed: bool = False) -> dict[str, Any]:
    """What a collator makes: everything on the CPU."""
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    chosen = (torch.rand(real.shape) < share).long() if family == "longformer" else None
    documents = (torch.arange(max(lengths)) // 30).expand(len(lengths), -1) if packed else None
    labels = torch.where((torch.rand(real.shape) < 0.2) & real, 7, -100)
    return {
        "input_ids": torch.randint(5, 60, real.shape) * real,
        "attention_mask": batch_pattern(real.long(), chosen, documents, tuple(real.shape), CPU),
        "labels": labels,
        "label_positions": (labels.flatten() != -100).nonzero().flatten(),
    }


SHAPES = {
    "padded": {"lengths": [110, 40]},
    "whole": {"lengths": [60, 60]},
    "packed": {"lengths": [110, 70], "packed": True},
    "many global tokens": {"lengths": [110, 90], "share": 0.7},
}


@pytest.fixture
def meta_without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch knows no autocast there, not even that it is off."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.usefixtures("meta_without_autocast")
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
def test_a_pattern_made_before_needs_no_answer_from_the_device(
    given: dict[str, Any], mode: str, family: str, make_ours: MakeOurs
) -> None:
    """The meta device has none to give: whoever asks it gets an exception."""
    model = make_ours(family, "mlm", attention_probs_dropout_prob=0.1, hidden_dropout_prob=0.1).to("meta")
    model.train(mode == "train")
    batch = collated(family, **given)
    there = {name: value.to("meta") for name, value in batch.items()}
    loss = model(**there).loss
    loss.backward()
    assert loss.device.type == "meta"

    # Which masks that came there by themselves would.
    there["attention_mask"] = torch.ones_like(there["input_ids"])
    with pytest.raises(NotImplementedError):
        model(**there)


@pytest.mark.usefixtures("meta_without_autocast")
@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
def test_nothing_that_goes_to_the_device_is_waited_for(
    given: dict[str, Any], family: str, make_ours: MakeOurs
) -> None:
    model = make_ours(family, "mlm").to("meta").train()
    there = {name: value.to("meta") for name, value in collated(family, **given).items()}
    with BlockingCopies() as copies:
        model(**there).loss.backward()
    assert copies.shapes == []


@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
def test_a_prepared_batch_runs_without_waiting(
    given: dict[str, Any], family: str, make_ours: MakeOurs
) -> None:
    model = make_ours(family, "mlm", attention_probs_dropout_prob=0.1).train()
    batch = collated(family, **given)
    with Operations() as first:
        model(**batch)
    with Operations() as again:
        model(**batch).loss.backward()
    assert "longbio.blocked" in again.names
    assert not again.names & WAITS
    assert "aten.nonzero" in first.names  # of the plan, on the host: this test sees it

    del batch["label_positions"]
    with Operations() as asked:
        model(**batch)
    assert asked.names & WAITS == {"aten.nonzero"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
def test_cuda_is_never_waited_for(
    given: dict[str, Any],
    family: str,
    make_ours: MakeOurs,
    never_waits: Callable[[], AbstractContextManager[None]],
) -> None:
    model = make_ours(family, "mlm", kernel="auto").cuda().train()

    def on_device(batch: dict[str, Any]) -> dict[str, Any]:
        return {name: value.to("cuda", non_blocking=True) for name, value in batch.items()}

    model(**on_device(collated(family, **given))).loss.backward()  # compiles kernels, loads libraries
    batches = [
        {
            name: value.pin_memory() if isinstance(value, Tensor) else value
            for name, value in collated(family, **given).items()
        }
        for _ in range(2)
    ]
    with never_waits():
        for batch in batches:
            model(**on_device(batch)).loss.backward()


def test_a_pattern_stays_on_the_host() -> None:
    pattern: SparsePattern = collated("longformer", [20, 9])["attention_mask"]
    assert pattern.device == CPU
    assert pattern.on_host is pattern
    assert pattern.to(CPU) is pattern
    there = pattern.to("meta")
    assert there.device.type == "meta"
    assert there.on_host is pattern
    assert there.to("meta") is there
    assert there.to("cpu") is pattern
    assert there.documents.tolist() == [[0, 20], [20, 29]]


def test_a_pattern_travels_between_processes(make_ours: MakeOurs) -> None:
    """As from the workers of a data loader."""
    model, batch = make_ours("longformer"), collated("longformer", [60, 41])
    with torch.no_grad():
        wanted = model(batch["input_ids"], batch["attention_mask"])[0]
        for sent in (
            pickle.loads(pickle.dumps(batch["attention_mask"])),
            copy.deepcopy(batch["attention_mask"]),
        ):
            assert torch.equal(model(batch["input_ids"], sent)[0], wanted)


def test_masks_and_their_pattern_are_the_same(
    family: str, make_ours: MakeOurs, make_batch: MakeBatch
) -> None:
    model, batch = make_ours(family), make_batch(60, 41, side="left")
    documents = torch.arange(60).div(25, rounding_mode="floor").expand(2, -1).clone()
    # Padding may be told by the documents too.
    documents[0, :7] = -1
    masks = {"attention_mask": batch["attention_mask"]}
    if family == "longformer":
        masks["global_attention_mask"] = (torch.rand(2, 60) < 0.2).long()
    pattern = batch_pattern(
        batch["attention_mask"], masks.get("global_attention_mask"), documents, (2, 60), CPU
    )
    assert not pattern.global_BT[~pattern.valid_BT].any()
    with torch.no_grad():
        by_masks = model(batch["input_ids"], **masks, document_ids=documents).last_hidden_state
        by_pattern = model(batch["input_ids"], attention_mask=pattern).last_hidden_state
    assert torch.equal(by_masks, by_pattern)
    assert not by_masks[0, :7].any()


def test_auto_says_its_choice_once(
    family: str,
    make_ours: MakeOurs,
    make_batch: MakeBatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    prepared_batch._say_once.cache_clear()
    caplog.set_level(logging.INFO, logger="longbio")
    named = make_ours(family, kernel="reference")
    named(**make_batch(9))
    assert caplog.messages == []
    for _ in range(2):
        model = make_ours(family, kernel="auto")
        model(**make_batch(9))
        model.train()(**make_batch(20, 3))
    assert caplog.messages == ["attention kernel on cpu: blocked"]


def test_a_pattern_is_prepared_once_for_each_use(family: str, make_ours: MakeOurs) -> None:
    model = make_ours(family, attention_probs_dropout_prob=0.1, kernel="auto")
    batch = collated(family, [60, 41])
    pattern = batch["attention_mask"]

    def ready(**changes: Any) -> Any:
        options = {"rules": model.rules, "kernel": None, "dtype": torch.float32, "dropout": 0.0} | changes
        return prepare(pattern, options.pop("rules"), options.pop("kernel"), **options)

    first = ready()
    assert ready() is first
    assert ready(rules=copy.deepcopy(model).rules) is first
    assert len(pattern.cache) == 1
    with torch.no_grad():
        model(batch["input_ids"], pattern)
    assert len(pattern.cache) == 1
    others = [ready(dtype=torch.bfloat16), ready(dropout=0.1), ready(kernel=KERNELS["reference"])]
    assert first not in others
    assert others[2].layers[0].kernel is KERNELS["reference"]
    wider = {"attention_window": [32, 32, 32]} if family == "longformer" else {"num_random_blocks": 2}
    assert ready(rules=make_ours(family, **wider).rules) is not first


def test_layers_of_one_window_share_a_pattern(make_ours: MakeOurs) -> None:
    model = make_ours("longformer", attention_window=[8, 16, 8])
    layers = prepare(
        collated("longformer", [60])["attention_mask"], model.rules, None, dtype=torch.float32, dropout=0.0
    ).layers
    assert layers[0].pattern is layers[2].pattern
    assert [layer.pattern.window_tokens for layer in layers] == [4, 8, 4]


# ----------------------------------------------------------------------------------- bad input


def test_ids_or_embeddings(family: str, make_ours: MakeOurs) -> None:
    model = make_ours(family)
    ids, embeds = torch.ones(1, 4).long(), torch.ones(1, 4, 32)
    for given in ({}, {"input_ids": ids, "inputs_embeds": embeds}):
        with pytest.raises(ValueError, match="give either input_ids or inputs_embeds"):
            model(**given)


@pytest.mark.parametrize("shape", [(2, 19), (1, 20), (40,), (2, 20, 1)])
@pytest.mark.parametrize("name", ["attention_mask", "global_attention_mask", "document_ids"])
def test_masks_of_another_shape(name: str, shape: tuple[int, ...], make_ours: MakeOurs) -> None:
    ids = torch.ones(2, 20, dtype=torch.int64)
    says = r"document_ids are torch.int64 of shape" if name == "document_ids" else rf"the {name} is \("
    with pytest.raises(ValueError, match=says):
        make_ours("longformer")(ids, **{name: torch.ones(shape, dtype=torch.int64)})


def test_masks_of_another_shape_for_a_bigbird(make_ours: MakeOurs) -> None:
    ids = torch.ones(2, 20, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"the attention_mask is \(2, 19\), the batch is \(2, 20\)"):
        make_ours("big_bird")(ids, attention_mask=torch.ones(2, 19))


@pytest.mark.parametrize("name", ["attention_mask", "global_attention_mask"])
def test_float_masks_are_refused(name: str, make_ours: MakeOurs) -> None:
    """Those that are added to scores mean the opposite: 0 for what is seen."""
    ids = torch.ones(2, 20, dtype=torch.int64)
    with pytest.raises(ValueError, match=f"the {name} is torch.float32; give 1 and 0, or True and False"):
        make_ours("longformer")(ids, **{name: torch.zeros(2, 20)})
    for dtype in (torch.bool, torch.int64, torch.uint8):
        make_ours("longformer")(ids, **{name: torch.ones(2, 20, dtype=dtype)})


def test_document_numbers_are_integers(family: str, make_ours: MakeOurs) -> None:
    ids = torch.ones(2, 20, dtype=torch.int64)
    for dtype in (torch.float32, torch.bool):
        with pytest.raises(ValueError, match=f"document_ids are {dtype} .*; give integers of shape"):
            make_ours(family)(ids, document_ids=torch.ones(2, 20, dtype=dtype))
    make_ours(family)(ids, document_ids=torch.ones(2, 20, dtype=torch.int32))


def test_a_pattern_of_another_shape(family: str, make_ours: MakeOurs) -> None:
    pattern = batch_pattern(None, None, None, (2, 19), CPU)
    with pytest.raises(ValueError, match=r"the pattern given as attention_mask is \(2, 19\), the batch is"):
        make_ours(family)(torch.ones(2, 20, dtype=torch.int64), pattern)


def test_a_pattern_and_masks(family: str, make_ours: MakeOurs) -> None:
    pattern, ids = batch_pattern(None, None, None, (2, 20), CPU), torch.ones(2, 20, dtype=torch.int64)
    names = ["document_ids"] + ["global_attention_mask"] * (family == "longformer")
    for name in names:
        with pytest.raises(ValueError, match="attention_mask is a pattern: global tokens and documents are"):
            make_ours(family)(ids, pattern, **{name: torch.zeros_like(ids)})


def test_attentions_are_refused(family: str, make_ours: MakeOurs, make_batch: MakeBatch) -> None:
    model = make_ours(family)
    with pytest.raises(ValueError, match="attention weights are never formed; load with kernel='stock'"):
        model(**make_batch(5), output_attentions=True)
    model.config.output_attentions = True
    with pytest.raises(ValueError, match="kernel='stock'"):
        model(**make_batch(5))
    model(**make_batch(5), output_attentions=False)


def test_too_long_a_batch_is_refused_with_numbers(
    family: str, make_ours: MakeOurs, make_batch: MakeBatch
) -> None:
    model = make_ours(family)
    model(**make_batch(128))
    with pytest.raises(ValueError, match="129 tokens and the model 128 positions"):
        model(**make_batch(129))


def test_a_kernel_that_cannot_says_why(family: str, make_ours: MakeOurs, make_batch: MakeBatch) -> None:
    model = make_ours(family)
    picky = Kernel("picky", reference.attend, lambda *_, **__: "it is Sunday", reference.prepare)
    base = model.base_model
    base.kernel = picky
    with pytest.raises(LongbioError, match="'picky' can't run here: it is Sunday; kernel='auto' picks"):
        model(**make_batch(9))


def test_kernels_are_asked_about_what_they_will_get(
    family: str, make_ours: MakeOurs, make_batch: MakeBatch
) -> None:
    """The dtype of autocast, and dropout where the model trains."""
    asked = []

    def supports(_: Any, *, device: torch.device, dtype: torch.dtype, dropout: float) -> None:
        asked.append((device, dtype, dropout))

    model = make_ours(family, attention_probs_dropout_prob=0.1, hidden_dropout_prob=0.2)
    model.kernel = Kernel("curious", reference.attend, supports, reference.prepare)
    model(**make_batch(9))
    assert set(asked) == {(CPU, torch.float32, 0.0)}
    asked.clear()
    model.train()(**make_batch(9))
    assert set(asked) == {(CPU, torch.float32, 0.1)}
    asked.clear()
    with torch.autocast("cpu", torch.bfloat16):
        model.eval()(**make_batch(9))
    assert set(asked) == {(CPU, torch.bfloat16, 0.0)}
    asked.clear()
    model.bfloat16()(**make_batch(9))
    assert set(asked) == {(CPU, torch.bfloat16, 0.0)}
