#!/usr/bin/env python3
"""How fast and in how much memory whole models learn masked words, longbio beside the rest.

    python scripts/benchmark_training.py --out runs/benchmarks

A step is forward, backward and AdamW, over one row of 4,096 tokens of which 15% are predicted;
two layers of BERT-base width, random weights. Parity is checked first. On CUDA, batches as fit
and every kernel that can run: `--device cuda --layers 12 --rows 16`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import benchmarking as b
import torch

from longbio.attention.kernels import KERNELS

OURS = ["longbio Longformer", "limit: no attention core", "stock Longformer"]


def step(arm: b.Arm, arguments: argparse.Namespace, dtype: str, rows: int) -> Callable[[], None]:
    """One training step of an arm."""
    with torch.device(arguments.device):
        model = arm.model("mlm", arguments.layers, dropout=arguments.dropout).train().to(arguments.device)
    inputs = b.with_labels(arm.inputs(arguments.device, rows))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    device = arguments.device.split(":")[0]

    def run() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def arms(arguments: argparse.Namespace, dtype: str) -> list[b.Arm]:
    """Those that can run this: stock BigBird raises under autocast, kernels are CUDA's."""
    if not arguments.device.startswith("cuda"):
        chosen = [arm for arm in b.ARMS if dtype == "float32" or arm.name in OURS]
    else:
        chosen = [arm for arm in b.ARMS if not (dtype == "bfloat16" and arm.name == "stock BigBird")]
        chosen += [
            b.Arm("ModernBERT shape, flex", "modernbert flex"),
            b.Arm("longbio Longformer, compiled", "longformer", "auto", compiled=True),
            b.Arm("longbio BigBird, compiled", "bigbird", "auto", compiled=True),
            b.Arm("limit, compiled", "longformer", "coreless", compiled=True),
        ]
        half = torch.bfloat16 if dtype == "bfloat16" else torch.float32
        for name, kernel in KERNELS.items():
            where = {"device": torch.device(arguments.device), "dtype": half}
            if name != "reference" and kernel.supports(None, dropout=arguments.dropout, **where) is None:
                chosen.append(b.Arm(f"longbio Longformer, {name}", "longformer", name))
    return [arm for arm in chosen if arguments.arms is None or arm.name in arguments.arms]


def times(arguments: argparse.Namespace, dtype: str) -> dict[str, float]:
    """Median seconds of a step of every arm, of those that fit only with fewer rows the seconds of as
    many smaller steps; those that fail are named."""
    runs: dict[str, Callable[[], object]] = {}
    parts: dict[str, float] = {}
    for arm in arms(arguments, dtype):
        rows = arguments.rows
        while rows:
            try:
                run = step(arm, arguments, dtype, rows)
                run()
            except torch.OutOfMemoryError:
                rows //= 2
                print(f"  {arm.name}: out of memory, {rows} rows now", file=sys.stderr)
            except (ValueError, RuntimeError) as error:
                print(f"  {arm.name} can't: {str(error).splitlines()[0]}", file=sys.stderr)
                break
            else:
                runs[arm.name], parts[arm.name] = run, arguments.rows / rows
                break
    found = b.medians(b.in_turns(runs, arguments.rounds, arguments.device, warm_up=0))
    return {name: seconds * parts[name] for name, seconds in found.items()}


def memory(arguments: argparse.Namespace) -> dict[str, float]:
    """Peak memory in MiB of a process that takes two steps, of every arm."""
    found = {}
    for arm in arms(arguments, "float32"):
        found[arm.name] = b.in_new_process(
            __file__,
            "--one",
            arm.name,
            "--device",
            arguments.device,
            "--layers",
            str(arguments.layers),
            "--rows",
            str(arguments.rows),
            "--dropout",
            str(arguments.dropout),
        )
    return found


def one(arguments: argparse.Namespace) -> None:
    """In a process of its own: peak memory in MiB after two steps."""
    arm = next(arm for arm in arms(arguments, "float32") if arm.name == arguments.one)
    run = step(arm, arguments, "float32", arguments.rows)
    run()
    run()
    print(json.dumps(b.peak_mib(arguments.device)))


