"""One of several processes that train together: `python distributed_worker.py rank world folder`.

Reads `cases.pt`, what `test_distributed.py` wants of each process, and writes `rank-N.pt`.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from longbio.encoders.loading import load


def gradients(case: dict[str, Any], rank: int, world: int) -> dict[str, Any]:
    model = load(case["folder"], "mlm", dropout=0.0).train()
    if case["checkpointing"]:
        model.gradient_checkpointing_enable()
    wrapped = DistributedDataParallel(model, find_unused_parameters=False)
    batch = case["batches"][rank]
    losses = []
    # A parameter that was left out of the first step stops the second one.
    for _ in range(2):
        model.zero_grad(set_to_none=True)
        # The processes' gradients are averaged, those of a sum of losses are wanted.
        loss = wrapped(**batch, num_items_in_batch=case["items"]).loss * world
        loss.backward()
        losses.append(loss.detach() / world)
    return {
        "losses": losses,
        "gradients": {name: p.grad for name, p in model.named_parameters()},
    }


def main() -> None:
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "`gradient_checkpointing_enable` is deprecated", FutureWarning)
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world
    )
    cases = torch.load(folder / "cases.pt", weights_only=False)
    found: dict[str, Any] = {}
    for name, case in cases.items():
        try:
            found[name] = gradients(case, rank, world)
        except RuntimeError as error:
            found[name] = {"error": str(error)}
    torch.save(found, folder / f"rank-{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
