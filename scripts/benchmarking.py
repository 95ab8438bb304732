"""What the two benchmarks share: the models that are compared, the clock, tables and plots.

Arms are timed in turns, round after round, so that what else the machine does hits all of them;
what counts is the ratio of medians within one run.
"""

from __future__ import annotations

import gc
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
import transformers
from torch import Tensor

from longbio.attention.kernels import KERNELS, Kernel
from longbio.encoders import bigbird, longformer
from longbio.encoders.compiled import compile_layers

TOKENS, WINDOW, BLOCK, CHUNK = 4096, 512, 64, 512
VOCABULARY, WIDTH, HEADS, INNER = 30_522, 768, 12, 3072


class _Coreless(torch.autograd.Function):
    """Values pass, and all three inputs get a gradient: attention's place without attention."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return gradients[0], gradients[0], gradients[0]


def _coreless(query: Tensor, key: Tensor, value: Tensor, pattern: Any, *, dropout: float = 0.0) -> Tensor:
    result: Tensor = _Coreless.apply(query, key, value)
    return result


CORELESS = Kernel("coreless", _coreless, lambda pattern, **_: None, lambda pattern: None)
"""The limit: everything of a model but its attention core."""


def batch(family: str, device: str, rows: int = 1, tokens: int = TOKENS) -> dict[str, Tensor]:
    """Random ids; the first token of a Longformer is global."""
    draw = torch.Generator().manual_seed(0)
    made = {"input_ids": torch.randint(1000, VOCABULARY, (rows, tokens), generator=draw)}
    if family == "longformer":
        made["global_attention_mask"] = torch.zeros(rows, tokens, dtype=torch.long)
        made["global_attention_mask"][:, 0] = 1
    return {name: tensor.to(device) for name, tensor in made.items()}


def with_labels(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """15% of the tokens are predicted."""
    ids = inputs["input_ids"].cpu()
    masked = torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < 0.15
    labels = ids.masked_fill(~masked, -100)
    return inputs | {
        "input_ids": ids.masked_fill(masked, 103).to(inputs["input_ids"].device),
        "labels": labels.to(inputs["input_ids"].device),
    }


def config(family: str, layers: int, tokens: int, dropout: float) -> Any:
    """BERT-base width, `layers` layers."""
    shared = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "pad_token_id": 0,
    }
    bert = shared | {
        "intermediate_size": INNER,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "type_vocab_size": 2,
    }
    if family == "longformer":
        return transformers.LongformerConfig(
            **bert, attention_window=WINDOW, max_position_embeddings=tokens + 1
        )
    if family == "bigbird":
        return transformers.BigBirdConfig(
            **bert, block_size=BLOCK, num_random_blocks=3, max_position_embeddings=tokens, hidden_act="gelu"
        )
    if family == "bert":
        return transformers.BertConfig(**bert, max_position_embeddings=tokens, attn_implementation="sdpa")
    if family.startswith("modernbert"):
        # Its own inner size and windows; the vocabulary of the others.
        return transformers.ModernBertConfig(
            **shared,
            max_position_embeddings=tokens,
            attention_dropout=dropout,
            mlp_dropout=dropout,
            attn_implementation="flex_attention" if family.endswith("flex") else "sdpa",
        )
    raise ValueError(f"no family {family!r}")


@dataclass(frozen=True)
class Arm:
    """One model of the comparison.

    Args:
        name: what the table calls it.
        family: `longformer`, `bigbird`, `bert`, `modernbert` or `modernbert flex`.
        kernel: `stock`, `coreless`, `auto` or a name of `KERNELS`; families without a kernel
            are `stock`.
        chunk_tokens: read in pieces of this length instead of whole.
        compiled: what isn't attention is fused by torch's compiler.
    """

    name: str
    family: str
    kernel: str = "stock"
    chunk_tokens: int | None = None
    compiled: bool = False

    def model(self, task: str, layers: int, tokens: int = TOKENS, dropout: float = 0.0) -> Any:
        """A random model of this arm; `task` is `features` or `mlm`."""
        torch.manual_seed(0)
        kind = transformers.AutoModel if task == "features" else transformers.AutoModelForMaskedLM
        model = kind.from_config(config(self.family, layers, self.chunk_tokens or tokens, dropout))
        if self.kernel != "stock":
            kernel = {"auto": None, "coreless": CORELESS}.get(self.kernel, KERNELS.get(self.kernel))
            {"longformer": longformer.install, "bigbird": bigbird.install}[self.family](model, kernel)
        if self.compiled:
            compile_layers(model)
        return model

    def inputs(self, device: str, rows: int = 1, tokens: int = TOKENS) -> dict[str, Tensor]:
        """A batch of rows * tokens."""
        made = batch(self.family, device, rows, tokens)
        if self.chunk_tokens:
            made = {name: tensor.view(-1, self.chunk_tokens) for name, tensor in made.items()}
        if self.kernel == "coreless":
            made.pop("global_attention_mask", None)
        elif self.kernel != "stock" and "global_attention_mask" in made:
            # As our collators leave it: a pattern is made on the CPU.
            made["global_attention_mask"] = made["global_attention_mask"].cpu()
        return made


ARMS = [
    Arm("longbio Longformer", "longformer", "auto"),
    Arm("limit: no attention core", "longformer", "coreless"),
    Arm("stock Longformer", "longformer"),
    Arm("longbio BigBird", "bigbird", "auto"),
    Arm("limit: no core, BigBird", "bigbird", "coreless"),
    Arm("stock BigBird", "bigbird"),
    Arm("BERT, dense SDPA", "bert"),
    Arm("ModernBERT shape", "modernbert"),
    Arm("BERT on 512-token chunks", "bert", chunk_tokens=CHUNK),
]


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def in_turns(
    runs: dict[str, Callable[[], object]], rounds: int, device: str, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every run of every arm, the arms taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(warm_up + rounds):
        for name, run in runs.items():
            synchronise(device)
            begin = time.perf_counter()
            run()
            synchronise(device)
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - begin)
        print(f"  round {number + 1} of {warm_up + rounds}", file=sys.stderr, flush=True)
    gc.collect()
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in seconds.items()}


@dataclass(frozen=True)
class Goal:
    """A line of the table of what is to be reached: `value` against `wanted`."""

    what: str
    value: float
    wanted: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted

    def row(self) -> list[str]:
        sign = "≤" if self.at_most else "≥"
        return [self.what, f"{self.value:.2f}", f"{sign} {self.wanted:.2f}", "yes" if self.reached else "NO"]


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def times_table(found: dict[str, float], compared: dict[str, tuple[str, str]]) -> str:
    """Medians, and of those in `compared` the ratios to their stock and their limit."""
    rows = []
    for name, seconds in found.items():
        stock, limit = compared.get(name, ("", ""))
        rows.append(
            [
                name,
                f"{seconds:.3f} s",
                f"{found[stock] / seconds:.2f}×" if stock in found else "",
                f"{found[limit] / seconds:.0%}" if limit in found else "",
            ]
        )
    return table(["", "median", "of stock", "of the limit"], rows)


COMPARED = {
    "longbio Longformer": ("stock Longformer", "limit: no attention core"),
    "longbio BigBird": ("stock BigBird", "limit: no core, BigBird"),
}


def machine(device: str) -> dict[str, str]:
    """What the figures depend on."""
    names = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    cpu = next((line.split(":")[1].strip() for line in names.splitlines() if "model name" in line), "?")
    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else cpu,
        "threads": str(torch.get_num_threads()),
        "cpu capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


PARITY_SEEN = "check_kernels.py has just been green here: don't run it again"


def refuse_red_parity(device: str, seen: bool) -> None:
    """No speed is reported of kernels that compute something else."""
    if seen:
        return
    command = [sys.executable, str(ROOT / "scripts" / "check_kernels.py"), "--quick", "--device", device]
    if device == "cpu":
        # What is timed there; flex would compile every shape.
        command += ["--kernel", "blocked"]
    print("parity first:", " ".join(command[1:]), file=sys.stderr)
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        sys.exit("error: a kernel differs from the reference; no figures")


def peak_mib(device: str) -> float:
    """Memory at its highest since the start or `forget_peak`: the GPU's, or what is resident of this
    process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak(device: str) -> None:
    """Count the peak anew from what is resident now (Linux: proc(5), clear_refs)."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return
    Path("/proc/self/clear_refs").write_text("5")


def in_new_process(script: str, *arguments: str) -> Any:
    """What a fresh process of `script` prints as JSON."""
    command = [sys.executable, script, *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def save(out: Path, name: str, result: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(f"\nsaved {out / f'{name}.json'}")


def plot(out: Path, name: str, panels: dict[str, dict[str, float]]) -> None:
    """One panel of bars for each set of medians; without matplotlib, nothing."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("no plot: matplotlib isn't installed")
        return
    plt.switch_backend("agg")
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(7, 0.5 + sum(0.34 * len(p) + 0.9 for p in panels.values())),
        squeeze=False,
        height_ratios=[len(p) + 1.5 for p in panels.values()],
    )
    colours = {"longbio": "#1b6ca8", "limit": "#9a9a9a", "stock": "#c4553b"}
    for axis, (title, found) in zip(axes[:, 0], panels.items(), strict=True):
        names = list(found)[::-1]
        shades = [colours.get(label.split(":")[0].split()[0], "#d8b365") for label in names]
        bars = axis.barh(names, [found[label] for label in names], color=shades)
        axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axis.set_title(title, loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    axes[-1, 0].set_xlabel("seconds, median")
    figure.tight_layout()
    figure.savefig(out / f"{name}.png", dpi=130)
    print(f"saved {out / f'{name}.png'}")


def matrix_rate(device: str) -> float:
    """TFLOP/s of a large bfloat16 matrix product, measured here and now."""
    left, right = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = medians(in_turns({"": lambda: left @ right}, 20, device, warm_up=5))[""]
    return float(2 * 8192**3 / seconds / 1e12)


def training_flops(layers: int, tokens: int) -> float:
    """Of a Longformer's training on so many tokens: three times forward, projections and window
    only."""
    dense = 2 * tokens * (4 * WIDTH**2 + 2 * WIDTH * INNER)
    window = 2 * 2 * tokens * (WINDOW + 1) * WIDTH
    return float(3 * layers * (dense + window))
