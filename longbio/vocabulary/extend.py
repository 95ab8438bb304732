"""`extend`: a checkpoint learns new words: pieces in its tokenizer, rows in its tables."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig

from longbio.artifacts.checkpoints import read_weights, weights_digest
from longbio.artifacts.files import read_json, write_json, write_text_atomically
from longbio.artifacts.folders import refuse_unless_free, staged_folder
from longbio.corpus.texts import Text
from longbio.encoders.loading import load, load_tokenizer
from longbio.errors import LongbioError
from longbio.pretraining.learning import max_positions
from longbio.progress import Narrator, Silence
from longbio.vocabulary import card, initialise
from longbio.vocabulary.contexts import Context, Sought, find_contexts
from longbio.vocabulary.distil import DistilSettings, distilled_rows
from longbio.vocabulary.injection import Injected, as_text, inject, is_byte_level
from longbio.vocabulary.matching import Folding
from longbio.vocabulary.memory import needed_bytes, refuse_beyond_memory
from longbio.vocabulary.spans import Encoded, encode, packed, unpacked, words_with
from longbio.vocabulary.states import span_states
from longbio.vocabulary.words import count_words, encoded
from longbio.vocabulary.work import Work, key_of

REPORT = "extension.json"

OVERDRAWN = 2
"""Places drawn for each context wanted: at some the word is cut in another way, as behind a bracket."""

CONTEXTS_AT_ONCE = 20_000
"""Read by the encoder between two times that its states are kept."""

SEGMENTATION = (
    "words",
    "tokens_before",
    "tokens_after",
    "other_words_changed",
    "other_words_changed_occurrences",
    "words_that_became_unknown",
)

EMBEDDINGS = ("word_embeddings.weight",)
DECODERS = (
    "lm_head.decoder.weight",
    "cls.predictions.decoder.weight",
    "generator_lm_head.weight",
    "vocab_projector.weight",
)
BIASES = (
    "lm_head.bias",
    "lm_head.decoder.bias",
    "cls.predictions.bias",
    "cls.predictions.decoder.bias",
    "generator_lm_head.bias",
    "vocab_projector.bias",
)
"""What checkpoints call the tables with a row for each token."""


@dataclass(frozen=True)
class ExtendSettings:
    """How new rows begin.

    Args:
        method: see `initialise`.
        layers: of `contextual`: 0 for the embeddings, 1 for the first layer.
        contexts: of each piece, at most.
        context_tokens: of each, special tokens included.
        calibration: `norm`: rows as long as the old ones; or `none`.
        distil: of `token-distillation`.
        seed: of every draw.
    """

    method: initialise.Method = "contextual"
    layers: tuple[int, ...] = (0, 1, 2, 3)
    contexts: int = 25
    context_tokens: int = 64
    calibration: initialise.Calibration = "norm"
    distil: DistilSettings = DistilSettings()  # noqa: RUF009 - frozen
    seed: int = 0

    @property
    def needs_contexts(self) -> bool:
        """Whether the method reads a corpus."""
        return self.method in initialise.NEEDS_CONTEXTS


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
        out: the folder to make.
        terms: words, and pieces that begin with `##` for WordPiece.
        texts: a list or a `Corpus`, read twice where pieces within words are among the terms;
            methods that need no contexts do without.
        settings: how new rows begin.
        processes: that search the corpus.
        force: replace what stands in `out`.
        tell: told of the progress.

    Returns:
        What is saved as `extension.json`; there refused terms are counted, here they are named.

    Raises:
        LongbioError: the tokenizer or the model can't be extended, no term can be a piece, a
            method needs contexts and there is no corpus, or memory is too short.
    """
    settings, tell = settings or ExtendSettings(), tell or Silence()
    refuse_unless_free(out, force=force)
    tokenizer = load_tokenizer(model)
    weights = read_weights(model)
    injected = inject(tokenizer, terms)
    if not injected.pieces:
        reasons = ", ".join(f"{len(words)} {reason}" for reason, words in injected.refused.items())
        raise LongbioError(f"no term can become a piece ({reasons or 'there is none'})", where="terms")
    config = AutoConfig.from_pretrained(str(model))
    check_settings(settings, config, weights, model)
    contexts = settings.contexts if settings.needs_contexts else 0
    refuse_beyond_memory(
        needed_bytes(len(injected.pieces), _width(weights), contexts, settings.context_tokens)
    )
    counts = Counter[str]()
    if texts:
        advance = tell.begin("words of the corpus", 0)
        told = lambda count: advance(count, f"{count:,} texts")  # noqa: E731
        counts = count_words(texts, tokenizer, processes=processes, on_texts=told).counts
        tell.end(f"{counts.total():,} words")
    read = tokenizer.backend_tokenizer.to_str()
    asked = [weights_digest(model), read, list(terms), asdict(settings), key_of(texts)]
    work = Work(out, hashlib.sha256(json.dumps(asked).encode()).hexdigest())
    sources = _Sources(model, weights, tokenizer, injected, texts, counts)
    try:
        rows, biases, without = _new_rows(sources, settings, processes, work, tell)
    except LongbioError:
        work.clear()
        raise
    report = {
        "origin": model.name,
        "terms": len(terms),
        "pieces": [
            {
                "piece": piece.piece,
                "id": piece.id,
                "replaces": tokenizer.convert_ids_to_tokens(piece.old_ids),
                "asked": piece.is_asked,
            }
            for piece in injected.pieces
        ],
        "refused": {reason: list(words) for reason, words in injected.refused.items()},
        "needs_contexts": settings.needs_contexts,
        "without_contexts": without,
        "settings": asdict(settings),
        "old_tokens": injected.pieces[0].id,
        "corpus": segmentation(counts, tokenizer, injected) if counts else None,
    }
    with staged_folder(out, force=force) as partial:
        _write(partial, model, weights, injected, rows, biases)
        # A checkpoint is published; what is not in its vocabulary is nobody's business.
        counted = {reason: len(words) for reason, words in injected.refused.items()}
        write_json(partial / REPORT, report | {"refused": counted})
        readme = card.render(report, out.name, config.model_type, has_head=biases is not None)
        write_text_atomically(partial / "README.md", readme)
    work.clear()
    tell.end(f"{len(injected.pieces):,} new pieces in {out}")
    return report


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
        if not any(name.endswith(BIASES) for name in weights):
            refuse(
                "token-distillation needs a masked-LM head",
                "choose contextual, or train one: configs/pretrain/head.yaml",
            )
        return
    layers = config.num_hidden_layers
    if not settings.layers or not all(0 <= layer <= layers for layer in settings.layers):
        refuse(
            f"of layers {settings.layers} not all are there: the model has {layers}",
            "choose from 0, the embeddings, to the last",
        )
    if _width(weights) != config.hidden_size:
        refuse(
            f"its rows have {_width(weights)} numbers and its states {config.hidden_size}: contextual"
            " can't make the one of the other",
            "choose mean or token-distillation",
        )


