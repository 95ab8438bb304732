"""`extend`: a checkpoint learns new words: pieces in its tokenizer, rows in its tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import psutil
import torch
from safetensors.torch import save_file
from torch import Tensor

import longbio
from longbio.artifacts.atomic_files import digest_of_text, read_json, write_json, write_text_atomically
from longbio.artifacts.cards import markdown_table
from longbio.artifacts.checkpoints import checkpoint_digest, read_weights
from longbio.artifacts.runs import Run, make_once
from longbio.corpus.texts import Text
from longbio.encoders.card_calls import call, card
from longbio.encoders.families import DECODER_BIASES, DECODERS, max_positions
from longbio.encoders.loading import config_of, load_tokenizer
from longbio.errors import LongbioError
from longbio.progress import Narrator, Silence
from longbio.vocabulary.injection import Injected, NewPiece, as_text, inject
from longbio.vocabulary.new_rows import (
    EMBEDDINGS,
    USUAL_LAYERS,
    ExtendSettings,
    Sources,
    embeddings_of,
    new_rows,
)
from longbio.vocabulary.word_counts import count_words, encode_words, key_of

REPORT = "extension.json"

CONTEXT_BYTES = 1200
"""Of a context beside its letters and tokens: Python's own objects, of twice as many drawn."""

BYTES_PER_TOKEN = 24
"""Letters of the text around a word, and two numbers."""

COPIES = 6
"""Of the new rows: themselves, their gradients, two moments, the grown table, what is kept."""


def extend(
    model: Path,
    out: Path,
    terms: Sequence[str],
    texts: Iterable[Text] = (),
    *,
    settings: ExtendSettings | None = None,
    processes: int = 1,
    force: bool = False,
    tell: Narrator | None = None,
) -> dict[str, Any]:
    """Write a checkpoint whose vocabulary holds `terms` too; all that was there stays as it was.

    Args:
        model: a short or long checkpoint.
        terms: words, and pieces that begin with `##` for WordPiece.
        texts: a list or a `Corpus`, read twice where pieces within words are among the terms;
            methods that need no contexts do without.

    Returns:
        What is saved as `extension.json`.

    Raises:
        LongbioError: the tokenizer or the model can't be extended, no term can be a piece, a
            method needs contexts and there is no corpus, or memory is too short.
    """
    settings, tell = settings or ExtendSettings(), tell or Silence()
    tokenizer = load_tokenizer(model)
    # A checkpoint is published: terms that are not in its vocabulary stay private.
    made_of = {
        "model": checkpoint_digest(model),
        # A tokenizer is more than its files: its casing may have been found out.
        "tokenizer": digest_of_text(tokenizer.backend_tokenizer.to_str()),
        "terms": digest_of_text(json.dumps(list(terms))),
        "settings": asdict(settings),
        "texts": key_of(texts),
    }

    def make(folder: Path) -> dict[str, Any]:
        with Run.scratch(out, made_of) as run:
            return _extend(model, tokenizer, terms, texts, settings, processes, folder, out.name, run, tell)

    report = make_once(out, REPORT, made_of, make, force=force)
    numbers = report["settings"]["layers"], report["layers_missing"]
    layers, absent = (", ".join(map(str, some or ())) for some in numbers)
    was_missing = f"; layers {layers} were read: the model has no layer {absent}" if absent else ""
    tell.end(f"{len(report['pieces']):,} new pieces in {out}{was_missing}")
    return report


