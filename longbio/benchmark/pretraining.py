"""Models that a benchmark makes before it compares them: new words, then a curriculum."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from longbio.artifacts.checkpoints import locate, weights_digest
from longbio.artifacts.files import read_json, sha256_of, write_json
from longbio.benchmark.cost import peak_memory_mb
from longbio.benchmark.settings import Benchmark, NewWords, Pretrained, folder_name
from longbio.corpus.texts import Columns, Corpus, text_files
from longbio.errors import LongbioError
from longbio.pretraining.curriculum import Curriculum
from longbio.pretraining.run import METRICS, pretrain
from longbio.progress import Narrator
from longbio.settings import load_settings
from longbio.vocabulary.extend import extend
from longbio.vocabulary.mine import read_terms
from longbio.vocabulary.rows import ExtendSettings

DONE = "pretrained.json"
SMOOTHED_STEPS = 10
"""A step's loss is of few tokens: it is the mean of so many that has to be low."""


@dataclass(frozen=True)
class Made:
    """A model to be made.

    Args:
        asked: how.
        start: the model it begins with.
        curriculum: by which it learns.
    """

    asked: Pretrained
    start: str
    curriculum: Curriculum

    @property
    def checkpoint(self) -> Path:
        """Where it will stand."""
        phases = self.curriculum.phases
        return self.curriculum.out / f"v0.{len(phases)}-{phases[-1].name}"

    def given(self) -> dict[str, Any]:
        """What `make` is told, ready for JSON."""
        words = self.asked.new_words
        return {
            "start": self.start,
            "new_words": words and words.model_dump(mode="json"),
            "terms_sha256": sha256_of(words.terms) if words and words.terms.is_file() else None,
            "curriculum": self.curriculum.model_dump(mode="json"),
        }

    def is_done(self) -> bool:
        """Whether it has been made, just so."""
        file = self.curriculum.out / DONE
        return file.is_file() and read_json(file)["asked"] == self.given()


def models_of(suite: Benchmark) -> tuple[dict[str, str], list[Made]]:
    """A folder or a hub name for each model of a benchmark, and those of them that have to be made.

    Raises:
        LongbioError: a curriculum can't be made: an override names what there isn't.
    """
    models, made = dict(suite.models), []
    for asked in suite.pretrained:
        out = suite.out / "pretrained" / folder_name(asked.name)
        start = models[asked.start]
        begins_with = start if asked.new_words is None else str(_words_folder(out))
        ours = (f"model={json.dumps(begins_with)}", f"out={json.dumps(str(out))}")
        overrides = [*asked.set, *suite.set_pretrained, *ours]
        made.append(Made(asked, start, load_settings(Curriculum, asked.config, overrides)))
        models[asked.name] = str(made[-1].checkpoint)
    return models, made


def make(given: Mapping[str, Any], tell: Narrator) -> None:
    """Make a model, or what is left of it.

    Args:
        given: of a `Made`.
        tell: told of the progress.

    Raises:
        LongbioError: as `extend` and `pretrain`.
    """
    curriculum = Curriculum.model_validate(given["curriculum"])
    has_begun = any(curriculum.out.glob("v0.*"))
    if given["new_words"] is not None:
        _give_words(locate(given["start"]), NewWords.model_validate(given["new_words"]), curriculum, tell)
    pretrain(curriculum, tell)
    cost = {"peak_memory_mb": None if has_begun else peak_memory_mb()}
    write_json(curriculum.out / DONE, {"asked": dict(given), "cost": cost})


def described(made: Made, target_bits: float | None) -> dict[str, Any]:
    """What making it was like: held-out bits before and after each phase, and the curve of its training.

    Args:
        made: a model that is done.
        target_bits: per masked token of what it learns from; the steps to it are counted. Models that mask
            alike and have one vocabulary compare by it; others by their held-out bits.
    """
    out = made.curriculum.out
    phases = read_json(out / "results.json")["phases"]
    lines = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    bits = [line["bits"] for line in lines]
    return {
        "name": made.asked.name,
        "start": made.asked.start,
        "new_words": None if made.asked.new_words is None else made.asked.new_words.init,
        "steps": len(bits),
        "phases": [{name: each[name] for name in ("name", "bits_before", "bits_after")} for each in phases],
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


def _give_words(start: Path, words: NewWords, curriculum: Curriculum, tell: Narrator) -> None:
    out = _words_folder(curriculum.out)
    terms = read_terms(words.terms)
    record, asked = out.with_name(f"{out.name}.json"), _words_asked(start, words)
    if out.is_dir():
        if not record.is_file() or read_json(record) != asked:
            raise LongbioError(
                "the model with new words there was made of others, or otherwise",
                where=out,
                remedy=f"delete it, and {curriculum.out.name} beside it",
            )
        return
    for path in words.corpus:
        text_files(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, asked)
    settings = ExtendSettings(method=words.init, contexts=words.contexts, seed=curriculum.seed)
    extend(start, out, terms, _texts(words), settings=settings, tell=tell)


def _words_asked(start: Path, words: NewWords) -> dict[str, Any]:
    """All that decides what the rows of new words are."""
    return {
        "start": weights_digest(start),
        "terms": sha256_of(words.terms),
        "corpus": [str(path) for path in words.corpus],
        "init": words.init,
        "contexts": words.contexts,
    }


def _texts(words: NewWords) -> Corpus | tuple[()]:
    return Corpus(words.corpus, Columns(None)) if words.corpus else ()


def _words_folder(out: Path) -> Path:
    """Where a model with new words stands, beside its run."""
    return out.with_name(f"{out.name}.words")
