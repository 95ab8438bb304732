"""New rows for new pieces: contexts are found, read by the frozen model, and made into rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors.torch import save
from torch import Tensor
from transformers import AutoConfig

from longbio.artifacts.runs import Run
from longbio.corpus.texts import Text
from longbio.encoders.families import DECODER_BIASES
from longbio.encoders.loading import load
from longbio.errors import LongbioError
from longbio.progress import Narrator
from longbio.vocabulary import initialise
from longbio.vocabulary.contexts import Sought, find_contexts
from longbio.vocabulary.distil import KEPT, DistilSettings, distilled_rows
from longbio.vocabulary.encoded_contexts import (
    Encoded,
    encode,
    pack,
    span_states,
    unpack,
    why_without,
    words_with,
)
from longbio.vocabulary.injection import Injected, as_text, is_byte_level
from longbio.vocabulary.whole_words import Folding

OVERDRAWN = 2
"""Places drawn for each context wanted: at some the word is cut in another way, as behind a bracket."""

CONTEXTS_AT_ONCE = 20_000
"""Read by the encoder between two times that its states are kept."""

EMBEDDINGS = ("word_embeddings.weight",)
"""What checkpoints call the table with a row for each token."""

USUAL_LAYERS = (0, 1, 2, 3)


@dataclass(frozen=True)
class ExtendSettings:
    """How new rows begin.

    Args:
        layers: of `contextual`: 0 for the embeddings, 1 for the first layer; None for those of
            `USUAL_LAYERS` that the model has.
        contexts: of each piece, at most.
        context_tokens: of each, special tokens included.
        calibration: `norm`: rows as long as the old ones; or `none`.
    """

    method: initialise.Method = "contextual"
    layers: tuple[int, ...] | None = None
    contexts: int = 25
    context_tokens: int = 64
    calibration: initialise.Calibration = "norm"
    distil: DistilSettings = DistilSettings()  # noqa: RUF009 - frozen
    seed: int = 0

    @property
    def needs_contexts(self) -> bool:
        """Whether the method reads a corpus."""
        return self.method in initialise.NEEDS_CONTEXTS

    def with_layers(self, num_layers: int) -> ExtendSettings:
        """With the layers that `contextual` will read of a model of that many."""
        if self.layers is not None or self.method != "contextual":
            return self
        return replace(self, layers=tuple(layer for layer in USUAL_LAYERS if layer <= num_layers))


def embeddings_of(weights: Mapping[str, Tensor]) -> Tensor:
    """(V, H) the table with a row for each token."""
    return next(weight for name, weight in weights.items() if name.endswith(EMBEDDINGS))


@dataclass(frozen=True, eq=False)
class Sources:
    """What new rows are made from: a checkpoint, its new tokenizer, a corpus and its words."""

    model: Path
    weights: Mapping[str, Tensor]
    tokenizer: Any
    injected: Injected
    texts: Iterable[Text]
    counts: Mapping[str, int]


def new_rows(
    sources: Sources, settings: ExtendSettings, processes: int, run: Run, tell: Narrator
) -> tuple[Tensor, Tensor | None, dict[str, list[str]]]:
    """Begin the row of every new piece. `run` keeps what was found and learned, so that a killed run goes on.

    Returns:
        (N, H) rows, (N,) biases of the decoder where there is one, and by the reason the pieces without
        a context.

    Raises:
        LongbioError: no piece has a context.
    """
    old_VH = embeddings_of(sources.weights).float()
    pieces = [piece.old_ids for piece in sources.injected.pieces]
    bias_V = next((w.float() for name, w in sources.weights.items() if name.endswith(DECODER_BIASES)), None)
    bias_N = None if bias_V is None else initialise.mean_of_pieces(bias_V, pieces)
    if settings.method == "random":
        std = float(AutoConfig.from_pretrained(str(sources.model)).initializer_range)
        return initialise.random_rows(old_VH, len(pieces), std=std, seed=settings.seed), bias_N, {}
    if settings.method == "gaussian":
        return initialise.gaussian_rows(old_VH, len(pieces), seed=settings.seed), bias_N, {}
    rows_NH = initialise.calibrate(initialise.mean_of_pieces(old_VH, pieces), old_VH, settings.calibration)
    if settings.method == "mean":
        return rows_NH, bias_N, {}
    contexts, without = _contexts(sources, settings, processes, run, tell)
    if settings.method == "contextual":
        numbers, means = _means_of_contexts(sources, settings, contexts, run, tell)
        rows_NH[numbers] = initialise.calibrate(means, old_VH, settings.calibration)
        return rows_NH, bias_N, without
    assert bias_N is not None
    advance = tell.begin(f"{len(contexts):,} contexts distilled", 0)
    rows_NH = distilled_rows(
        load(sources.model, "mlm", dropout=0.0, dtype=torch.float32),
        rows_NH,
        bias_N,
        [context for _, context in contexts],
        sources.injected.pieces[0].id,
        sources.tokenizer,
        settings.distil,
        settings.seed,
        run.folder / KEPT,
        on_step=lambda step: advance(step, ""),
    )
    return rows_NH, bias_N, without


def _contexts(
    sources: Sources, settings: ExtendSettings, processes: int, run: Run, tell: Narrator
) -> tuple[list[tuple[int, Encoded]], dict[str, list[str]]]:
    """Contexts, each with the number of its piece; by the reason the pieces without one."""
    pieces = sources.injected.pieces
    content = run.once(
        "contexts.safetensors", lambda: save(pack(_find_contexts(sources, settings, processes, tell)))
    )
    numbers = {piece.id: number for number, piece in enumerate(pieces)}
    by_piece = unpack(safetensors.torch.load(content))
    contexts = [(numbers[piece], context) for piece, of_piece in by_piece.items() for context in of_piece]
    lacking = [piece for piece in pieces if piece.id not in by_piece]
    without = why_without(lacking, sources.counts, sources.injected.tokenizer) if lacking else {}
    if not contexts:
        reasons = "; ".join(f"{len(some):,} {reason}" for reason, some in without.items())
        raise LongbioError(
            f"{settings.method} needs contexts, and there is none of any piece: {reasons}",
            where="corpus",
            remedy="give texts that use them, or choose the method mean",
        )
    return contexts, without


def _find_contexts(
    sources: Sources, settings: ExtendSettings, processes: int, tell: Narrator
) -> dict[int, tuple[Encoded, ...]]:
    tokenizer, injected = sources.tokenizer, sources.injected
    words = words_with(injected.pieces, sources.counts, injected.tokenizer, settings.contexts)
    # A piece that begins words is learned from the word that it is: its longer ones hold more.
    space = " " if is_byte_level(injected.tokenizer.backend_tokenizer) else ""
    for piece in injected.pieces:
        whole = space + as_text(piece.piece, injected.tokenizer.backend_tokenizer)
        if whole in sources.counts:
            words[piece.id] = [whole]
    wanted = {word.strip() for of_piece in words.values() for word in of_piece if word.strip().isalnum()}
    advance = tell.begin(f"contexts of {len(wanted):,} words", 0)
    sought = Sought(
        tuple(sorted(wanted)),
        Folding.of(tokenizer),
        OVERDRAWN * settings.contexts,
        4 * settings.context_tokens,
        settings.seed,
    )
    by_word = find_contexts(
        sources.texts, sought, processes=processes, on_texts=lambda n: advance(n, f"{n:,} texts")
    )
    by_piece = {
        piece: sorted(context for word in of_piece for context in by_word.get(word.strip(), ()))
        for piece, of_piece in words.items()
    }
    new, tokens = injected.tokenizer, settings.context_tokens
    return encode(by_piece, tokenizer, new, max_tokens=tokens, most=settings.contexts)


def _means_of_contexts(
    sources: Sources,
    settings: ExtendSettings,
    contexts: Sequence[tuple[int, Encoded]],
    run: Run,
    tell: Narrator,
) -> tuple[list[int], Tensor]:
    """Numbers of the pieces with contexts, and for each the mean of its states."""
    layers = settings.layers
    assert layers is not None, "extend says which"
    numbers = sorted({number for number, _ in contexts})
    place_of = {number: place for place, number in enumerate(numbers)}
    owner_C = torch.tensor([place_of[number] for number, _ in contexts])
    advance = tell.begin(f"{len(contexts):,} contexts through the encoder", len(contexts))
    encoder = load(sources.model, "features", dtype=torch.float32)

    def part(first: int) -> tuple[Tensor, Tensor]:
        some = [context for _, context in contexts[first : first + CONTEXTS_AT_ONCE]]

        def read() -> bytes:
            told = lambda count: advance(first + count, "")  # noqa: E731
            padding = sources.tokenizer.pad_token_id
            return save({"states": span_states(encoder, some, layers, padding, on_context=told).contiguous()})

        states_CH = safetensors.torch.load(run.once(f"states-{first:09}.safetensors", read))["states"]
        return states_CH, owner_C[first : first + len(some)]

    parts = (part(first) for first in range(0, len(contexts), CONTEXTS_AT_ONCE))
    return numbers, initialise.mean_of_contexts(parts, len(numbers))
