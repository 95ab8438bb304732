"""Named entities: a BIO tag per word (`tags.py`), and mentions in characters of the original text.

What can't be tagged is counted, and stays in the score as missed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.special import softmax
from torch import Tensor
from torch.nn.functional import cross_entropy

from longbio.corpus.reading import PassedOver
from longbio.corpus.records import Document, Span
from longbio.encoders.batches import IGNORED, pad
from longbio.encoders.input_format import InputFormat, Row, default_overlap
from longbio.encoders.roles import Role
from longbio.encoders.token_windows import Tokens, Window, windows_of
from longbio.tasks import tags
from longbio.tasks.bio import best_tags
from longbio.tasks.evidence import Evidence, of_counts, of_counts_by_type
from longbio.tasks.mention_matching import entity_scores
from longbio.tasks.metrics import Counts, by_type, count_entities, count_words, macro_f1
from longbio.tasks.task import Array, Prediction, Sample, Task


@dataclass(frozen=True, eq=False)
class TaggedRows:
    """A document, the tokens of its whole text, its windows, one a row, and what the model reads of them."""

    document: Document
    tokens: Tokens
    windows: tuple[Window, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Entities(Task[TaggedRows]):
    """Mentions of entities, flat, in whole documents.

    Args:
        types: the entity types; those of the training documents when empty.
        sample_tokens: tokens that are learned from at once: a stretch of a document, which a long
            model reads in one window and a short one in several, each word counted once. So both
            see the same text in the same step, and only the reach of attention differs.
        overlap: tokens that neighbouring windows share at least; 128, or a quarter of what a very
            short model reads, when None.
        global_tokens: what every token sees, in a model that has global attention.
        constrained: read off the likeliest tags of which no I follows another type's.
        first_window: read no more of a document than fits the model; what lies behind is missed.
        temperature: by which logits are divided before they become probabilities; see `calibration`.
        score_by: what is reported first and chosen by: micro F1 of whole `mentions`, or, as for EBM
            PICO, the mean over types of the F1 of `words`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    head: ClassVar[str] = "ner"
    finds: ClassVar[str] = "mentions"
    looks_for: ClassVar[str] = "a mention of an entity that is learned"
    named: ClassVar[str] = "mentions of types"

    kind: Literal["ner"] = "ner"
    types: tuple[str, ...] = ()
    sample_tokens: int = 4096
    overlap: int | None = None
    global_tokens: tuple[Role, ...] = ("cls", "headings")
    constrained: bool = True
    first_window: bool = False
    temperature: float = 1.0
    score_by: Literal["mentions", "words"] = "mentions"

    def __post_init__(self) -> None:
        if self.sample_tokens < 8 or (self.overlap is not None and self.overlap < 0):
            raise ValueError("sample_tokens is 8 or more, an overlap 0 or more")
        if self.temperature <= 0:
            raise ValueError("a temperature is above 0")

    @property
    def measure(self) -> str:
        return "entity F1" if self.score_by == "mentions" else "word F1"

    @property
    def labels(self) -> tags.Labels:
        """The tags."""
        return tags.Labels(self.types)

    @property
    def learned_names(self) -> tuple[str, ...]:
        return self.types

    def names_in(self, document: Document) -> Iterator[str]:
        return (span.label for span in document.spans)

    def learned_from(self, documents: Sequence[Document]) -> Entities:
        return replace(self, types=self.types or tags.Labels.of(documents).types)

    def config_changes(self) -> dict[str, Any]:
        names = self.labels.names()
        return {"id2label": names, "label2id": {name: number for number, name in names.items()}}

    def samples(self, document: Document, inputs: InputFormat, left_out: PassedOver) -> list[Sample]:
        """Stretches of the document, each word tagged in the window with most context around it."""
        tokens = self._tokens(document, inputs)
        tagged = tags.encode_learned(document, tokens, self.labels, left_out)
        num_read = self._num_read(tokens, inputs)
        left_out.note("tokens that no row holds", document.id, len(tokens.ids) - num_read)
        stretches = windows_of(0, num_read, max_tokens=self.sample_tokens, overlap=0)
        return [self._sample(tokens, tagged, stretch, inputs) for stretch in stretches]

    def ceiling(self, documents: Sequence[Document], inputs: InputFormat) -> tags.Ceiling:
        """What a model that makes no mistake would score on documents."""
        return tags.ceiling(documents, inputs.tokenizer, self.labels)

    def _sample(self, tokens: Tokens, tagged: tags.Tags, stretch: Window, inputs: InputFormat) -> Sample:
        first, size = stretch.owned.start, stretch.owned.stop - stretch.owned.start
        rows, labels = [], []
        for window in self._windows(size, inputs):
            read, owned = _shift(window.tokens, first), _shift(window.owned, first)
            row = inputs.row(tokens, read, roles=self.global_tokens)
            tags_of_row = np.full(len(row.ids), IGNORED, dtype=np.int64)
            tags_of_row[_shift(owned, row.text.start - read.start)] = tagged[owned]
            rows.append(row)
            labels.append(tags_of_row)
        return Sample(tuple(rows), tuple(labels))

    def _tokens(self, document: Document, inputs: InputFormat) -> Tokens:
        tokens = inputs.tokens(document.text, self.global_tokens)
        return tokens.with_words(document.units) if document.units else tokens

    def _num_read(self, tokens: Tokens, inputs: InputFormat) -> int:
        """How many of a document's tokens are read, from its first."""
        return min(len(tokens.ids), inputs.room()) if self.first_window else len(tokens.ids)

    def _windows(self, num_tokens: int, inputs: InputFormat) -> list[Window]:
        room = inputs.max_tokens
        overlap = default_overlap(room) if self.overlap is None else min(self.overlap, room // 2 - 1)
        return windows_of(0, num_tokens, max_tokens=room, overlap=overlap)

    def targets(self, samples: Sequence[Sample], num_tokens: int) -> dict[str, Tensor]:
        """`labels` (B, T): a tag at the first token of each word."""
        every = [labels for sample in samples for labels in sample.labels]
        return {"labels": pad(every, IGNORED, num_tokens)}

    def summed_loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy in nats, summed over words."""
        logits = outputs.logits.float().flatten(0, 1)
        return cross_entropy(logits, batch["labels"].flatten(), ignore_index=IGNORED, reduction="sum")

    def logits(self, outputs: Any, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        return [(outputs.logits, batch["labels"] != IGNORED)]

    def encode(self, document: Document, inputs: InputFormat) -> TaggedRows:
        tokens = self._tokens(document, inputs)
        windows = self._windows(self._num_read(tokens, inputs), inputs)
        rows = tuple(inputs.row(tokens, window.tokens, roles=self.global_tokens) for window in windows)
        return TaggedRows(document, tokens, tuple(windows), rows)

    def decode(self, encoded: TaggedRows, outputs: Sequence[Array]) -> Prediction:
        """Tags of each word from the window with most context around it, decoded over the whole
        document, so that a mention on a border stays whole."""
        tokens, num_read = encoded.tokens, encoded.windows[-1].owned.stop
        scores = np.zeros((num_read, len(self.labels.names())), dtype=np.float32)
        for window, row, output in zip(encoded.windows, encoded.rows, outputs, strict=True):
            scores[window.owned] = output[_shift(window.owned, row.text.start - window.tokens.start)]
        every = tags.words_of(tokens)
        words = tags.Words(*(places[every.heads < num_read] for places in every))
        logits, first_words = scores[words.heads], tags.first_words_of(encoded.document, words)
        best = best_tags(logits, first_words) if self.constrained else logits.argmax(-1)
        likely = softmax(logits / self.temperature, axis=-1)[np.arange(len(best)), best]
        mentions = tags.decode(best, words, self.labels, first_words)
        details = {
            "windows": len(encoded.windows),
            "tokens": len(tokens.ids),
            "unread_tokens": len(tokens.ids) - num_read,
            # A mention is as sure as the least sure of its words.
            "probabilities": [float(likely[of_words].min()) for _, of_words in mentions],
        }
        spans = tuple(span for span, _ in mentions)
        return Prediction(replace(encoded.document, spans=spans, relations=(), attributes=()), details)

    def at_temperature(self, temperature: float) -> Entities:
        return replace(self, temperature=temperature)

    def score(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Micro F1 of exact mentions and types, and the other ways to match; `confusion`: how often the
        characters of a mention of one type (or none) were given as another's (or none's)."""
        predicted = [prediction.document.spans for prediction in predictions]
        scores = entity_scores([document.spans for document in gold], predicted)
        main = scores["strict"]["micro"]["f1"]
        if self.score_by == "words":
            main = macro_f1(by_type(self._words_counted(gold, predictions)))
        return {"main": main, **scores, "confusion": _confusion(gold, predicted)}

    def _words_counted(
        self, gold: Sequence[Document], predictions: Sequence[Prediction]
    ) -> list[dict[str, Counts]]:
        return [
            count_words(document.spans, prediction.document.spans, document.units)
            for document, prediction in zip(gold, predictions, strict=True)
        ]

    def evidence(self, gold: Sequence[Document], predictions: Sequence[Prediction]) -> Evidence:
        if self.score_by == "words":
            return of_counts_by_type(self._words_counted(gold, predictions), self.types)
        pairs = zip(gold, predictions, strict=True)
        return of_counts([count_entities(true.spans, predicted.document.spans) for true, predicted in pairs])

    def confidences_in(self, gold: Document, predicted: Prediction) -> Iterator[tuple[float, bool]]:
        pairs = zip(predicted.document.spans, predicted.details["probabilities"], strict=True)
        return ((probability, span in gold.spans) for span, probability in pairs)

    def places_in(self, gold: Document, predicted: Prediction) -> Iterator[tuple[int, float]]:
        return ((span.start_char, float(span in predicted.document.spans)) for span in gold.spans)

    def has_collapsed(self, predictions: Sequence[Prediction]) -> bool:
        return not any(prediction.document.spans for prediction in predictions)


def _confusion(gold: Sequence[Document], predicted: Sequence[Sequence[Span]]) -> dict[str, dict[str, int]]:
    """Of mentions with the same characters: the true type, the type given, how often; `none` where the
    other side has no such mention. Of several at one place those of the same type belong together."""
    counts: dict[str, Counter[str]] = {}
    for document, spans in zip(gold, predicted, strict=True):
        true_types, predicted_types = _types_by_place(document.spans), _types_by_place(spans)
        for place in true_types.keys() | predicted_types.keys():
            true, guessed = true_types[place], predicted_types[place]
            pairs = [(label, label) for label in sorted(true & guessed)]
            pairs += zip_longest(sorted(true - guessed), sorted(guessed - true), fillvalue="none")
            for label, other in pairs:
                counts.setdefault(label, Counter())[other] += 1
    return {label: dict(sorted(counts[label].items())) for label in sorted(counts)}


def _types_by_place(spans: Sequence[Span]) -> defaultdict[Any, set[str]]:
    types = defaultdict(set)
    for span in spans:
        types[span.fragments].add(span.label)
    return types


def _shift(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
