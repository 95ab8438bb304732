#!/usr/bin/env python3
"""How fast whole models read: longbio beside stock classes, dense attention and the limit.

    python scripts/benchmark_attention.py --out runs/benchmarks

Two layers of BERT-base width, random weights, 4,096 tokens in one row. Parity is checked first.
On CUDA: `--device cuda --rows 8 --layers 12`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import benchmarking as b
import torch

from longbio.attention.kernels import choose
from longbio.attention.pattern import sliding_window

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def forward(arguments: argparse.Namespace, dtype: str, names: list[str] | None = None) -> dict[str, float]:
    """Median seconds of a forward pass of every arm."""
    runs = {}
    for arm in b.ARMS:
        if names is not None and arm.name not in names:
            continue
        model = arm.model("features", arguments.layers).eval().to(arguments.device, DTYPES[dtype])
        runs[arm.name] = _reader(model, arm.inputs(arguments.device, arguments.rows))
    return b.medians(b.in_turns(runs, arguments.rounds, arguments.device))


def _reader(model: Any, inputs: dict[str, torch.Tensor]) -> Any:
    def run() -> None:
        with torch.no_grad():
            model(**inputs)

    return run


def per_token(arguments: argparse.Namespace) -> dict[str, dict[int, list[float]]]:
    """Microseconds and KiB for each token, forward, at 4,096 to 32,768 tokens."""
    found: dict[str, dict[int, list[float]]] = {}
    for name in ("longbio Longformer", "longbio BigBird", "limit: no attention core"):
        found[name] = {}
        for tokens in (4096, 8192, 16384, 32768):
            seconds, grown = b.in_new_process(
                __file__,
                "--one",
                name,
                "--tokens",
                str(tokens),
                "--device",
                arguments.device,
                "--layers",
                str(arguments.layers),
            )
            found[name][tokens] = [1e6 * seconds / tokens, 1024 * grown / tokens]
    return found


def one(arguments: argparse.Namespace) -> None:
    """In a process of its own: seconds, and MiB by which memory grew while reading."""
    arm = next(arm for arm in b.ARMS if arm.name == arguments.one)
    model = arm.model("features", arguments.layers, arguments.tokens).eval().to(arguments.device)
    run = _reader(model, arm.inputs(arguments.device, tokens=arguments.tokens))
    b.forget_peak(arguments.device)
    before = b.peak_mib(arguments.device)
    run()
    grown = b.peak_mib(arguments.device) - before
    times = b.in_turns({"": run}, 5, arguments.device, warm_up=0)[""]
    print(json.dumps([statistics.median(times), grown]))


def windows(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of the kernel alone for windows of 512 and 128 tokens, the first token global."""
    draw = torch.Generator().manual_seed(0)
    shape = (arguments.rows, b.TOKENS, b.HEADS, b.WIDTH // b.HEADS)
    dtype = torch.bfloat16 if arguments.device.startswith("cuda") else torch.float32
    query, key, value = (
        torch.randn(shape, generator=draw).to(arguments.device, dtype).transpose(1, 2) for _ in range(3)
    )
    valid = torch.ones(arguments.rows, b.TOKENS, dtype=torch.bool)
    chosen = torch.zeros_like(valid)
    chosen[:, 0] = True
    runs = {}
    for window in (512, 128):
        pattern = sliding_window(valid, chosen, window_tokens=window // 2).to(arguments.device)
        kernel = choose(None, pattern, dtype=dtype)
        runs[f"window {window}"] = lambda pattern=pattern, kernel=kernel: kernel.attend(
            query, key, value, pattern
        )
    with torch.no_grad():
        return b.medians(b.in_turns(runs, 3 * arguments.rounds, arguments.device))


def mixed_lengths(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds for eight notes of log-normal length, mean 1,200, cut at 4,096, padded to the longest."""
    draw = torch.Generator().manual_seed(1)
    spread = 0.8
    drawn = torch.exp(torch.randn(8, generator=draw) * spread - spread**2 / 2) * 1200
    lengths = drawn.long().clamp(16, b.TOKENS)
    longest = int(lengths.max())
    print(
        f"  lengths {lengths.tolist()}, padding {1 - lengths.sum().item() / (8 * longest):.0%}",
        file=sys.stderr,
    )
    runs = {}
    for arm in b.ARMS:
        if arm.name not in ("longbio Longformer", "stock Longformer"):
            continue
        inputs = arm.inputs(arguments.device, rows=8, tokens=longest)
        real = (torch.arange(longest) < lengths[:, None]).long().to(arguments.device)
        model = arm.model("features", arguments.layers).eval().to(arguments.device)
        runs[arm.name] = _reader(model, inputs | {"attention_mask": real})
    return b.medians(b.in_turns(runs, max(2, arguments.rounds // 2), arguments.device))


def goals(result: dict[str, Any]) -> list[b.Goal]:
    """What is to be reached on two cores, and what was."""
    made = []
    for dtype, family, of_stock, of_limit in (
        ("float32", "Longformer", 2.1, 0.80),
        ("bfloat16", "Longformer", 2.5, 0.75),
        ("float32", "BigBird", 2.5, 0.75),
    ):
        found = result["forward"].get(dtype, {})
        stock, limit = b.COMPARED[f"longbio {family}"]
        if stock in found:
            ours = found[f"longbio {family}"]
            made.append(b.Goal(f"{family} forward, {dtype}, of stock", found[stock] / ours, of_stock))
            made.append(b.Goal(f"{family} forward, {dtype}, of the limit", found[limit] / ours, of_limit))
    for name, found in result.get("per token", {}).items():
        if name not in b.COMPARED:
            continue
        for place, what in enumerate(("time", "memory")):
            change = found[32768][place] / found[4096][place]
            made.append(b.Goal(f"{name}: {what} per token, 32K of 4K", change, 1.15, at_most=True))
    if "windows" in result:
        gain = result["windows"]["window 512"] / result["windows"]["window 128"]
        made.append(b.Goal("window 128 against 512, kernel alone", gain, 2.5))
    if "mixed lengths" in result:
        found = result["mixed lengths"]
        gain = found["stock Longformer"] / found["longbio Longformer"]
        made.append(b.Goal("notes of mixed length, of stock padded", gain, 2.0))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--only", choices=["forward", "bfloat16", "per token", "windows", "mixed lengths"])
    parser.add_argument("--parity-seen", action="store_true", help=b.PARITY_SEEN)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=int, default=b.TOKENS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments)
        return
    b.refuse_red_parity(arguments.device, arguments.parity_seen)

    def wanted(part: str) -> bool:
        return arguments.only in (None, part)

    result: dict[str, Any] = {"machine": b.machine(arguments.device), "forward": {}}
    if wanted("forward"):
        result["forward"]["float32"] = forward(arguments, "float32")
    if wanted("bfloat16"):
        names = ["longbio Longformer", "limit: no attention core", "stock Longformer"]
        result["forward"]["bfloat16"] = forward(arguments, "bfloat16", names)
    if wanted("windows"):
        result["windows"] = windows(arguments)
    if wanted("mixed lengths"):
        result["mixed lengths"] = mixed_lengths(arguments)
    if wanted("per token"):
        result["per token"] = per_token(arguments)

    print("\n" + ", ".join(f"{name} {value}" for name, value in result["machine"].items()))
    for dtype, found in result["forward"].items():
        print(f"\nForward, {arguments.layers} layers, {arguments.rows} × {b.TOKENS} tokens, {dtype}\n")
        print(b.times_table(found, b.COMPARED))
    for name, found in result.get("per token", {}).items():
        rows = [
            [f"{tokens:,}", f"{time:.1f} µs", f"{memory:.1f} KiB"] for tokens, (time, memory) in found.items()
        ]
        print(f"\n{name}, per token\n")
        print(b.table(["tokens", "time", "memory"], rows))
    reached = goals(result)
    print("\n" + b.table(["goal", "measured", "wanted", "reached"], [goal.row() for goal in reached]))
    result["goals"] = [vars(goal) | {"reached": goal.reached} for goal in reached]
    b.save(arguments.out, "attention", result)
    if result["forward"]:
        b.plot(
            arguments.out,
            "attention",
            {f"forward, {b.TOKENS:,} tokens, {dtype}": found for dtype, found in result["forward"].items()},
        )


if __name__ == "__main__":
    main()
