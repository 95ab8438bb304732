#!/usr/bin/env python3
"""How fast entities are found in notes of mixed length, longbio beside what one would write otherwise.

    python scripts/benchmark_prediction.py --out runs/benchmarks

The same notes, from 200 to 12,000 tokens, are read from text to tags in float32 by three arms, which
take turns:

`longbio`          a Longformer of 4,096 tokens; rows of like length share a pass of `--batch-tokens`;
                   windows merged, tags decoded, mentions with offsets: `prediction.predictor.predict`.
`stock Longformer` Hugging Face's own attention, the same weights and windows, `--rows` rows a pass in
                   the order of the file, padded to the longest; the likeliest tag of each token.
`stock short`      the short source by plain transformers on chunks of 512 tokens that overlap by half,
                   sorted by length, `--rows` chunks a pass, padded; the likeliest tag of each token,
                   chunks not merged.

First the logits of the first two are compared; where they differ there are no figures. Heads are
random: how fast they are doesn't depend on it. What counts is tokens of text (not of windows) a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import benchmarking as b
import numpy as np
import torch
import transformers

from longbio.benchmarking.quickstart import minilm
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.corpus.records import Document
from longbio.corpus.synthetic import ENTITY_TYPES, synthesize
from longbio.encoders.input_format import InputFormat
from longbio.encoders.loading import load, load_tokenizer
from longbio.prediction.predictor import outputs_of, predict
from longbio.tasks.ner import Entities

TASK = Entities(types=tuple(sorted(ENTITY_TYPES)))
MOST_DIFFERENT = 1e-3
"""Of logits, of the largest there is."""


def notes(count: int, shortest: int, longest: int, tokenizer: Any) -> tuple[list[Document], int]:
    """Synthetic notes whose lengths in tokens are spread evenly over a logarithmic scale, in random order,
    and how many tokens they have together."""
    lengths = np.geomspace(shortest, longest, count).round().astype(int)
    lengths = np.random.default_rng(0).permutation(lengths)
    every = synthesize(2)
    while sum(len(d.text) for d in every) < 10 * longest:
        every = synthesize(2 * len(every))
    text = "\n\n".join(document.text for document in every)
    ends = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False, verbose=False)
    made, begin = [], 0
    for number, length in enumerate(lengths.tolist()):
        if begin + length > len(ends["offset_mapping"]):
            begin = 0
        start, end = ends["offset_mapping"][begin][0], ends["offset_mapping"][begin + length - 1][1]
        made.append(Document(str(number), text[start:end]))
        begin += length
    # Anew: a note that begins within a word may have one more or less.
    return made, sum(
        len(tokenizer(d.text, add_special_tokens=False, verbose=False)["input_ids"]) for d in made
    )


def in_file_order(rows: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


@torch.no_grad()
def stock_long(
    model: Any, inputs: InputFormat, documents: Sequence[Document], rows_of_batch: int
) -> list[torch.Tensor]:
    """Logits of each window, in order."""
    rows = [row for document in documents for row in TASK.encode(document, inputs).rows]
    found = []
    for batch in in_file_order(rows, rows_of_batch):
        made = {name: tensor.to(model.device) for name, tensor in inputs.batch(batch).items()}
        logits = model(**made).logits
        found += [logits[n, : len(row.ids)] for n, row in enumerate(batch)]
    return found


@torch.no_grad()
def stock_short(
    model: Any, tokenizer: Any, documents: Sequence[Document], chunk: int, rows_of_batch: int
) -> list[torch.Tensor]:
    """The likeliest tag of each token of each chunk, the longest first."""
    encoded = tokenizer(
        [document.text for document in documents],
        max_length=chunk,
        stride=(chunk - 2) // 2,
        truncation=True,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    rows = sorted(encoded["input_ids"], key=len, reverse=True)
    found = []
    for batch in in_file_order(rows, rows_of_batch):
        padded = tokenizer.pad({"input_ids": batch}, return_tensors="pt").to(model.device)
        found += model(**padded).logits.argmax(-1).unbind()
    return found


def refuse_other_logits(
    ours: Any, stock: Any, inputs: InputFormat, documents: Sequence[Document], arguments: argparse.Namespace
) -> float:
    """The largest difference of logits, of the largest logit; exits where it is too large."""
    rows = [row for document in documents for row in TASK.encode(document, inputs).rows]
    found = outputs_of(ours, inputs, rows, batch_tokens=arguments.batch_tokens)
    wanted = [each.cpu().numpy() for each in stock_long(stock, inputs, documents, arguments.rows)]
    largest = max(float(np.abs(each).max()) for each in wanted)
    pairs = zip(found, wanted, strict=True)
    difference = max(float(np.abs(one - other).max()) for one, other in pairs) / largest
    if not difference < MOST_DIFFERENT:
        sys.exit(f"error: logits differ by {difference:.1e} of the largest; no figures")
    return difference


def long_folder(short: Path, arguments: argparse.Namespace, home: Path) -> Path:
    if arguments.long is not None:
        return Path(arguments.long)
    settings = ConversionSettings(max_tokens=arguments.max_tokens, window=arguments.window)
    convert(short, home / "long", settings=settings, verification=False)
    return home / "long"


def measure(arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    device = arguments.device
    short_folder = arguments.model or minilm()
    folder = long_folder(short_folder, arguments, home)
    given = {"head_seed": 0, "dtype": torch.float32, **TASK.config_changes()}
    ours = load(folder, "ner", "auto", **given).to(device)
    stock = load(folder, "ner", "stock", **given).to(device)
    inputs = InputFormat.of(ours.config, load_tokenizer(folder))
    short = load(short_folder, "ner", **given).to(device)
    tokenizer = transformers.AutoTokenizer.from_pretrained(short_folder)
    documents, tokens = notes(arguments.notes, *arguments.lengths, load_tokenizer(short_folder))

    difference = refuse_other_logits(ours, stock, inputs, documents, arguments)
    runs: dict[str, Callable[[], object]] = {
        "longbio": lambda: list(predict(ours, inputs, TASK, documents, batch_tokens=arguments.batch_tokens)),
        "stock Longformer": lambda: [
            each.argmax(-1) for each in stock_long(stock, inputs, documents, arguments.rows)
        ],
        "stock short": lambda: stock_short(short, tokenizer, documents, arguments.chunk, arguments.rows),
    }
    seconds = b.in_turns(runs, arguments.rounds, device, warm_up=arguments.warm_up)
    return {
        "machine": b.machine(device),
        "notes": len(documents),
        "tokens": tokens,
        "lengths": arguments.lengths,
        "difference of logits": difference,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", type=Path, help="the short source; MiniLM by default")
    parser.add_argument("--long", type=Path, help="made of it; converted here by default")
    parser.add_argument("--max-tokens", type=int, default=b.TOKENS, help="of the long model made here")
    parser.add_argument("--window", type=int, default=b.WINDOW, help="of the long model made here")
    parser.add_argument("--chunk", type=int, default=b.CHUNK, help="tokens of the short model's chunks")
    parser.add_argument("--notes", type=int, default=24)
    parser.add_argument("--lengths", type=int, nargs=2, default=[200, 12_000], help="shortest and longest")
    parser.add_argument("--rows", type=int, default=8, help="of a pass of the stock models")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="of a pass of longbio")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=1, help="rounds that don't count")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        result = measure(arguments, Path(home))
    found = b.medians(result["seconds"])
    ours = found["longbio"]
    goals = [
        b.Goal("prediction: of stock Longformer, padded", found["stock Longformer"] / ours, 3.0),
        b.Goal("prediction: of stock short on chunks", found["stock short"] / ours, 1.0),
    ]
    print(", ".join(f"{name} {value}" for name, value in result["machine"].items()))
    low, high = arguments.lengths
    print(f"{result['notes']} notes of {low:,} to {high:,} tokens, {result['tokens']:,} together, float32")
    print(f"logits differ by {result['difference of logits']:.1e} of the largest\n")
    rows = [[name, f"{result['tokens'] / s:,.0f}", f"{s / ours:.2f}×"] for name, s in found.items()]
    print(b.table(["", "tokens of text a second", "time, of longbio's"], rows))
    print("\n" + b.table(["goal", "measured", "wanted", "reached"], [goal.row() for goal in goals]))
    result["goals"] = [vars(goal) | {"reached": goal.reached} for goal in goals]
    b.save(arguments.out, "prediction", result)


if __name__ == "__main__":
    main()
