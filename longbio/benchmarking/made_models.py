"""Models that a benchmark makes before it compares them: new words, a conversion, then a curriculum."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from longbio.artifacts.atomic_files import KnownHashes, digest_of_text, read_json, sha256_of, write_json
from longbio.artifacts.checkpoints import checkpoint_digest, locate
from longbio.benchmarking.settings import Benchmark, NewWords, Pretrained, folder_name
from longbio.benchmarking.worker import peak_memory_mb
from longbio.conversion.convert import convert
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.verify import Check
from longbio.corpus.texts import Columns, Corpus, text_files
from longbio.errors import LongbioError
from longbio.pretraining.corpora import HASHES
from longbio.pretraining.curriculum import Curriculum
from longbio.pretraining.run import METRICS, pretrain
from longbio.progress import Narrator
from longbio.settings import load_settings
from longbio.vocabulary.extend import extend
from longbio.vocabulary.mine import read_terms
from longbio.vocabulary.new_rows import ExtendSettings

DONE = "pretrained.json"
SMOOTHED_STEPS = 10
"""Steps whose mean loss has to be low: the loss of one step is of few tokens."""


@dataclass(frozen=True)
class Made:
    """A model to be made: how, the model it begins with, and the curriculum by which it learns."""

    asked: Pretrained
    start: str
    curriculum: Curriculum

    @property
    def checkpoint(self) -> Path:
        """Where it will stand."""
        phases = self.curriculum.phases
        return self.curriculum.out / f"v0.{len(phases)}-{phases[-1].name}"

    def plan(self) -> dict[str, Any]:
        """What `make` is told, ready for JSON."""
        words = self.asked.new_words
        return {
            "start": self.start,
            "new_words": words and words.model_dump(mode="json"),
            "convert": self.asked.convert and asdict(self.asked.convert),
            "curriculum": self.curriculum.model_dump(mode="json"),
        }

    def is_done(self) -> bool:
        """Whether this plan made it of the files as they are; those that are gone count as unchanged."""
        if not (self.curriculum.out / DONE).is_file():
            return False
        done, asked = read_json(self.curriculum.out / DONE), self.plan()
        return bool(done["asked"] == asked) and _made_of(asked).items() <= done["made_of"].items()


def models_of(suite: Benchmark) -> tuple[dict[str, str], list[Made]]:
    """A folder or a hub name for each model of a benchmark, and those of them that have to be made.

    Raises:
        LongbioError: a curriculum can't be made: an override names what there isn't.
    """
    models, made = dict(suite.models), []
    for asked in suite.pretrained:
        out = suite.out / "pretrained" / folder_name(asked.name)
        start = begins_with = models[asked.start]
        if asked.new_words is not None:
            begins_with = str(_beside(out, "words"))
        if asked.convert is not None:
            begins_with = str(_beside(out, "converted"))
        ours = (f"model={json.dumps(begins_with)}", f"out={json.dumps(str(out))}")
        overrides = [*asked.set, *suite.set_pretrained, *ours]
        made.append(Made(asked, start, load_settings(Curriculum, asked.config, overrides)))
        models[asked.name] = str(made[-1].checkpoint)
    return models, made


def make(plan: Mapping[str, Any], tell: Narrator) -> None:
    """Make a model, or what is left of it, as `Made.plan` says.

    Raises:
        LongbioError: as `extend` and `pretrain`.
    """
    curriculum = Curriculum.model_validate(plan["curriculum"])
    has_begun, made_of = any(curriculum.out.glob("v0.*")), _made_of(plan)
    model = locate(plan["start"])
    if plan["new_words"] is not None:
        model = _with_words(model, NewWords.model_validate(plan["new_words"]), curriculum, tell)
    if plan["convert"] is not None:
        _convert(model, ConversionSettings(**plan["convert"]), _beside(curriculum.out, "converted"), tell)
    pretrain(curriculum, tell)
    cost = {"peak_memory_mb": None if has_begun else peak_memory_mb()}
    write_json(curriculum.out / DONE, {"asked": dict(plan), "made_of": made_of, "cost": cost})


def _made_of(plan: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the model that `plan` begins with and of its texts, of those that are there."""
    curriculum = Curriculum.model_validate(plan["curriculum"])
    digests = dict[str, str]()
    texts = {name: corpus.paths for name, corpus in curriculum.corpora.items()}
    if curriculum.validation.corpus is not None:
        texts["of validation"] = curriculum.validation.corpus.paths
    if plan["new_words"] is not None:
        words = NewWords.model_validate(plan["new_words"])
        texts["of new words"] = words.corpus
        if words.terms.is_file():
            digests["terms"] = sha256_of(words.terms)
    hashes = KnownHashes(curriculum.cache / HASHES)
    # What is gone has no digest: a finished benchmark is reported without it.
    with suppress(LongbioError):
        digests["start"] = checkpoint_digest(locate(plan["start"], offline=True))
    for name, paths in texts.items():
        with suppress(LongbioError):  # as above
            files = [hashes.sha256_of(file) for path in paths for file in text_files(path)]
            digests[f"corpus {name}"] = digest_of_text(" ".join(files))
    if curriculum.cache.is_dir():
        hashes.save()
    return digests


def describe(made: Made, target_bits: float | None) -> dict[str, Any]:
    """What making a model was like: held-out bits before and after each phase, and the curve of its training.
    Steps to the target bits compare models that mask alike and have one vocabulary; others compare by their
    held-out bits."""
    out = made.curriculum.out
    phases = read_json(out / "results.json")["phases"]
    lines = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    bits = [line["bits"] for line in lines]
    return {
        "name": made.asked.name,
        "start": made.asked.start,
        "new_words": None if made.asked.new_words is None else made.asked.new_words.init,
        "steps": len(bits),
        "phases": [{name: phase[name] for name in ("name", "bits_before", "bits_after")} for phase in phases],
        "bits": bits,
        "target_bits": target_bits,
        "steps_to_target": None if target_bits is None else steps_to(target_bits, bits),
        "cost": read_json(out / DONE)["cost"],
        "curriculum": made.curriculum.model_dump(mode="json"),
    }


def steps_to(target: float, bits: Sequence[float]) -> int | None:
    """The first step at which the last ten losses are as low as that on average; None where none is."""
    for step in range(SMOOTHED_STEPS, len(bits) + 1):
        if fmean(bits[step - SMOOTHED_STEPS : step]) <= target:
            return step
    return None


def _with_words(start: Path, words: NewWords, curriculum: Curriculum, tell: Narrator) -> Path:
    out = _beside(curriculum.out, "words")
    for path in words.corpus:
        text_files(path)
    texts = Corpus(words.corpus, Columns(None)) if words.corpus else ()
    settings = ExtendSettings(method=words.init, contexts=words.contexts, seed=curriculum.seed)
    extend(start, out, read_terms(words.terms), texts, settings=settings, tell=tell)
    return out


def _convert(model: Path, settings: ConversionSettings, out: Path, tell: Narrator) -> None:
    advance = tell.begin(f"convert to a {settings.to} of {settings.max_tokens:,} tokens, and verify", 0)
    checks: list[Check] = []

    def tell_check(check: Check) -> None:
        checks.append(check)
        advance(len(checks), check.name)

    convert(model, out, settings=settings, on_check=tell_check)
    judged = sum(check.passed is not None for check in checks)
    tell.end(f"{judged} of {judged} checks passed" if checks else "done before")


def _beside(out: Path, ending: str) -> Path:
    """Where a model stands that a run begins with."""
    return out.with_name(f"{out.name}.{ending}")
