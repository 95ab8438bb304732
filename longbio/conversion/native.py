"""The proof that a folder is native: another Python, plain transformers, no longbio.

The global projections of a fresh Longformer equal the local ones, so exchanging the two would
change nothing. They are moved by the same noise on both sides before outputs are compared.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from longbio.errors import LongbioError

NOISE = 0.05

SCRIPT = """
import sys, zlib
sys.modules["longbio"] = None
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, logging
logging.set_verbosity_error(); logging.disable_progress_bar()
folder, inputs, outputs, noise = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
torch.set_num_threads(int(sys.argv[5]))
batch = load_file(inputs)
at = batch.pop("logits_at")
results = {}
for name, kind in (("encoder", AutoModel), ("head", AutoModelForMaskedLM)):
    model, report = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if report["missing_keys"]:
        sys.exit(f"{kind.__name__} misses {sorted(report['missing_keys'])[0]}")
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "_global." in key:
                key = key[key.index("layer."):]
                draw = torch.Generator().manual_seed(zlib.crc32(key.encode()))
                weight += noise * torch.randn(weight.shape, generator=draw)
        output = model.eval()(**batch)
    if name == "encoder":
        results["hidden"], results["pooled"] = output.last_hidden_state, output.pooler_output
    else:
        results["logits"] = output.logits[:, at].contiguous()
save_file({key: value.contiguous() for key, value in results.items()}, outputs)
"""


def move_global_projections(model: nn.Module) -> None:
    """Add to every `*_global` weight the noise that the other side adds too."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "_global." in name:
                key = name[name.index("layer.") :]
                draw = torch.Generator().manual_seed(zlib.crc32(key.encode()))
                weight.add_(torch.randn(weight.shape, generator=draw), alpha=NOISE)


def plain_transformers(folder: Path, batch: dict[str, Tensor], logits_at: Tensor) -> dict[str, Tensor]:
    """What plain transformers computes from a native checkpoint, in a process that can't import longbio.

    Args:
        batch: inputs of the encoder.
        logits_at: (P,) positions whose masked-LM logits are wanted.

    Returns:
        `hidden` (B, T, hidden size), `pooled` (B, hidden size), `logits` (B, P, vocabulary).

    Raises:
        LongbioError: the folder doesn't load, or lacks weights.
    """
    with tempfile.TemporaryDirectory() as work:
        inputs, outputs = Path(work, "inputs.safetensors"), Path(work, "outputs.safetensors")
        tensors = {name: tensor.contiguous().clone() for name, tensor in batch.items()}
        save_file({**tensors, "logits_at": logits_at}, inputs)
        arguments = [folder, inputs, outputs, NOISE, torch.get_num_threads()]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=work,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LongbioError(f"plain transformers can't load it ({reason})", where=folder)
        return load_file(outputs)
