#!/usr/bin/env python3
"""How fast contexts go through the encoder for new rows, beside the bare encoder on the same tokens.

    python scripts/benchmark_states.py --texts ../shared/data/mlm/validation.jsonl.gz \\
        --terms ../shared/data/vocab/exbert_vocab.txt

`bare` calls the encoder on the same batches, all of its layers up to the deepest one wanted, and
throws away what comes out; `longbio` is `span_states`, padding, hidden states and means included.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import benchmarking as b
import torch

from longbio.benchmarking.quickstart import minilm
from longbio.corpus.texts import Corpus
from longbio.encoders.batches import length_batches, mask_of, pad
from longbio.encoders.loading import load, load_tokenizer
from longbio.vocabulary.contexts import Sought, find_contexts
from longbio.vocabulary.encoded_contexts import TOKENS_AT_ONCE, encode, span_states
from longbio.vocabulary.injection import inject
from longbio.vocabulary.mine import read_vocabulary
from longbio.vocabulary.whole_words import Folding

LAYERS = (0, 1, 2, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--terms", type=Path, required=True)
    parser.add_argument("--model", help="MiniLM by default")
    parser.add_argument("--count", type=int, default=2000, help="contexts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = Path(arguments.model or minilm())
    tokenizer = load_tokenizer(folder)
    words = [word for word in read_vocabulary(arguments.terms) if re.fullmatch(r"\w{3,}", word)]
    injected = inject(tokenizer, words)
    found = find_contexts(Corpus((arguments.texts,)), Sought(tuple(words), Folding(case=True), per_word=2))
    by_piece = {piece.id: found.get(piece.piece, ()) for piece in injected.pieces}
    by_id = encode(by_piece, tokenizer, injected.tokenizer, max_tokens=64, most=2)
    encoded = [each for of_piece in by_id.values() for each in of_piece][: arguments.count]
    model = load(folder).to(device)
    model.encoder.layer = model.encoder.layer[: max(LAYERS)]
    batches = [
        (pad(rows, tokenizer.pad_token_id).to(device), mask_of(rows).to(device))
        for numbers in length_batches([len(each.ids) for each in encoded], TOKENS_AT_ONCE)
        for rows in [[encoded[n].ids for n in numbers]]
    ]

    @torch.inference_mode()
    def bare() -> None:
        for ids_BT, mask_BT in batches:
            model(input_ids=ids_BT, attention_mask=mask_BT)

    taken = b.medians(
        b.in_turns(
            {"longbio": lambda: span_states(model, encoded, LAYERS, tokenizer.pad_token_id), "bare": bare},
            arguments.rounds,
            device,
            warm_up=1,
        )
    )
    tokens = sum(len(each.ids) for each in encoded)
    goal = b.Goal("contexts: speed of the bare encoder", taken["bare"] / taken["longbio"], 0.8)
    print(f"{len(encoded):,} contexts, {tokens:,} tokens, layers up to {max(LAYERS)}")
    rows = [[name, f"{tokens / seconds:,.0f}"] for name, seconds in taken.items()]
    print(b.table(["", "tokens a second"], rows))
    print("\n" + b.table(["goal", "measured", "wanted", "reached"], [goal.row()]))
    b.save(arguments.out, "states", {"machine": b.machine(device), "seconds": taken})


if __name__ == "__main__":
    main()