def _extend(
    model: Path,
    tokenizer: Any,
    terms: Sequence[str],
    texts: Iterable[Text],
    settings: ExtendSettings,
    processes: int,
    folder: Path,
    name: str,
    run: Run,
    tell: Narrator,
) -> dict[str, Any]:
    weights, config = read_weights(model), config_of(model)
    injected = inject(tokenizer, terms)
    reasons = [f"{len(words):,} {reason}" for reason, words in injected.refused.items()]
    if not injected.pieces:
        raise LongbioError(
            f"no term can become a piece ({', '.join(reasons) or 'there is none'})", where="terms"
        )
    check_settings(settings, config, weights, model)
    usual, settings = settings.layers is None, settings.with_layers(config.num_hidden_layers)
    missing = sorted({*USUAL_LAYERS} - {*settings.layers}) if usual and settings.layers else []
    _refuse_beyond_memory(len(injected.pieces), embeddings_of(weights).shape[1], settings)
    if injected.refused:
        tell.begin("terms", 0)
        some = (", ".join(words[:5]) for words in injected.refused.values())
        named = (f"{reason}, {words} …" for reason, words in zip(reasons, some, strict=True))
        tell.end(f"no pieces: {'; '.join(named)}")
    counts = _count(texts, tokenizer, processes, tell) if texts else Counter[str]()
    sources = Sources(model, weights, tokenizer, injected, texts, counts)
    rows, biases, without = new_rows(sources, settings, processes, run, tell)
    _write(folder, model, weights, injected, rows, biases)
    report = {
        "origin": model.name,
        "terms": len(terms),
        "pieces": [_description(piece, tokenizer) for piece in injected.pieces],
        "refused": {reason: len(words) for reason, words in injected.refused.items()},
        "needs_contexts": settings.needs_contexts,
        "without_contexts": [piece for some in without.values() for piece in some],
        "without_contexts_because": without,
        "settings": asdict(settings),
        "layers_missing": missing,
        "old_tokens": injected.pieces[0].id,
        "corpus": segmentation(counts, tokenizer, injected) if counts else None,
    }
    readme = render_card(report, name, config.model_type, has_head=biases is not None)
    write_text_atomically(folder / "README.md", readme)
    return report


def _count(texts: Iterable[Text], tokenizer: Any, processes: int, tell: Narrator) -> Counter[str]:
    advance = tell.begin("words of the corpus", 0)
    told = lambda count: advance(count, f"{count:,} texts")  # noqa: E731
    counts = count_words(texts, tokenizer, processes=processes, on_texts=told).counts
    tell.end(f"{counts.total():,} words")
    return counts


def _description(piece: NewPiece, old: Any) -> dict[str, Any]:
    replaces = old.convert_ids_to_tokens(piece.old_ids)
    return {"piece": piece.piece, "id": piece.id, "replaces": replaces, "asked": piece.is_asked}


def _refuse_beyond_memory(pieces: int, width: int, settings: ExtendSettings) -> None:
    """Before the corpus is read: new rows and their contexts, the model and the corpus' words aside."""
    contexts = settings.contexts if settings.needs_contexts else 0
    of_context = CONTEXT_BYTES + settings.context_tokens * BYTES_PER_TOKEN
    needed = pieces * (4 * width * COPIES + contexts * of_context)
    free = psutil.virtual_memory().available
    # A container may have less.
    with suppress(OSError, ValueError):
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    if needed > free:
        raise LongbioError(
            f"the new pieces and their contexts need about {needed / 2**30:,.1f} GiB of memory,"
            f" {free / 2**30:,.1f} are free",
            where="terms",
            remedy="take fewer terms, or fewer or shorter contexts of each",
        )


def check_settings(settings: ExtendSettings, config: Any, weights: Mapping[str, Tensor], where: Path) -> None:
    """Raises LongbioError for a model that can't be extended, or not so; reads no corpus."""

    def refuse(message: str, remedy: str) -> NoReturn:
        raise LongbioError(message, where=where, remedy=remedy)

    if not getattr(config, "tie_word_embeddings", True):
        refuse(
            "its input and output embeddings are not tied, and new rows would need two tables",
            "take a model with tied embeddings",
        )
    tables = [name for name in weights if name.endswith(EMBEDDINGS)]
    if len(tables) != 1:
        refuse(f"{len(tables)} tables of word embeddings are there, one is wanted", "take another model")
    if not settings.needs_contexts:
        return
    positions = max_positions(config)
    if settings.contexts < 1 or not 8 <= settings.context_tokens <= positions:
        refuse(
            f"{settings.contexts} contexts of {settings.context_tokens} tokens can't be read",
            f"take one context at least, of 8 to {positions} tokens",
        )
    if settings.method == "token-distillation":
        if not any(name.endswith(DECODER_BIASES) for name in weights):
            refuse(
                "token-distillation needs a masked-LM head",
                "choose contextual, or train one: configs/pretrain/head.yaml",
            )
        return
    layers = config.num_hidden_layers
    wanted = settings.with_layers(layers).layers
    if not wanted or not all(0 <= layer <= layers for layer in wanted):
        refuse(
            f"of layers {wanted} not all are there: the model has {layers}",
            "choose from 0, the embeddings, to the last",
        )
    width = embeddings_of(weights).shape[1]
    if width != config.hidden_size:
        refuse(
            f"its rows have {width} numbers and its states {config.hidden_size}: contextual"
            " can't make the one of the other",
            "choose mean or token-distillation",
        )


