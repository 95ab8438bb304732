#!/usr/bin/env python3
"""How many tokens of real text a second pre-training reads, beside what a user would otherwise run.

    python scripts/benchmark_pretraining.py --texts ../shared/data/mlm/validation.jsonl.gz

The same notes for both arms: pieces of real articles, of log-normal length (mean 1,200 tokens, to
4,096). `stock` is transformers' Trainer with its Longformer, `DataCollatorForLanguageModeling` and
padded batches; `longbio` packs them. Two layers of BERT-base width, random weights, AdamW,
dropout 0.1, token masking at 15%. On CUDA: `--layers 12 --rows 8 --precision bfloat16`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import benchmarking as b
import numpy as np
import transformers
from transformers import AutoTokenizer, DataCollatorForLanguageModeling

from longbio.corpus.texts import read_texts
from longbio.encoders import longformer
from longbio.masked_lm.head import summed_loss
from longbio.masked_lm.masking import Masking, Vocabulary
from longbio.pretraining.masked_samples import Collator, MaskedSamples, Part
from longbio.pretraining.packing import FRAME, Frame, plan
from longbio.pretraining.shards import Shard, TokenizedCorpus, tokenize_texts
from longbio.training.settings import Learning, Machine, TrainingSettings
from longbio.training.trainer import train

WARM_UP = 2


class Clock(transformers.TrainerCallback):
    """Seconds of every step, the making of its batch included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        b.synchronise("cuda" if b.torch.cuda.is_available() else "cpu")
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def notes(file: Path, tokenizer: Any, count: int) -> TokenizedCorpus:
    """Pieces of articles, of the lengths of notes."""
    whole = TokenizedCorpus([tokenize_texts(read_texts([file]), tokenizer)])
    draw = np.random.default_rng(0)
    spread = 0.8
    wanted = np.exp(draw.normal(np.log(1200) - spread**2 / 2, spread, size=count)).astype(int).clip(16, 4094)
    pieces = []
    for number, length in enumerate(wanted):
        article = number % len(whole)
        pieces.append(whole.piece(article, 0, min(int(length), int(whole.lengths[article]))))
    ids, starts = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    lengths = np.array([len(piece[0]) for piece in pieces])
    return TokenizedCorpus([Shard(ids, starts, lengths, np.arange(count, dtype=np.uint64))])


def model(arguments: argparse.Namespace) -> Any:
    made = transformers.LongformerForMaskedLM(b.config("longformer", arguments.layers, b.TOKENS, 0.1))
    return made


def ours(arguments: argparse.Namespace, corpus: TokenizedCorpus, tokenizer: Any) -> list[float]:
    """Tokens of text a second, of each step."""
    packing = plan(corpus.lengths, np.arange(len(corpus)), b.TOKENS)
    steps = arguments.steps + WARM_UP
    settings = TrainingSettings(
        steps=steps,
        learning=Learning(learning_rate=1e-5),
        batch=arguments.rows,
        machine=Machine(precision=arguments.precision, save_steps=10**6),
    )
    frame = Frame.of(tokenizer)
    samples = MaskedSamples(
        [Part(corpus, packing)],
        frame,
        Vocabulary.of(tokenizer),
        Masking(),
        count=steps * arguments.rows,
        seed=0,
    )
    clock, native = Clock(), model(arguments)
    longformer.install(native, None)
    with tempfile.TemporaryDirectory() as folder:
        collate = Collator("longformer", frame.padding)
        train(native, samples, collate, summed_loss, settings, Path(folder), callbacks=[clock])
    read = [
        sum(int(samples[step * arguments.rows + row].packed.ordinary.sum()) for row in range(arguments.rows))
        for step in range(steps)
    ]
    return [tokens / seconds for tokens, seconds in zip(read, clock.seconds, strict=True)][WARM_UP:]


def stock(arguments: argparse.Namespace, corpus: TokenizedCorpus, tokenizer: Any) -> list[float]:
    """Tokens of text a second, of each step."""
    steps = arguments.steps + WARM_UP
    examples = [
        {"input_ids": [tokenizer.cls_token_id, *corpus.document(n)[0].tolist(), tokenizer.sep_token_id]}
        for n in range(len(corpus))
    ]
    rows = max(1, round(arguments.rows * b.TOKENS / 1200))
    read: list[int] = []
    collate = DataCollatorForLanguageModeling(tokenizer, seed=0)

    def counted(batch: list[dict[str, list[int]]]) -> Any:
        read.append(sum(len(example["input_ids"]) - FRAME for example in batch))
        return collate(batch)

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=rows,
            learning_rate=1e-5,
            bf16=arguments.precision == "bfloat16",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_steps=1000,
        )
        trainer = transformers.Trainer(
            model(arguments), settings, data_collator=counted, train_dataset=examples, callbacks=[clock]
        )
        trainer.train()
    return [tokens / seconds for tokens, seconds in zip(read, clock.seconds, strict=False)][WARM_UP:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--tokenizer", help="MiniLM's by default")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1, help="sequences of 4,096 tokens a step")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--parity-seen", action="store_true", help=b.PARITY_SEEN)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    device = "cuda" if b.torch.cuda.is_available() else "cpu"
    b.refuse_red_parity(device, arguments.parity_seen)
    from longbio.benchmarking.quickstart import minilm

    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer or minilm())
    corpus = notes(arguments.texts, tokenizer, count=400)
    speeds: dict[str, list[float]] = {"longbio": [], "stock": []}
    # In turns, so that what else the machine does hits both.
    for _ in range(arguments.rounds):
        speeds["longbio"] += ours(arguments, corpus, tokenizer)
        speeds["stock"] += stock(arguments, corpus, tokenizer)
    found = {name: statistics.median(values) for name, values in speeds.items()}
    wanted = 3.0 if arguments.precision == "float32" else 4.0
    goals = [
        b.Goal(f"pre-training, {arguments.precision}, of stock", found["longbio"] / found["stock"], wanted)
    ]
    if device == "cuda":
        rate = b.training_flops(arguments.layers, 1) * found["longbio"] / 1e12 / b.matrix_rate(device)
        goals.append(b.Goal("share of the measured matrix rate", rate, 0.35))
    result = {
        "machine": b.machine(device),
        "tokens_a_second": found,
        "goals": [vars(goal) for goal in goals],
    }
    print("\n" + ", ".join(f"{name} {value}" for name, value in b.machine(device).items()) + "\n")
    print(
        b.table(["", "tokens of text a second"], [[name, f"{value:,.0f}"] for name, value in found.items()])
    )
    print("\n" + b.table(["goal", "measured", "wanted", "reached"], [goal.row() for goal in goals]))
    b.save(arguments.out, f"pretraining-{arguments.precision}", result)


if __name__ == "__main__":
    main()
