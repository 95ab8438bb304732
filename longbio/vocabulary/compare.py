"""`compare`: what new words gain, and which initialisation of their rows is best for a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, cast

import torch
import transformers
from torch.utils.data import Dataset

from longbio.artifacts.atomic_files import digest_of_text, write_json, write_text_atomically
from longbio.artifacts.cards import markdown_table
from longbio.artifacts.checkpoints import checkpoint_digest, read_weights
from longbio.artifacts.runs import Run
from longbio.corpus.texts import Corpus, Text, text_files
from longbio.corpus.words import make_readable
from longbio.encoders.families import max_positions
from longbio.encoders.loading import config_of, load, load_tokenizer
from longbio.errors import LongbioError
from longbio.masked_lm.evaluation import masked_batch
from longbio.masked_lm.head import summed_loss
from longbio.progress import Narrator, Silence
from longbio.training.settings import Learning, Machine, TrainingSettings
from longbio.training.trainer import train
from longbio.vocabulary.contexts import Sought, find_contexts
from longbio.vocabulary.extend import check_settings, extend
from longbio.vocabulary.initialise import Method
from longbio.vocabulary.injection import CONTINUES, as_text, inject
from longbio.vocabulary.new_rows import ExtendSettings
from longbio.vocabulary.passages import Passage, bits_per_character, masked_passages, passages_of, room_of
from longbio.vocabulary.whole_words import Folding
from longbio.vocabulary.word_counts import key_of

UNEXTENDED = "unextended"
TERMS, BESIDE, GENERAL = "the new terms", "words beside them", "general text"
"""What is guessed: new terms in their sentences, others in the same sentences, words of any text."""

RESULTS, TABLE, PLOT = "comparison.json", "comparison.md", "comparison.png"
LONG = 4096

MAX_TOKENS = 512
"""Of a passage, for long models too: they are compared on short ones."""


@dataclass(frozen=True)
class CompareSettings:
    """How methods are compared.

    Args:
        seeds: each method is begun and probed with each.
        steps: of the probe: continued masked-LM training, the same passages for all.
        every: steps between two measurements.
        batch: passages of a step.
        characters: of a passage.
        held_out: passages of general text to be measured on.
        sentences: with a new term, to be measured on; each of another term.
        sentence_characters: on each side of the term, about.
        extend: how rows begin; its method and seed are replaced.
    """

    methods: tuple[Method, ...] = ("random", "gaussian", "mean", "contextual", "token-distillation")
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 50
    every: int = 10
    batch: int = 8
    learning_rate: float = 1e-4
    characters: int = 1200
    held_out: int = 150
    sentences: int = 500
    sentence_characters: int = 150
    extend: ExtendSettings = field(default_factory=ExtendSettings)


def compare(
    model: Path,
    out: Path,
    terms: Sequence[str],
    texts: Iterable[Text],
    unseen: Iterable[Text],
    *,
    settings: CompareSettings | None = None,
    processes: int = 1,
    tell: Narrator | None = None,
) -> dict[str, Any]:
    """Extend a model in every way, probe each, and measure on texts that none has seen.

    Args:
        model: a checkpoint with a masked-LM head.
        out: the folder of the run; what a killed run has measured is kept.
        terms: as `extend` takes them.
        texts: contexts and the probe come from here: a list or a `Corpus`.
        unseen: what is measured comes from here: the same.

    Returns:
        What is saved as `comparison.json`.

    Raises:
        LongbioError: the model can't be extended, or the unseen texts are too few, or not unseen.
    """
    settings, tell = settings or CompareSettings(), tell or Silence()
    _refuse_seen(texts, unseen)
    plan = {
        "model": checkpoint_digest(model),
        "tokenizer": digest_of_text(load_tokenizer(model).backend_tokenizer.to_str()),
        "terms": digest_of_text(json.dumps(list(terms))),
        # Methods and seeds may be added to a run.
        "settings": {k: v for k, v in asdict(settings).items() if k not in ("methods", "seeds")},
        "texts": key_of(texts),
        "unseen": key_of(unseen),
    }
    with Run.open(out, plan) as run:
        return _compare(model, run, terms, texts, unseen, settings, processes, tell)


def _compare(
    model: Path,
    run: Run,
    terms: Sequence[str],
    texts: Iterable[Text],
    unseen: Iterable[Text],
    settings: CompareSettings,
    processes: int,
    tell: Narrator,
) -> dict[str, Any]:
    config, tokenizer = config_of(model), load_tokenizer(model)
    for method in settings.methods:
        check_settings(replace(settings.extend, method=method), config, read_weights(model), model)
    # Without a head there is nothing to compare: this says so before the corpus is read.
    max_tokens = min(MAX_TOKENS, max_positions(load(model, "mlm").config))
    new = [piece for piece in inject(tokenizer, terms).pieces if piece.is_asked]
    words = [as_text(piece.piece, tokenizer.backend_tokenizer) for piece in new]
    learned, measured = _passages(words, texts, unseen, tokenizer, max_tokens, settings, processes)
    shape: dict[str, Any] = {}

    def probe(name: str, method: Method | None, seed: int) -> bytes:
        """What is kept of one way with one seed: the curve, and what extending changed."""
        nonlocal shape
        folder, title = run.folder / f"{name}-{seed}", f"{name}, seed {seed}"
        if method is not None:
            how = replace(settings.extend, method=method, seed=seed)
            contexts = texts if how.needs_contexts else ()
            extend(model, folder, terms, contexts, settings=how, processes=processes, tell=tell)
        work = run.folder / f"{name}-{seed}.probe"
        extended = model if method is None else folder
        results: dict[str, Any] = {"seed": seed}
        results["curve"] = _probe(extended, work, learned, measured, seed, settings, tell, title)
        if method is not None:
            results["shape"] = shape = shape or _shape(model, folder, words, unseen)
            shutil.rmtree(folder)
        return json.dumps(results, indent=2).encode()

    ways: dict[str, Method | None] = {UNEXTENDED: None, **{method: method for method in settings.methods}}
    runs = {
        name: [
            json.loads(run.once(f"{name}-{seed}.json", partial(probe, name, method, seed)))
            for seed in settings.seeds
        ]
        for name, method in ways.items()
    }
    results = {
        "terms": len(words),
        "shape": runs[settings.methods[0]][0]["shape"],
        "passages": {name: len(of_kind) for name, of_kind in measured.items()},
        "methods": {name: _summary(of_method, runs[UNEXTENDED]) for name, of_method in runs.items()},
        "runs": runs,
    }
    write_json(run.folder / RESULTS, results)
    write_text_atomically(run.folder / TABLE, table(results) + "\n")
    _plot(results, run.folder / PLOT)
    tell.end(f"{run.folder / TABLE}")
    return results


def _passages(
    words: Sequence[str],
    texts: Iterable[Text],
    unseen: Iterable[Text],
    tokenizer: Any,
    max_tokens: int,
    settings: CompareSettings,
    processes: int,
) -> tuple[list[Passage], dict[str, list[Passage]]]:
    """What the probe learns from, and by kind what is measured on."""
    fits = room_of(tokenizer, max_tokens)
    general = passages_of(unseen, settings.held_out, settings.characters, fits)
    # Unseen text around whole-word terms, one place a term.
    whole = tuple(word for word in words if word.isalnum())
    sought = Sought(whole, Folding.of(tokenizer), 1, settings.sentence_characters, seed=1)
    by_word = find_contexts(unseen, sought, processes=processes)
    # By the number each place was drawn by: which terms are taken doesn't depend on the alphabet.
    drawn = sorted(context for of_word in by_word.values() for context in of_word)[: settings.sentences]
    sentences = [Passage(n, context.text, (context.start, context.stop)) for n, context in enumerate(drawn)]
    learned = passages_of(texts, settings.steps * settings.batch, settings.characters, fits)
    if not general or not sentences or not learned:
        raise LongbioError(
            f"there are {len(general)} passages of unseen text, {len(sentences)} sentences with terms and"
            f" {len(learned)} passages to learn from",
            where="corpus",
            remedy=f"give longer texts; a passage has {settings.characters} characters",
        )
    of_terms = [replace(sentence, hides_term=True) for sentence in sentences]
    return learned, {TERMS: of_terms, BESIDE: sentences, GENERAL: general}


def _refuse_seen(texts: Iterable[Text], unseen: Iterable[Text]) -> None:
    if not isinstance(texts, Corpus) or not isinstance(unseen, Corpus):
        return
    learned, measured = ({f.resolve() for p in side.paths for f in text_files(p)} for side in (texts, unseen))
    if both := learned & measured:
        raise LongbioError(
            "this file is used for learning and for measuring",
            where=min(both),
            remedy="give --unseen files that are not in --corpus",
        )


def _probe(
    folder: Path,
    work: Path,
    learned: Sequence[Passage],
    measured: dict[str, list[Passage]],
    seed: int,
    settings: CompareSettings,
    tell: Narrator,
    title: str,
) -> dict[str, dict[str, float]]:
    """Bits per character of each kind of passage, by steps of continued training."""
    model, tokenizer = load(folder, "mlm", dropout=0.0, dtype=torch.float32), load_tokenizer(folder)
    max_tokens = min(MAX_TOKENS, max_positions(model.config))
    curve: dict[str, dict[str, float]] = {}

    def measure(step: int) -> None:
        was_training = model.training
        model.eval()
        curve[str(step)] = {
            kind: bits_per_character(model, passages, tokenizer, max_tokens=max_tokens)
            for kind, passages in measured.items()
        }
        model.train(was_training)

    class Measured(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % settings.every == 0 or state.global_step == settings.steps:
                measure(state.global_step)

    advance = tell.begin(f"probe of {title}", settings.steps)
    measure(0)
    count = settings.steps * settings.batch
    samples = masked_passages(learned, tokenizer, count=count, max_tokens=max_tokens, seed=seed)
    training = TrainingSettings(
        steps=settings.steps,
        learning=Learning(learning_rate=settings.learning_rate, schedule="constant"),
        batch=settings.batch,
        machine=Machine(save_steps=None),
        seed=seed,
    )
    shutil.rmtree(work, ignore_errors=True)

    train(
        model, cast(Dataset[Any], samples), partial(masked_batch, padding_id=tokenizer.pad_token_id),
        summed_loss, training, work, lambda step, loss: advance(step, f"loss {loss:.3f}"), [Measured()],
    )  # fmt: skip
    shutil.rmtree(work, ignore_errors=True)
    bits = [f"{curve['0'][kind]:.3f} -> {curve[str(settings.steps)][kind]:.3f} {kind}" for kind in measured]
    tell.end(f"bits a character: {', '.join(bits)}")
    return curve


def _shape(model: Path, extended: Path, terms: Sequence[str], unseen: Iterable[Text]) -> dict[str, Any]:
    """Tokens of unseen documents before and after, and what that means for 4,096 of them."""
    old, new = load_tokenizer(model), load_tokenizer(extended)
    documents = before = after = 0
    for text in unseen:
        documents += 1
        before += len(old.backend_tokenizer.encode(make_readable(text.text), add_special_tokens=False).ids)
        after += len(new.backend_tokenizer.encode(make_readable(text.text), add_special_tokens=False).ids)
    return {
        "documents": documents,
        "tokens_per_document": {"before": before / documents, "after": after / documents},
        "context_gained": LONG * (before / after - 1),
        "pieces": len(new) - len(old),
        "pieces_per_term": {"before": _fragments(terms, old), "after": _fragments(terms, new)},
    }


def _fragments(terms: Sequence[str], tokenizer: Any) -> float | None:
    """Pieces of a term, those that continue words aside."""
    whole = [f" {term}" for term in terms if not term.startswith(CONTINUES)]
    encoded = tokenizer.backend_tokenizer.encode_batch(whole, add_special_tokens=False)
    return fmean(len(encoding.ids) for encoding in encoded) if whole else None


def _summary(of_method: Sequence[dict[str, Any]], unextended: Sequence[dict[str, Any]]) -> dict[str, Any]:
    steps = list(of_method[0]["curve"])
    kinds = list(of_method[0]["curve"]["0"])
    goal = {kind: fmean(run["curve"]["0"][kind] for run in unextended) for kind in kinds}
    summary: dict[str, Any] = {}
    for kind in kinds:
        summary[kind] = {}
        for name, step in (("before", steps[0]), ("after", steps[-1])):
            bits = [run["curve"][step][kind] for run in of_method]
            summary[kind] |= {name: fmean(bits), f"{name}_sd": stdev(bits) if len(bits) > 1 else None}
        summary[kind]["steps_to_unextended"] = [
            next((int(step) for step in steps if run["curve"][step][kind] <= goal[kind]), None)
            for run in of_method
        ]
    return summary


def table(results: dict[str, Any]) -> str:
    """The comparison in Markdown."""

    def cell(summary: dict[str, Any]) -> str:
        ends = (
            f"{summary[when]:.3f}" + ("" if (spread := summary[f"{when}_sd"]) is None else f" ± {spread:.3f}")
            for when in ("before", "after")
        )
        return " → ".join(ends)

    def reached(summary: dict[str, Any]) -> str:
        return ", ".join("never" if step is None else str(step) for step in summary["steps_to_unextended"])

    methods = results["methods"]
    last = max(map(int, results["runs"][UNEXTENDED][0]["curve"]))
    kinds = list(methods[UNEXTENDED])
    bits = [(name, *(cell(of_method[kind]) for kind in kinds)) for name, of_method in methods.items()]
    steps = [
        (name, *(reached(of_method[kind]) for kind in kinds))
        for name, of_method in methods.items()
        if name != UNEXTENDED
    ]
    return (
        f"Bits a hidden character, step 0 → step {last}, mean ± standard deviation over seeds:\n\n"
        + markdown_table(("", *kinds), bits)
        + "\n\nSteps until the unextended model's start is reached, by seed:\n\n"
        + markdown_table(("", *kinds), steps)
    )


def _plot(results: dict[str, Any], file: Path) -> None:
    from matplotlib.figure import Figure

    kinds = list(results["methods"][UNEXTENDED])
    figure = Figure(figsize=(4 * len(kinds), 3.8), layout="constrained")
    panels = figure.subplots(1, len(kinds))
    for panel, kind in zip(panels, kinds, strict=True):
        for number, (method, runs) in enumerate(results["runs"].items()):
            steps = [int(step) for step in runs[0]["curve"]]
            values = [fmean(run["curve"][str(step)][kind] for run in runs) for step in steps]
            style = "k--" if method == UNEXTENDED else f"C{number}-"
            panel.plot(steps, values, style, label=method)
        panel.set_title(kind)
        panel.set_xlabel("steps of continued training")
        panel.set_ylabel("bits a hidden character")
        panel.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(file, dpi=120)
