#!/usr/bin/env python3
"""Draw who sees whom, from the patterns themselves: the pictures of docs/kernels.md.

python scripts/draw_patterns.py docs/images
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from longbio.attention.blocks import block_sparse
from longbio.attention.pattern import SparsePattern, sliding_window

TOKENS = 64
UNSEEN, NEAR, GLOBAL, RANDOM, ROW = range(5)
COLOURS = ["#f2f2f2", "#1b6ca8", "#c4553b", "#d8a72e", "#e3a796"]
NAMES = {
    NEAR: "window, or neighbouring block",
    GLOBAL: "global column, or end block",
    RANDOM: "random block",
    ROW: "row of a global token: dense, through projections of its own",
}


def kinds(pattern: SparsePattern) -> torch.Tensor:
    """(T, T): by which rule query (row) sees key (column)."""
    position = torch.arange(pattern.num_tokens)
    seen = pattern.bias(position, position)[0, 0].isfinite()
    apart = (position[:, None] - position).abs()
    made = torch.full(seen.shape, UNSEEN)
    if pattern.counts_BHNN is None:
        document = pattern.document_BT[0]
        together = (document[:, None] == document) & (document >= 0)
        made[seen] = GLOBAL
        made[seen & (apart <= pattern.window_tokens)] = NEAR
        made[pattern.global_BT[0][:, None] & together] = ROW
        return made

    block = position // pattern.block_tokens
    ends = torch.zeros_like(block, dtype=torch.bool)
    for start, stop in pattern.documents.tolist():
        ends[start:stop] = (block[start:stop] == block[start]) | (block[start:stop] == block[stop - 1])
    made[seen] = RANDOM
    made[seen & (ends[:, None] | ends)] = GLOBAL
    made[seen & ((block[:, None] - block).abs() <= 1)] = NEAR
    return made


def draw(pattern: SparsePattern, title: str, path: Path) -> None:
    """One picture: rows are queries, columns are keys."""
    found = kinds(pattern)
    figure, axis = plt.subplots(figsize=(4.6, 5.2))
    axis.imshow(found, cmap=ListedColormap(COLOURS), vmin=UNSEEN, vmax=ROW, interpolation="nearest")
    axis.set_xlabel("key")
    axis.set_ylabel("query")
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xticks([0, 16, 32, 48, 63])
    axis.set_yticks([0, 16, 32, 48, 63])
    shown = [kind for kind in NAMES if (found == kind).any()]
    handles = [Patch(color=COLOURS[kind], label=NAMES[kind]) for kind in shown]
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.12), frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    plt.switch_backend("agg")

    real = torch.ones(1, TOKENS, dtype=torch.bool)
    chosen = torch.zeros_like(real)
    chosen[0, [0, 40]] = True
    packed = torch.tensor([[0] * 26 + [1] * 14 + [2] * 20 + [-1] * 4])
    firsts = torch.zeros_like(real)
    firsts[0, [0, 26, 40]] = True
    blocks = {"block_tokens": 4, "random_blocks": 1, "seed": 0}
    draw(
        sliding_window(real, chosen, window_tokens=5),
        "Longformer: window of 10, tokens 0 and 40 global",
        folder / "longformer.png",
    )
    draw(
        sliding_window(packed >= 0, firsts, window_tokens=5, document_BT=packed),
        "Longformer: three documents packed, then padding",
        folder / "longformer-packed.png",
    )
    draw(block_sparse(real, **blocks), "BigBird: blocks of 4, one random block", folder / "bigbird.png")
    aligned = torch.cat([torch.full((32,), 0), torch.full((30,), 1), torch.full((2,), -1)])[None]
    draw(
        block_sparse(aligned >= 0, document_BT=aligned, **blocks),
        "BigBird: two documents packed",
        folder / "bigbird-packed.png",
    )


if __name__ == "__main__":
    main()
