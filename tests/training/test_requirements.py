"""Whether a machine can learn as it is asked to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from longbio.attention import flex, reference
from longbio.attention.kernels import KERNELS, Kernel
from longbio.encoders.loading import ready_kernel
from longbio.errors import LongbioError
from longbio.training.requirements import refuse_kernel, refuse_precision, refuse_settings
from tests.flat_settings import settings_of


def test_bfloat16_needs_a_gpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longbio.training.requirements.is_torch_bf16_gpu_available", lambda: False)
    refuse_precision("float32")
    with pytest.raises(LongbioError, match=r"machine.precision: bfloat16 needs a GPU .*; set"):
        refuse_precision("bfloat16")
    with pytest.raises(LongbioError, match="bfloat16 needs"):
        refuse_settings(settings_of(steps=1, learning_rate=1e-3, precision="bfloat16"))
    # Processes without a GPU learn in it.
    monkeypatch.setattr("longbio.training.requirements.several_without_gpu", lambda: True)
    refuse_precision("bfloat16")


def test_a_kernel_is_asked_about_learning_with_the_models_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    def supports(pattern, *, device, dtype, dropout):
        return "it has no dropout" if dropout else None

    picky = Kernel("picky", reference.attend, supports, reference.prepare)
    monkeypatch.setitem(KERNELS, "picky", picky)
    refuse_kernel("picky", "float32", "longformer", 0.0)
    with pytest.raises(LongbioError, match="'picky' can't run here: it has no dropout; kernel='auto'"):
        refuse_kernel("picky", "float32", "longformer", 0.1)
    # A short model has no kernel.
    refuse_kernel("picky", "float32", "bert", 0.1)
    refuse_kernel("auto", "float32", "longformer", 0.1)
    refuse_kernel("stock", "float32", "longformer", 0.1)
    with pytest.raises(LongbioError, match="no kernel 'foo'"):
        refuse_kernel("foo", "float32", "bert", 0.0)


def test_a_kernel_without_a_backward_pass_is_loaded_and_does_not_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FlexAttention on a CPU is for inference."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with torch.no_grad():
        reason = KERNELS["flex"].supports(None, device=torch.device("cpu"), dtype=torch.bfloat16, dropout=0.0)
    if reason is None:
        assert ready_kernel("flex") is KERNELS["flex"]
    monkeypatch.setitem(KERNELS, "flex", replace(KERNELS["flex"], supports=only_for_inference))
    with pytest.raises(LongbioError, match="no backward pass on a CPU"):
        refuse_kernel("flex", "float32", "longformer", 0.0)


def only_for_inference(pattern, *, device, dtype, dropout):
    return flex.NO_BACKWARD if torch.is_grad_enabled() else None