def _width(weights: Mapping[str, Tensor]) -> int:
    return next(weight.shape[1] for name, weight in weights.items() if name.endswith(EMBEDDINGS))


def segmentation(counts: Mapping[str, int], old: Any, injected: Injected) -> dict[str, Any]:
    """How the words of a corpus are cut before and after, those that nobody asked for as well.

    Args:
        counts: of the words.
        old: the tokenizer without the pieces.
        injected: with them.
    """
    words = list(counts)
    backend = injected.tokenizer.backend_tokenizer
    asked = {as_text(piece.piece, backend) for piece in injected.pieces if piece.is_asked}
    total = Counter[str]()
    for word, one, other in zip(words, encoded(words, old), encoded(words, injected.tokenizer), strict=True):
        count = counts[word]
        total["words"] += count
        total["tokens_before"] += count * len(one.ids)
        total["tokens_after"] += count * len(other.ids)
        if one.ids != other.ids and word.strip() not in asked:
            total["other_words_changed"] += 1
            total["other_words_changed_occurrences"] += count
            # A longer piece can leave a rest that has none.
            is_lost = old.unk_token_id in other.ids and old.unk_token_id not in one.ids
            total["words_that_became_unknown"] += is_lost
    return {key: total[key] for key in SEGMENTATION}


@dataclass(frozen=True, eq=False)
class _Sources:
    """What new rows are made from."""

    model: Path
    weights: Mapping[str, Tensor]
    tokenizer: Any
    injected: Injected
    texts: Iterable[Text]
    counts: Mapping[str, int]