def goals(result: dict[str, Any], arguments: argparse.Namespace) -> list[b.Goal]:
    """What is to be reached, and what was."""
    made = []
    for dtype, family, of_stock, of_limit in (
        ("float32", "Longformer", 4.0, 0.80),
        ("bfloat16", "Longformer", 4.6, 0.78),
        ("float32", "BigBird", 3.0, 0.75),
    ):
        found = result["step"].get(dtype, {})
        stock, limit = b.COMPARED[f"longbio {family}"]
        ours = found.get(f"longbio {family}")
        if ours and stock in found:
            made.append(b.Goal(f"{family} MLM step, {dtype}, of stock", found[stock] / ours, of_stock))
        if ours and limit in found:
            made.append(b.Goal(f"{family} MLM step, {dtype}, of the limit", found[limit] / ours, of_limit))
    if {"longbio Longformer", "stock Longformer"} <= result.get("memory", {}).keys():
        share = result["memory"]["longbio Longformer"] / result["memory"]["stock Longformer"]
        made.append(b.Goal("Longformer MLM step, peak memory, of stock", share, 0.5, at_most=True))
    if "matrix rate" in result:
        found = result["step"]["bfloat16"]
        ours = min(seconds for name, seconds in found.items() if name.startswith("longbio Longformer"))
        flops = b.training_flops(arguments.layers, arguments.rows * b.TOKENS)
        share = flops / ours / 1e12 / result["matrix rate"]
        made.append(b.Goal("CUDA: share of the measured matrix rate", share, 0.35))
        if "stock Longformer" in found:
            made.append(b.Goal("CUDA: Longformer step, of stock", found["stock Longformer"] / ours, 8.0))
        modern = [seconds for name, seconds in found.items() if name.startswith("ModernBERT")]
        if modern:
            made.append(b.Goal("CUDA: of ModernBERT", min(modern) / ours, 1.0))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dropout", type=float, default=0.1, help="of hidden states and of attention")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--arms", nargs="*", help="only these")
    parser.add_argument("--only", choices=["float32", "bfloat16", "memory"])
    parser.add_argument("--parity-seen", action="store_true", help=b.PARITY_SEEN)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments)
        return
    b.refuse_red_parity(arguments.device, arguments.parity_seen)

    result: dict[str, Any] = {
        "machine": b.machine(arguments.device),
        "dropout": arguments.dropout,
        "step": {},
    }
    for dtype in ("float32", "bfloat16"):
        if arguments.only in (None, dtype):
            result["step"][dtype] = times(arguments, dtype)
    if arguments.only in (None, "memory"):
        result["memory"] = memory(arguments)
    if arguments.device.startswith("cuda") and "bfloat16" in result["step"]:
        result["matrix rate"] = b.matrix_rate(arguments.device)

    print("\n" + ", ".join(f"{name} {value}" for name, value in result["machine"].items()))
    tokens = arguments.rows * b.TOKENS
    for dtype, found in result["step"].items():
        what = f"{arguments.layers} layers, {tokens:,} tokens, dropout {arguments.dropout}"
        print(f"\nMLM step, {what}, {dtype}{' autocast' if dtype == 'bfloat16' else ''}\n")
        print(b.times_table(found, b.COMPARED))
        if arguments.device.startswith("cuda"):
            print(
                "\n" + b.table(["", "tokens a second"], [[n, f"{tokens / s:,.0f}"] for n, s in found.items()])
            )
    if "memory" in result:
        print("\nPeak memory, float32\n")
        print(b.table(["", "MiB"], [[name, f"{mib:,.0f}"] for name, mib in result["memory"].items()]))
    reached = goals(result, arguments)
    print("\n" + b.table(["goal", "measured", "wanted", "reached"], [goal.row() for goal in reached]))
    result["goals"] = [vars(goal) | {"reached": goal.reached} for goal in reached]
    b.save(arguments.out, "training", result)
    if result["step"]:
        b.plot(
            arguments.out,
            "training",
            {f"MLM step, {tokens:,} tokens, {dtype}": found for dtype, found in result["step"].items()},
        )


if __name__ == "__main__":
    main()
