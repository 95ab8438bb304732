"""`pretrain`: the phases of a curriculum, one after another, each resumable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, TrainerCallback, set_seed
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    get_reporting_integration_callbacks,
)

from longbio.artifacts.files import read_json, write_json
from longbio.artifacts.folders import require_free_space, staged_folder
from longbio.corpus.texts import Columns, Text, read_texts, text_files, text_of_row
from longbio.encoders.loading import quiet
from longbio.errors import LongbioError
from longbio.pretraining.curriculum import CorpusSettings, Curriculum
from longbio.pretraining.curves import Metrics, draw_curves
from longbio.pretraining.memory import cache_bytes, training_bytes
from longbio.pretraining.phase import Phase
from longbio.pretraining.samples import MaskedSamples
from longbio.pretraining.shards import WHOLE, TokenizedCorpus, build_shards, corpus_key, open_shards
from longbio.pretraining.split import held_out_documents, near_duplicates, of_their_groups
from longbio.pretraining.train import HeldOut, Source, train_phase
from longbio.progress import Narrator, Silence
from longbio.training.processes import processes

PLAN, METRICS, CURVES = "curriculum.json", "metrics.jsonl", "curves.png"


def pretrain(curriculum: Curriculum, tell: Narrator | None = None) -> dict[str, Any]:
    """Run a curriculum, or what is left of it.

    Args:
        curriculum: what to do.
        tell: told of the progress.

    Returns:
        What is saved as `results.json`: of each phase bits per masked token before and after, and
        the documents that were held out or dropped.

    Raises:
        LongbioError: `out` holds another run, a corpus holds no text, a phase can't be run.
    """
    out, tell = curriculum.out, tell or Silence()
    _refuse_another_run(curriculum)
    folder = Path(curriculum.model)
    with processes().main_process_first():
        if curriculum.random_weights:
            folder = _random_model(curriculum)
        sources, held_out, described = _data(curriculum, folder, tell)
    reports: list[dict[str, Any]] = []
    for number, phase in enumerate(curriculum.phases, start=1):
        target = out / f"v0.{number}-{phase.name}"
        before = reports[-1]["bits_after"] if reports else None
        reports.append(_phase(curriculum, folder, sources, held_out, number, phase, target, before, tell))
        folder = target
    results = {
        "corpora": described,
        "phases": [
            {
                "name": phase.name,
                **{k: report[k] for k in ("bits_before", "bits_after", "filled")},
                "perplexity": {length: 2**bits for length, bits in report["bits_after"].items()},
            }
            for phase, report in zip(curriculum.phases, reports, strict=True)
        ],
    }
    if processes().is_main_process:
        write_json(out / "results.json", results)
        draw_curves(out / METRICS, out / CURVES)
    tell.end(f"{folder} is the last checkpoint; curves: {out / CURVES}")
    return results


def _phase(
    curriculum: Curriculum,
    folder: Path,
    sources: dict[str, Source],
    held_out: HeldOut,
    number: int,
    phase: Phase,
    target: Path,
    bits_before: dict[str, float] | None,
    tell: Narrator,
) -> dict[str, Any]:
    with quiet():
        config = AutoConfig.from_pretrained(str(folder))
    needed = training_bytes(config, phase, curriculum.machine, processes().num_processes)
    title = f"phase {number} of {len(curriculum.phases)}: {phase.name}"
    advance = tell.begin(f"{title}, about {needed / 1e9:.1f} GB of memory", phase.num_steps)

    def callbacks(samples: MaskedSamples) -> list[TrainerCallback]:
        metrics = Metrics(curriculum.out / METRICS, phase, number, samples)
        return [metrics, *_trackers(curriculum, phase)]

    report = train_phase(
        folder,
        sources,
        held_out,
        phase,
        target,
        machine=curriculum.machine,
        seed=curriculum.seed,
        number=number,
        bits_before=bits_before,
        on_step=lambda step, loss: advance(step, f"loss {loss:.3f}"),
        callbacks=callbacks,
    )
    before, after = report["bits_before"], report["bits_after"]
    bits = ", ".join(f"{before[length]:.3f} -> {after[length]:.3f} at {length}" for length in after)
    tell.end(f"bits per masked token of held-out documents {bits}")
    return report


def _trackers(curriculum: Curriculum, phase: Phase) -> list[TrainerCallback]:
    """Transformers' own callbacks; TensorBoard's writes into the run folder."""
    made: list[TrainerCallback] = []
    for name in curriculum.trackers if processes().is_main_process else []:
        if name == "tensorboard":
            made.append(TensorBoardCallback(SummaryWriter(str(curriculum.out / "tensorboard" / phase.name))))
        else:
            made += [kind() for kind in get_reporting_integration_callbacks([name])]
    return made


def _refuse_another_run(curriculum: Curriculum) -> None:
    """A run folder belongs to one curriculum; how the machine does it may change."""
    asked = curriculum.model_dump(mode="json", exclude={"machine", "cache", "trackers"})
    file = curriculum.out / PLAN
    with processes().main_process_first():
        if not file.is_file():
            try:
                curriculum.out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LongbioError(
                    f"the folder can't be made ({error.strerror})", where=curriculum.out
                ) from error
            write_json(file, asked)
            return
    recorded = read_json(file)
    if recorded != asked:
        changed = [key for key in asked if asked[key] != recorded.get(key)]
        raise LongbioError(
            f"the run there was asked for another {', '.join(changed)}",
            where=curriculum.out,
            remedy="choose another out, or delete the folder",
        )


def _random_model(curriculum: Curriculum) -> Path:
    """A checkpoint in the shape of the model, its weights at random."""
    folder = curriculum.out / "v0.0-random"
    if folder.is_dir():
        return folder
    set_seed(curriculum.seed)
    tokenizer = AutoTokenizer.from_pretrained(curriculum.tokenizer or curriculum.model)
    config = AutoConfig.from_pretrained(curriculum.model)
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    with staged_folder(folder) as partial:
        AutoModelForMaskedLM.from_config(config).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return folder


def _data(
    curriculum: Curriculum, model: Path, tell: Narrator
) -> tuple[dict[str, Source], HeldOut, dict[str, dict[str, int]]]:
    tokenizer = AutoTokenizer.from_pretrained(str(model))
    validation = curriculum.validation
    corpora = {
        name: _tokenized(name, settings, curriculum, tokenizer, tell)
        for name, settings in curriculum.corpora.items()
    }
    if validation.corpus is None:
        measured = next(iter(corpora.values()))
        documents = held_out_documents(measured, validation.share, curriculum.seed)
    else:
        measured = _tokenized("validation", validation.corpus, curriculum, tokenizer, tell)
        documents = np.arange(len(measured))
    if not measured.lengths[documents].any():
        raise LongbioError(
            "no text is held out to measure on",
            where="validation",
            remedy="raise validation.share, or name a validation.corpus",
        )
    held_out = HeldOut(measured, documents, tuple(validation.lengths), validation.tokens)
    sources, described = {}, {}
    for name, corpus in corpora.items():
        is_theirs = of_their_groups(corpus, measured, documents)
        rest = np.flatnonzero(~is_theirs)
        is_near = near_duplicates(corpus, rest, measured, documents)
        sources[name] = Source(corpus, rest[~is_near])
        described[name] = {
            "documents": len(corpus),
            "tokens": int(corpus.lengths.sum()),
            "held_out": int(is_theirs.sum()),
            "near_duplicates_dropped": int(is_near.sum()),
            "empty": int((corpus.lengths == 0).sum()),
        }
    return sources, held_out, described


def _tokenized(
    name: str, settings: CorpusSettings, curriculum: Curriculum, tokenizer: Any, tell: Narrator
) -> TokenizedCorpus:
    files = [file for path in settings.paths for file in text_files(path)]
    how = json.dumps([settings.hub, settings.hub_split, settings.text_column, settings.group_column])
    folder = curriculum.cache.expanduser() / corpus_key(files, tokenizer, how)
    if (folder / WHOLE).is_file():
        tell.begin(f"corpus {name}: in the cache", 0)
        corpus = open_shards(folder)
    else:
        needed = cache_bytes(files)
        require_free_space(folder, needed)
        advance = tell.begin(f"corpus {name}: tokenise, about {needed / 1e6:,.0f} MB of disk", 0)
        columns = Columns(settings.text_column, settings.group_column)
        if settings.hub:
            texts = _hub_texts(settings.hub, settings.hub_split, columns)
        else:
            texts = read_texts(settings.paths, columns)
        corpus = build_shards(
            texts, tokenizer, folder, on_texts=lambda count: advance(count, f"{count:,} texts")
        )
    tell.end(f"{len(corpus):,} documents, {corpus.lengths.sum():,} tokens")
    return corpus


def _hub_texts(hub: str, hub_split: str, columns: Columns) -> Iterator[Text]:
    """Rows of a dataset on the hub, streamed."""
    from datasets import load_dataset

    rows = load_dataset(hub, split=hub_split, streaming=True)
    for number, row in enumerate(rows):
        yield from text_of_row(row, columns, hub, f"row {number}")
