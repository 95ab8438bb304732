"""What a run reports: a line of metrics a step, and a picture of its curves."""

from __future__ import annotations

import json
import math
import resource
import time
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import transformers

from longbio.artifacts.atomic_files import write_text_atomically
from longbio.pretraining.masked_samples import MaskedSamples
from longbio.pretraining.phase import Phase


class Metrics(transformers.TrainerCallback):
    """Appends a line to a file of JSON lines at every step; a resumed run writes what is lost again."""

    def __init__(self, file: Path, phase: Phase, number: int, samples: MaskedSamples) -> None:
        self.file, self.phase, self.number, self.samples = file, phase, number, samples
        self.last = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock, and forget steps that a killed run took after its last checkpoint."""
        self.last = time.perf_counter()
        if not state.is_world_process_zero or not self.file.is_file():
            return
        lines = [json.loads(line) for line in self.file.read_text().splitlines() if line.endswith("}")]
        now = (self.number, state.global_step)
        kept = [line for line in lines if (line["phase"], line["step"]) <= now]
        write_text_atomically(self.file, "".join(json.dumps(line) + "\n" for line in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Write a line."""
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        now = time.perf_counter()
        # From log to log: making the batch counts, and so does saving.
        seconds, self.last = now - self.last, now
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        if torch.cuda.is_available():
            peak_mib = torch.cuda.max_memory_allocated() / 2**20
        positions = self.phase.batch * self.phase.sequence_tokens
        progress = (state.global_step - 1) / max(1, self.phase.num_steps - 1)
        line = {
            "phase": self.number,
            "name": self.phase.name,
            "step": state.global_step,
            "loss": logs["loss"],
            "bits": logs["loss"] / math.log(2),
            "mask_rate": self.phase.masking.rate_at(progress),
            "learning_rate": logs["learning_rate"],
            "gradient_norm": float(logs["grad_norm"]),
            "tokens_per_second": self.samples.filled * positions / seconds,
            "padding": 1 - self.samples.filled,
            "peak_memory_mib": peak_mib,
        }
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


def draw_curves(metrics: Path, picture: Path) -> None:
    """Bits per masked token and the learning rate over all steps, phases shaded."""
    from matplotlib.figure import Figure

    if not metrics.is_file():
        return
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    figure = Figure(figsize=(9, 6), layout="constrained")
    bits, rate = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    begin = 0
    for number, (name, group) in enumerate(groupby(lines, key=lambda line: line["name"])):
        of_phase = list(group)
        steps = [begin + line["step"] for line in of_phase]
        values = [line["bits"] for line in of_phase]
        window = max(1, len(values) // 50)
        smooth = [fmean(values[max(0, i - window) : i + 1]) for i in range(len(values))]
        bits.plot(steps, values, color="#1f6fb2", alpha=0.25, linewidth=1)
        bits.plot(steps, smooth, color="#1f6fb2", linewidth=1.8)
        rate.plot(steps, [line["learning_rate"] for line in of_phase], color="#555555")
        end = steps[-1]
        for axes in (bits, rate):
            axes.axvspan(begin, end, color="#d9b35f" if number % 2 else "#cfd8e3", alpha=0.25, linewidth=0)
        bits.text((begin + end) / 2, 1.02, name, ha="center", transform=bits.get_xaxis_transform())
        begin = end
    bits.set_ylabel("bits per masked token, as trained")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("step")
    rate.set_xlim(0, max(1, begin))
    for axes in (bits, rate):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=120)
