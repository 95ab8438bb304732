"""Whether this machine can learn as it is asked to: for asking before anything long is begun."""

from __future__ import annotations

import importlib.util

import torch
from transformers.utils.import_utils import is_torch_bf16_gpu_available

from longbio.attention.kernels import KERNELS
from longbio.encoders.families import is_long
from longbio.encoders.loading import cannot_run, ready_kernel
from longbio.errors import LongbioError
from longbio.training.processes import processes, several_without_gpu
from longbio.training.settings import Optimizer, Precision, TrainingSettings


def refuse_precision(precision: Precision) -> None:
    """Raises LongbioError for bfloat16 where no GPU has it."""
    if precision == "bfloat16" and not several_without_gpu() and not is_torch_bf16_gpu_available():
        raise LongbioError(
            "bfloat16 needs a GPU that has it, and there is none here",
            where="machine.precision",
            remedy="set machine.precision=float32",
        )


def refuse_kernel(kernel: str, precision: Precision, model_type: str, dropout: float) -> None:
    """Raises LongbioError where there is no such kernel, or it can't learn here, with its reason.

    Args:
        kernel: `auto`, `stock` or a name.
        precision: of the steps.
        model_type: of the model's config: short families have no kernel.
        dropout: of attention weights.
    """
    if kernel == "stock" or ready_kernel(kernel) is None or not is_long(model_type):
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    with torch.enable_grad():
        reason = KERNELS[kernel].supports(None, device=device, dtype=dtype, dropout=dropout)
    if reason is not None:
        raise cannot_run(kernel, reason)


def refuse_settings(settings: TrainingSettings) -> None:
    """Raises LongbioError where the precision or the optimizer isn't there, or the batch can't be divided
    among the processes."""
    refuse_precision(settings.machine.precision)
    settings.passes(processes().num_processes)
    refuse_optimizer(settings.learning.optimizer)


def refuse_optimizer(optimizer: Optimizer) -> None:
    """Raises LongbioError for an optimizer that isn't installed."""
    if optimizer == "stable-adamw" and importlib.util.find_spec("optimi") is None:
        raise LongbioError(
            "stable-adamw isn't installed", where="optimizer", remedy="pip install torch-optimi"
        )
