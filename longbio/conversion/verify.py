"""The proof of a conversion: five questions, each answered with a number.

1. Does the long model equal its source wherever both see the same tokens?
2. Does its kernel equal the reference at full length?
3. Is the folder native?
4. Does the tokenizer still give the same ids?
5. Does it predict masked words at lengths the source never saw?
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel

from longbio.conversion import native, proof_cases
from longbio.conversion.proof_cases import CLINICAL_STRINGS, Case, padded_case, random_ids
from longbio.conversion.settings import ConversionSettings
from longbio.conversion.sources import Source
from longbio.encoders.families import TARGETS
from longbio.encoders.loading import load, quiet, set_kernel
from longbio.encoders.tokenizer_files import TokenizerFiles
from longbio.errors import LongbioError
from longbio.masked_lm.evaluation import bits_per_masked_token
from longbio.masked_lm.masking import Vocabulary, mask_tokens

EXACT = 1e-5
"""Largest difference allowed, relative to the larger of 1 and the largest value compared."""

FULL_LENGTH = 1e-4
"""The same for whole models at full length, where rounding adds up over thousands of keys."""

TELLING_BITS = 0.1
"""Random positions must cost a source this much before bits per masked token judge anything."""

WORDS = 0.95
"""Share of a vocabulary's whole words that a text with such a word in it has to give back: an uncased
vocabulary may hold some capitals, which never come out."""

UNKNOWN = 0.05
"""Share of a note's words that may hold unknown tokens, which is 0.002 or less where a tokenizer fits: an
uncased vocabulary read in its own case has 0.15."""

GLOBAL_EVERY = 97  # tokens between global ones, so that they fall anywhere in a tile
BITS_LENGTHS = (512, 1024, 2048)


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Args:
        name: what was compared.
        value: what was measured.
        limit: what it may be, in words.
        passed: None for a value that is reported and not judged.
    """

    name: str
    value: str
    limit: str
    passed: bool | None


def verify(
    source: Source,
    folder: Path,
    settings: ConversionSettings,
    *,
    kernel: str = "auto",
    text: str | None = None,
    on_check: Callable[[Check], None] = lambda check: None,
) -> dict[str, Any]:
    """Compare a converted folder with its source: for `conversion.json`, all checks and how long they took.

    Args:
        settings: how it was converted.
        kernel: the kernel to prove.
        text: what masked words are taken from; embedded notes when None.
        on_check: told of every check as it is done.
    """
    start = time.monotonic()
    checks = []
    for check in chain(
        same_as_source(source, folder, settings, kernel),
        same_as_reference_and_native(source, folder, settings, kernel),
        same_token_ids(source, folder, text),
        same_use_of_positions(source, folder, settings, kernel, text),
    ):
        on_check(check)
        checks.append(check)
    return {
        "passed": all(check.passed is not False for check in checks),
        "seconds": round(time.monotonic() - start, 1),
        "checks": [asdict(check) for check in checks],
    }


