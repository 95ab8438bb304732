"""New rows for new pieces: contexts are found, read by the frozen model, and made into rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from longbio.vocabulary.contexts import Context, Sought, find_contexts
from longbio.vocabulary.distil import KEPT, DistilSettings, distilled_rows
from longbio.vocabulary.injection import Injected, as_text, is_byte_level
from longbio.vocabulary.matching import Folding
from longbio.vocabulary.spans import Encoded, encode, packed, unpacked, why_without, words_with
from longbio.vocabulary.states import span_states

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
        method: see `initialise`.
        layers: of `contextual`: 0 for the embeddings, 1 for the first layer; None for those of
            `USUAL_LAYERS` that the model has.
        contexts: of each piece, at most.
        context_tokens: of each, special tokens included.
        calibration: `norm`: rows as long as the old ones; or `none`.
        distil: of `token-distillation`.
        seed: of every draw.
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
        """With the layers that will be read of a model of that many; others than contextual read none."""
        if self.layers is not None or self.method != "contextual":
            return self
        return replace(self, layers=tuple(layer for layer in USUAL_LAYERS if layer <= num_layers))


def width_of(weights: Mapping[str, Tensor]) -> int:
    """Numbers of a row."""
    return next(weight.shape[1] for name, weight in weights.items() if name.endswith(EMBEDDINGS))


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
    """Begin the row of every new piece.

    Args:
        sources: what rows are made from.
        settings: how.
        processes: that search the corpus.
        run: keeps contexts, states and what was learned, so that a killed run goes on.
        tell: told of the progress.

    Returns:
        (N, H) rows, (N,) biases of the decoder where there is one, and by the reason the pieces without
        a context.

    Raises:
        LongbioError: no piece has a context.
    """
    model, weights, tokenizer, injected = sources.model, sources.weights, sources.tokenizer, sources.injected
    old_VH = next(weight for name, weight in weights.items() if name.endswith(EMBEDDINGS)).float()
    pieces = [piece.old_ids for piece in injected.pieces]
    bias = next((weight.float() for name, weight in weights.items() if name.endswith(DECODER_BIASES)), None)
    biases = None if bias is None else initialise.mean_of_pieces(bias, pieces)
    if settings.method == "random":
        std = float(AutoConfig.from_pretrained(str(model)).initializer_range)
        return initialise.random_rows(old_VH, len(pieces), std=std, seed=settings.seed), biases, {}
    if settings.method == "gaussian":
        return initialise.gaussian_rows(old_VH, len(pieces), seed=settings.seed), biases, {}
    rows = initialise.calibrated(initialise.mean_of_pieces(old_VH, pieces), old_VH, settings.calibration)
    if settings.method == "mean":
        return rows, biases, {}

    found = run.once(
        "contexts.safetensors", lambda: save(packed(_encoded_contexts(sources, settings, processes, tell)))
    )
    contexts = unpacked(safetensors.torch.load(found))
    numbers = {piece.id: number for number, piece in enumerate(injected.pieces)}
    flat = [(numbers[piece], each) for piece, of_piece in contexts.items() for each in of_piece]
    with_contexts = {number: place for place, number in enumerate(sorted({number for number, _ in flat}))}
    lacking = [piece for number, piece in enumerate(injected.pieces) if number not in with_contexts]
    without = why_without(lacking, sources.counts, injected.tokenizer) if lacking else {}
    if not flat:
        reasons = "; ".join(f"{len(some):,} {reason}" for reason, some in without.items())
        raise LongbioError(
            f"{settings.method} needs contexts, and there is none of any piece: {reasons}",
            where="corpus",
            remedy="give texts that use them, or choose the method mean",
        )
    if settings.method == "contextual":
        layers = settings.layers
        assert layers is not None, "extend says which"
        owner_C = torch.tensor([with_contexts[number] for number, _ in flat])
        advance = tell.begin(f"{len(flat):,} contexts through the encoder", len(flat))
        encoder = load(model, "features", dtype=torch.float32)
        every = [each for _, each in flat]

        def part(first: int) -> tuple[Tensor, Tensor]:
            some = every[first : first + CONTEXTS_AT_ONCE]

            def read() -> bytes:
                told = lambda count: advance(first + count, "")  # noqa: E731
                states_CH = span_states(encoder, some, layers, tokenizer.pad_token_id, on_context=told)
                return save({"states": states_CH.contiguous()})

            states = safetensors.torch.load(run.once(f"states-{first:09}.safetensors", read))["states"]
            return states, owner_C[first : first + len(some)]

        parts = (part(first) for first in range(0, len(every), CONTEXTS_AT_ONCE))
        means = initialise.mean_of_contexts(parts, len(with_contexts))
        rows[list(with_contexts)] = initialise.calibrated(means, old_VH, settings.calibration)
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
            run.folder / KEPT,
            on_step=lambda step: advance(step, ""),
        )
    return rows, biases, without


def _encoded_contexts(
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
