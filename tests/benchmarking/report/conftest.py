"""Results such as a benchmark leaves, with names that hold whatever names can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

AWKWARD = '<script>alert("x")</script> & a|b `c` $d$ *e*'
ARMS = (
    ("512-token chunks", "sentence-minilm", "chunks-mean"),
    ("longformer", "minilm-longformer", "whole"),
    ("bigbird", "minilm-bigbird", "whole"),
    ("the healed Longformer's weights on chunks of 512 tokens, merged", "minilm-longformer", "chunks-mean"),
    (AWKWARD, "hub/" + AWKWARD, "first"),
)
TASKS = (
    ("CRAFT", "ner", "entity F1", (60, 7, 30), 0.70),
    ("COVID-QA", "qa", "F1", (1417, 203, 12), 0.38),
    (f"Evidence {AWKWARD}", "classification", "macro F1", (729, 90, 93), 0.55),
)
AGAINST = (
    {"difference": 0.031, "low": 0.012, "high": 0.050, "p": 0.0013, "p_holm": 0.004},
    {"difference": -0.024, "low": -0.041, "high": -0.007, "p": 0.0002, "p_holm": 0.0006},
    {"difference": 0.006, "low": -0.014, "high": 0.026, "p": 0.52, "p_holm": 1.0},
    None,
)


@pytest.fixture(scope="session")
def sample() -> dict[str, Any]:
    """Three tasks, five arms, three seeds; some things weren't measured, one cell failed."""
    return sample_results()


@pytest.fixture
def results() -> dict[str, Any]:
    """The same, to be changed."""
    return sample_results()


def sample_results() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    tasks = [_task(number, rng) for number in range(len(TASKS))]
    tasks[1]["arms"] = [arm for arm in tasks[1]["arms"] if arm["name"] != "bigbird"]
    tasks[2]["arms"][0]["cost"] |= {"peak_memory_mb": None}
    tasks[2]["arms"][3]["cost"] |= {"training_seconds": None, "tokens_per_second": None}
    return {
        "title": "Does long help? " + AWKWARD,
        "plan": {
            "title": "open-long",
            "out": "runs/open-long",
            "arms": [{"name": name, "model": model, "reads": reads} for name, model, reads in ARMS],
            "tasks": [{"name": name, "arms": None} for name, *_ in TASKS],
            "learning_rates": [1e-4, 3e-4],
        },
        "versions": {"longbio": "0.1.0", "torch": "2.10.0", "transformers": "5.15.0"},
        "machine": {"cpu": "Xeon", "cores": 2, "memory_gb": 24.0, "gpu": None},
        "baseline": ARMS[0][0],
        "seeds": [0, 1, 2],
        "score": None,
        "tasks": tasks,
        "failed": [{"task": "COVID-QA", "arm": "bigbird", "what": "the loss was NaN at step 41 " + AWKWARD}],
    }


def _task(number: int, rng: np.random.Generator) -> dict[str, Any]:
    name, kind, measure, documents, level = TASKS[number]
    splits = dict(zip(("train", "dev", "test"), documents, strict=True))
    arms = [_arm(n, number, level, kind, rng) for n in range(len(ARMS))]
    return {"name": name, "kind": kind, "measure": measure, "documents": splits, "arms": arms}


def _arm(n: int, number: int, level: float, kind: str, rng: np.random.Generator) -> dict[str, Any]:
    name, model, reads = ARMS[n]
    against = None if n == 0 else AGAINST[(n - 1 + number) % 4]
    around = level + (against["difference"] if against else 0)
    noise = 0.02 * rng.normal(size=3)
    scores = (around + noise - noise.mean()).tolist()
    borders = ((0, 512), (512, 1024), (1024, 2048), (2048, 4096), (4096, None))
    steps = 400
    ranges = [{"from_tokens": low, "to_tokens": high} for low, high in borders]
    by_length = [
        row | {"documents": 3 + 4 * i, "main": around + (0.01 * n - 0.03) * i} for i, row in enumerate(ranges)
    ]
    by_position = [
        row | {"mentions": 900 // (i + 1), "recall": around - 0.05 * i / (n + 1)}
        for i, row in enumerate(ranges)
    ]
    bins = [
        {"low": i / 10, "high": (i + 1) / 10, "count": 40 * i, "confidence": None, "accuracy": None}
        | ({"confidence": i / 10 + 0.05, "accuracy": i / 10 * (0.8 + 0.04 * n)} if i else {})
        for i in range(10)
    ]
    reliability = {"bins": bins, "expected_calibration_error": 0.08 - 0.01 * n}
    return {
        "name": name,
        "model": model,
        "reads": reads,
        "kernel": "blocked",
        "seeds": [0, 1, 2],
        "scores": scores,
        "mean": float(np.mean(scores)),
        "standard_deviation": float(np.std(scores, ddof=1)),
        "minimum": min(scores),
        "collapsed": 1 if n == 3 and number == 2 else 0,
        "steps": steps,
        "recipe": {"learning_rate": 1e-4, "batch": 16, "max_tokens": None},
        "tried": [{"name": f"lr{rate:g}-batch16-epochs3", "dev": level + rate} for rate in (1e-4, 3e-4)],
        "by_length": by_length,
        "by_position": None if kind == "classification" else by_position,
        "losses": [
            (2.5 * np.exp(-np.arange(steps) / (60 + 20 * n)) + 0.2 * rng.random(steps)).tolist()
            for _ in range(3)
        ],
        "reliability": None if n == 2 else reliability,
        "cost": {
            "training_seconds": 900.0 * (1 + 0.2 * n),
            "prediction_seconds": 60.0 * (1 + 0.4 * n),
            "tokens_per_second": 4100.0 / (1 + 0.2 * n),
            "peak_memory_mb": 2100.0 + 700 * n,
        },
        "against_baseline": against,
        "command": f"longbio finetune runs/open-long/{number}/{n}/config.yaml --set 'title=\"{n}\"'",
    }