def same_as_source(
    source: Source, folder: Path, settings: ConversionSettings, kernel: str
) -> Iterator[Check]:
    """Hidden states, pooler and logits on short inputs, padded either way, with token types."""
    num_types = getattr(source.config, "type_vocab_size", 0)
    num_source = source.num_tokens
    exact = min(settings.exact_tokens, num_source)
    lengths = (exact, max(3, exact // 2))
    cases = [
        padded_case("padding right", source.tokenizer, lengths),
        padded_case("padding left", source.tokenizer, lengths, side="left"),
    ]
    if num_types > 1:
        cases.append(padded_case("token types", source.tokenizer, lengths, num_types=num_types))
    if TARGETS[settings.to].takes_global:
        # Fresh global projections are copies of the local ones: a global token changes nothing yet.
        cases.append(padded_case("global tokens", source.tokenizer, lengths, global_every=3))
    if exact < num_source:
        beyond = padded_case("beyond", source.tokenizer, (num_source,))
        cases.append(replace(beyond, judged=False))

    theirs = _source_outputs(source, folder, settings, cases)
    ours = _outputs(
        load(folder, kernel=kernel, dtype=torch.float32),
        lambda: load(folder, "mlm", kernel=kernel, dtype=torch.float32),
        cases,
        source.first_row_in(TARGETS[settings.to]),
        source.has_head,
        takes_global=TARGETS[settings.to].takes_global,
    )
    for output in ("hidden states", "pooler", "masked-LM logits"):
        pairs = [
            (our[output], their[output])
            for our, their, case in zip(ours, theirs, cases, strict=True)
            if case.judged and output in their
        ]
        if output == "pooler" and not source.has_pooler:
            pairs = []
        if pairs:
            yield _check_close(f"{output}, to {exact} tokens, equal the source's", pairs, EXACT)
    if exact < num_source:
        apart = _largest_difference([(ours[-1]["hidden states"], theirs[-1]["hidden states"])])
        name = f"hidden states, to {num_source} tokens, beyond what both see"
        yield Check(name, f"{apart:.1e}", "reported", None)


def same_as_reference_and_native(
    source: Source, folder: Path, settings: ConversionSettings, kernel: str
) -> Iterator[Check]:
    """The kernel against the law at full length, and against plain transformers at a shorter one."""
    model = load(folder, "mlm", kernel=kernel, dtype=torch.float32)
    with torch.no_grad():
        native.move_global_projections(model)
        batch = _global_batch(source, settings, settings.max_tokens)
        ours = model.base_model(**batch).last_hidden_state
        set_kernel(model, "reference")
        law = model.base_model(**batch).last_hidden_state
    name = f"kernel {kernel}, {settings.max_tokens} tokens, equals the float32 reference"
    yield _check_close(name, [(ours[0], law[0])], FULL_LENGTH)

    batch = _global_batch(source, settings, settings.native_tokens)
    at = torch.arange(0, settings.native_tokens, max(1, settings.native_tokens // 16))
    set_kernel(model, kernel)
    with torch.no_grad():
        pooled_model = load(folder, kernel=kernel, dtype=torch.float32)
        native.move_global_projections(pooled_model)
        encoded = pooled_model(**batch)
        logits = model(**batch).logits[:, at]
    name = f"plain transformers, without longbio, {settings.native_tokens} tokens"
    try:
        plain = native.plain_transformers(folder, batch, at)
    except LongbioError as error:
        yield Check(name, error.what, "loads", False)
        return
    pairs = [
        (encoded.last_hidden_state, plain["hidden"]),
        (encoded.pooler_output, plain["pooled"]),
        (logits, plain["logits"]),
    ]
    yield _check_close(name, pairs, FULL_LENGTH)


def same_token_ids(source: Source, folder: Path, text: str | None = None) -> Iterator[Check]:
    """Ids of clinical strings, before and after; and against the vocabulary, which depends on no guess."""
    before, after = source.tokenizer, AutoTokenizer.from_pretrained(folder)
    texts = [*CLINICAL_STRINGS, proof_cases.embedded_text()]
    options = {"verbose": False, "truncation": False}
    changed = [t for t in texts if before(t, **options)["input_ids"] != after(t, **options)["input_ids"]]
    longest = len(after(texts[-1], **options)["input_ids"])
    name = f"token ids of {len(texts)} clinical strings, one of {longest} tokens"
    yield Check(name, f"{len(changed)} changed", "0 changed", not changed and longest >= 10_000)

    if source.casing is not None:
        yield Check(source.casing.reads, source.casing.loss, "reported", None)
        yield _words_of_vocabulary(source, after)
    encoded = after(text or texts[-1], add_special_tokens=False, **options)
    words = encoded.word_ids()
    unknown = {n for n, id_ in zip(words, encoded["input_ids"], strict=True) if id_ == after.unk_token_id}
    share = len(unknown) / max(1, len(set(words)))
    name = f"words of {'a long note' if text is None else 'the text'} with unknown tokens"
    yield Check(name, f"{share:.1%}", f"at most {UNKNOWN:.0%}", share <= UNKNOWN)


def _words_of_vocabulary(source: Source, tokenizer: Any) -> Check:
    """Whole words of the source's vocabulary have to come back as their own lines."""
    vocabulary = TokenizerFiles.of(source.folder).pieces()
    words = [piece for piece in vocabulary if piece.isalpha()]
    ids_of_words = tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
    right = sum(ids == [vocabulary[word]] for word, ids in zip(words, ids_of_words, strict=True))
    share = right / len(words) if words else 1.0
    # What a file or the user says goes before what the vocabulary shows.
    is_judged = source.casing is None or not source.casing.is_stated
    limit = f"at least {WORDS:.0%}" if is_judged else "reported"
    name = f"{len(words):,} whole words of the vocabulary become their own line of it"
    return Check(name, f"{share:.1%}", limit, share >= WORDS if is_judged else None)


def same_use_of_positions(
    source: Source, folder: Path, settings: ConversionSettings, kernel: str, text: str | None
) -> Iterator[Check]:
    """Bits per masked token at growing lengths, between those of the source and of random rows."""
    if not source.has_head:
        yield Check("bits per masked token", "no masked-LM head in the source", "reported", None)
        return
    tokenizer = source.tokenizer
    ids = tokenizer(
        text or proof_cases.embedded_text(), add_special_tokens=False, verbose=False, return_tensors="np"
    )
    room = settings.max_tokens - 2
    masked = ids["input_ids"][0][:room]
    ordinary = np.ones(len(masked), dtype=bool)
    corrupted, labels = mask_tokens(masked, ordinary, ordinary, Vocabulary.of(tokenizer), seed=(0,))
    frame = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)

    def bits(model: PreTrainedModel, num_tokens: int) -> float:
        return bits_per_masked_token(model, [(corrupted, labels)], num_tokens=num_tokens, frame=frame)

    num_source = source.num_tokens
    with quiet():
        short = source.load(AutoModelForMaskedLM).eval()
    at_source = bits(short, num_source)
    del short
    model = load(folder, "mlm", kernel=kernel, dtype=torch.float32)
    yield Check(f"bits per masked token, source, {num_source} tokens", f"{at_source:.3f}", "reported", None)
    for num_tokens in sorted({*BITS_LENGTHS, settings.max_tokens}):
        if num_tokens <= settings.max_tokens:
            at_length = bits(model, num_tokens)
            name = f"bits per masked token, {num_tokens} tokens"
            yield Check(name, f"{at_length:.3f}", "reported", None)

    table = _position_table(model)
    first_new = source.first_row_in(TARGETS[settings.to]) + num_source
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        fresh = torch.randn(table[first_new:].shape, generator=draw)
        table[first_new:] = fresh * model.config.initializer_range
    at_random = bits(model, settings.max_tokens)
    name = f"bits per masked token, {settings.max_tokens} tokens, random new positions"
    yield Check(name, f"{at_random:.3f}", "reported", None)
    if at_random - at_source < TELLING_BITS:
        value = f"random positions cost {at_random - at_source:+.3f}, too little to judge by"
        yield Check("closer to the source than to random positions", value, "reported", None)
        return
    share = (at_length - at_source) / (at_random - at_source)
    name = "loss on the way from the source to random positions"
    yield Check(name, f"{share:.0%}", "below 50%", share < 0.5)


def _position_table(model: Any) -> Tensor:
    weight: Tensor = model.base_model.embeddings.position_embeddings.weight
    return weight


def _source_outputs(
    source: Source, folder: Path, settings: ConversionSettings, cases: Sequence[Case]
) -> list[dict[str, Tensor]]:
    """What the source computes; with interpolated positions, from the same rows as the target."""

    def loaded(kind: Any) -> PreTrainedModel:
        with quiet():
            model = source.load(kind).eval()
        if settings.positions == "interpolate":
            rows, table = _position_table(load(folder)), _position_table(model)
            size, first = len(table) - source.first_row, source.first_row_in(TARGETS[settings.to])
            with torch.no_grad():
                table[source.first_row :] = rows[first : first + size]
        return model

    return _outputs(
        loaded(AutoModel),
        lambda: loaded(AutoModelForMaskedLM),
        cases,
        source.first_row,
        source.has_head,
    )


@torch.no_grad()
def _outputs(
    encoder: PreTrainedModel,
    with_head: Callable[[], PreTrainedModel],
    cases: Sequence[Case],
    first_row: int,
    has_head: bool,
    *,
    takes_global: bool = False,
) -> list[dict[str, Tensor]]:
    """Outputs of each case at its real tokens. One model is held at a time."""
    results: list[dict[str, Tensor]] = []
    for case in cases:
        output = encoder(**case.arguments(first_row, takes_global=takes_global))
        real = case.attention_mask.bool()
        results.append({"hidden states": output.last_hidden_state[real]})
        pooled = getattr(output, "pooler_output", None)
        if pooled is not None:
            # The pooler reads the first position, which behind left padding is padding.
            results[-1]["pooler"] = pooled[real[:, 0]]
    del encoder
    if has_head:
        model = with_head()
        for case, result in zip(cases, results, strict=True):
            if not case.judged:
                continue
            logits = model(**case.arguments(first_row, takes_global=takes_global)).logits
            result["masked-LM logits"] = logits[case.attention_mask.bool()]
    return results


def _global_batch(source: Source, settings: ConversionSettings, num_tokens: int) -> dict[str, Tensor]:
    ids = random_ids(source.tokenizer, num_tokens, seed=1)[None]
    batch: dict[str, Tensor] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if TARGETS[settings.to].takes_global:
        batch["global_attention_mask"] = torch.zeros_like(ids)
        batch["global_attention_mask"][:, ::GLOBAL_EVERY] = 1
    return batch


def _largest_difference(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Largest difference, relative to the larger of 1 and the largest value; NaN counts as inf."""
    worst = 0.0
    for ours, theirs in pairs:
        scale = max(1.0, theirs.abs().max().item())
        apart = (ours - theirs).abs().max().item() / scale
        worst = max(worst, apart if apart == apart else float("inf"))
    return worst


def _check_close(name: str, pairs: Sequence[tuple[Tensor, Tensor]], limit: float) -> Check:
    apart = _largest_difference(pairs)
    return Check(name, f"{apart:.1e}", f"at most {limit:.0e}", apart <= limit)


def as_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The checks of a `conversion.json` as rows: result, check, measured, limit."""
    words = {True: "pass", False: "FAIL", None: "·"}
    return [(words[c["passed"]], c["name"], c["value"], c["limit"]) for c in report["checks"]]