def segmentation(counts: Mapping[str, int], old: Any, injected: Injected) -> dict[str, Any]:
    """How the words of a corpus are cut by the old tokenizer and by the new one, those that nobody asked for
    as well."""
    words, new = list(counts), injected.tokenizer
    asked = {as_text(piece.piece, new.backend_tokenizer) for piece in injected.pieces if piece.is_asked}
    changed, occurrences = "other_words_changed", "other_words_changed_occurrences"
    keys = ("words", "tokens_before", "tokens_after", changed, occurrences, "words_that_became_unknown")
    total = dict.fromkeys(keys, 0)
    for word, before, after in zip(words, encode_words(words, old), encode_words(words, new), strict=True):
        count = counts[word]
        total["words"] += count
        total["tokens_before"] += count * len(before.ids)
        total["tokens_after"] += count * len(after.ids)
        if before.ids != after.ids and word.strip() not in asked:
            total[changed] += 1
            total[occurrences] += count
            # A longer piece can leave a rest that has none.
            is_lost = old.unk_token_id in after.ids and old.unk_token_id not in before.ids
            total["words_that_became_unknown"] += is_lost
    return total


def _write(
    folder: Path,
    model: Path,
    weights: Mapping[str, Tensor],
    injected: Injected,
    rows: Tensor,
    biases: Tensor | None,
) -> None:
    ids = torch.tensor([piece.id for piece in injected.pieces])

    def grow(old: Tensor, new: Tensor) -> Tensor:
        # Tables may have spare rows beyond the old vocabulary: those are used first.
        spare = max(0, int(ids[-1]) + 1 - len(old))
        whole = torch.cat([old, old.new_zeros(spare, *old.shape[1:])])
        whole[ids] = new.to(old.dtype)
        return whole

    state = {}
    for name, weight in weights.items():
        if name.endswith((*EMBEDDINGS, *DECODERS)):
            state[name] = grow(weight, rows)
        elif name.endswith(DECODER_BIASES):
            assert biases is not None
            state[name] = grow(weight, biases)
        else:
            state[name] = weight.contiguous()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = read_json(model / "config.json")
    config["vocab_size"] = len(next(w for n, w in state.items() if n.endswith(EMBEDDINGS)))
    write_json(folder / "config.json", config)
    injected.tokenizer.save_pretrained(folder)


def render_card(report: Mapping[str, Any], name: str, model_type: str, *, has_head: bool) -> str:
    """The README.md of an extended checkpoint, from its `extension.json`; `has_head`: it predicts words.
    It names no word."""
    settings = report["settings"]
    used = ["method", "seed"] if settings["method"] in ("random", "gaussian") else ["method", "calibration"]
    if report["needs_contexts"]:
        used += ["contexts", "context_tokens", "seed"]
        used += ["layers"] if settings["method"] == "contextual" else ["distil"]
    task = "mlm" if has_head else "features"
    because = "; ".join(
        f"{len(some):,} {reason}" for reason, some in report["without_contexts_because"].items()
    )
    without = (
        f"{len(report['without_contexts']):,} pieces had no context and began as the mean of their old ones"
    )
    without += f": {because}." if because else "."
    sections = [
        (
            "How to load it",
            "With plain transformers, its own tokenizer beside it; or with longbio:\n\n```python\n"
            f'import longbio\nmodel = longbio.load("{name}", task="{task}")\n```',
        ),
        (
            "Where it comes from",
            f"`{report['origin']}` and {len(report['pieces']):,} pieces more, longbio {longbio.__version__}."
            f" Ids and rows of the {report['old_tokens']:,} old pieces, and all other weights, are its own."
            " The new pieces are words of the texts they were mined from: see `extension.json`.",
        ),
        (
            "How the new rows began",
            markdown_table(("setting", "value"), [(key, f"`{settings[key]}`") for key in used])
            + (f"\n\n{without}" if report["needs_contexts"] else ""),
        ),
    ]
    if report["corpus"]:
        figures = [(key.replace("_", " "), f"{count:,}") for key, count in report["corpus"].items()]
        sections.append(("The corpus, cut before and after", markdown_table(("", "count"), figures)))
    return card(name, task, model_type, sections, call(task, name, model_type))