def _new_rows(
    sources: _Sources, settings: ExtendSettings, processes: int, work: Work, tell: Narrator
) -> tuple[Tensor, Tensor | None, list[str]]:
    """(N, H) rows, (N,) biases of the decoder where there is one, and pieces without a context."""
    model, weights, tokenizer, injected = sources.model, sources.weights, sources.tokenizer, sources.injected
    old_VH = next(weight for name, weight in weights.items() if name.endswith(EMBEDDINGS)).float()
    pieces = [piece.old_ids for piece in injected.pieces]
    bias = next((weight.float() for name, weight in weights.items() if name.endswith(BIASES)), None)
    biases = None if bias is None else initialise.mean_of_pieces(bias, pieces)
    if settings.method == "random":
        std = float(AutoConfig.from_pretrained(str(model)).initializer_range)
        return initialise.random_rows(old_VH, len(pieces), std=std, seed=settings.seed), biases, []
    if settings.method == "gaussian":
        return initialise.gaussian_rows(old_VH, len(pieces), seed=settings.seed), biases, []
    rows = initialise.calibrated(initialise.mean_of_pieces(old_VH, pieces), old_VH, settings.calibration)
    if settings.method == "mean":
        return rows, biases, []

    contexts = unpacked(
        work.once("contexts", lambda: packed(_encoded_contexts(sources, settings, processes, tell)))
    )
    numbers = {piece.id: number for number, piece in enumerate(injected.pieces)}
    flat = [(numbers[piece], each) for piece, of_piece in contexts.items() for each in of_piece]
    with_contexts = {number: place for place, number in enumerate(sorted({number for number, _ in flat}))}
    without = [p.piece for n, p in enumerate(injected.pieces) if n not in with_contexts]
    if not flat:
        raise LongbioError(
            f"{settings.method} needs contexts and the corpus holds none of the terms",
            where="corpus",
            remedy="give texts that use them, or choose the method mean",
        )
    if settings.method == "contextual":
        owner_C = torch.tensor([with_contexts[number] for number, _ in flat])
        advance = tell.begin(f"{len(flat):,} contexts through the encoder", len(flat))
        encoder = load(model, "features", dtype=torch.float32)
        every = [each for _, each in flat]

        def part(first: int) -> tuple[Tensor, Tensor]:
            some = every[first : first + CONTEXTS_AT_ONCE]

            def read() -> dict[str, Tensor]:
                told = lambda count: advance(first + count, "")  # noqa: E731
                states_CH = span_states(
                    encoder, some, settings.layers, tokenizer.pad_token_id, on_context=told
                )
                return {"states": states_CH}

            return work.once(f"states-{first:09}", read)["states"], owner_C[first : first + len(some)]

        parts = (part(first) for first in range(0, len(every), CONTEXTS_AT_ONCE))
        found = initialise.mean_of_contexts(parts, len(with_contexts))
        rows[list(with_contexts)] = initialise.calibrated(found, old_VH, settings.calibration)
    else:
        assert biases is not None
        advance = tell.begin(f"{len(flat):,} contexts distilled", 0)
        rows = distilled_rows(
            load(model, "mlm", dropout=0.0, dtype=torch.float32),
            rows,
            biases,
            [each for _, each in flat],
            injected.pieces[0].id,
            tokenizer,
            settings.distil,
            settings.seed,
            work,
            on_step=lambda step: advance(step, ""),
        )
    return rows, biases, without


def _encoded_contexts(
    sources: _Sources, settings: ExtendSettings, processes: int, tell: Narrator
) -> dict[int, tuple[Encoded, ...]]:
    tokenizer, injected = sources.tokenizer, sources.injected
    words = words_with(injected.pieces, sources.counts, injected.tokenizer, settings.contexts)
    # A piece that begins words is learned from the word that it is: its longer ones hold more.
    space = " " if is_byte_level(injected.tokenizer.backend_tokenizer) else ""
    for piece in injected.pieces:
        whole = space + as_text(piece.piece, injected.tokenizer.backend_tokenizer)
        if whole in sources.counts:
            words[piece.id] = [whole]
    wanted = sorted(
        {word.strip() for of_piece in words.values() for word in of_piece if word.strip().isalnum()}
    )
    advance = tell.begin(f"contexts of {len(wanted):,} words", 0)
    sought = Sought(
        tuple(wanted),
        Folding.of(tokenizer),
        OVERDRAWN * settings.contexts,
        4 * settings.context_tokens,
        settings.seed,
    )
    found = find_contexts(
        sources.texts, sought, processes=processes, on_texts=lambda n: advance(n, f"{n:,} texts")
    )
    by_piece: dict[int, list[Context]] = {}
    for number, of_piece in words.items():
        drawn = sorted(context for word in of_piece for context in found.get(word.strip(), ()))
        by_piece[number] = drawn
    return encode(
        by_piece,
        tokenizer,
        injected.tokenizer,
        max_tokens=settings.context_tokens,
        most=settings.contexts,
    )


def _write(
    folder: Path,
    model: Path,
    weights: Mapping[str, Tensor],
    injected: Injected,
    rows: Tensor,
    biases: Tensor | None,
) -> None:
    ids = torch.tensor([piece.id for piece in injected.pieces])

    def grown(old: Tensor, new: Tensor) -> Tensor:
        # Tables may have spare rows beyond the old vocabulary: those are used first.
        spare = max(0, int(ids[-1]) + 1 - len(old))
        whole = torch.cat([old, old.new_zeros(spare, *old.shape[1:])])
        whole[ids] = new.to(old.dtype)
        return whole

    state = {}
    for name, weight in weights.items():
        if name.endswith((*EMBEDDINGS, *DECODERS)):
            state[name] = grown(weight, rows)
        elif name.endswith(BIASES):
            assert biases is not None
            state[name] = grown(weight, biases)
        else:
            state[name] = weight.contiguous()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = read_json(model / "config.json")
    config["vocab_size"] = len(next(w for n, w in state.items() if n.endswith(EMBEDDINGS)))
    write_json(folder / "config.json", config)
    injected.tokenizer.save_pretrained(folder)
