"""The words of a corpus, as a tokenizer cuts and writes them, counted by several processes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tokenizers import Encoding, Tokenizer

from longbio.artifacts.atomic_files import digest_of_path, digest_of_text
from longbio.corpus.texts import Corpus, Text, text_files
from longbio.corpus.words import make_readable
from longbio.vocabulary.injection import is_byte_level
from longbio.vocabulary.text_lots import Lot, OnTexts, in_processes

MARKS = re.compile(r"\[\*\*(?:(?!\[\*\*).)*?\*\*\]", re.DOTALL)
"""What MIMIC puts in the place of what could name a patient."""

WORDS_AT_ONCE = 10_000


@dataclass
class Words:
    """Words, how often they occur, and in which groups (documents, or patients), `most_groups` at most."""

    most_groups: int
    counts: Counter[str] = field(default_factory=Counter)
    groups: dict[str, tuple[str | int, ...]] = field(default_factory=dict)

    def add(self, counts: Mapping[str, int], groups: Mapping[str, tuple[str | int, ...]]) -> None:
        """Add words that were counted elsewhere, and their groups."""
        self.counts.update(counts)
        for word, others in groups.items():
            known = self.groups.get(word, ())
            if len(known) < self.most_groups:
                self.groups[word] = tuple(dict.fromkeys(known + others))[: self.most_groups]


def count_words(
    texts: Iterable[Text],
    tokenizer: Any,
    *,
    min_documents: int = 1,
    processes: int = 1,
    on_texts: OnTexts = lambda count: None,
) -> Words:
    """Count the words of a corpus; what stands between `[**` and `**]` is left out.

    Args:
        tokenizer: a fast one: its normaliser and its own cut make the words, for pieces stand within them.
        min_documents: so many groups of a word are told apart.

    Returns:
        Words as the normaliser leaves them; those of a byte-level BPE with the space before them.
    """
    backend = tokenizer.backend_tokenizer
    total = Words(min_documents)
    for words in in_processes(partial(_count, backend, min_documents), texts, processes, on_texts):
        total.add(words.counts, words.groups)
    if not is_byte_level(backend):
        return total
    # Byte-level BPE writes bytes as letters and a space as one of them: here they are text again.
    decoded = Words(min_documents)
    for word, count in total.counts.items():
        text = backend.decoder.decode([word])
        decoded.add({text: count}, {text: total.groups[word]})
    return decoded


def _count(backend: Tokenizer, most_groups: int, lot: Lot) -> Words:
    words = Words(most_groups)
    for part in lot:
        counts = Counter(cut_words(make_readable(MARKS.sub(" ", part.text)), backend))
        words.add(counts, dict.fromkeys(counts, (part.group,)))
    return words


def cut_words(text: str, backend: Tokenizer) -> list[str]:
    """Words as the tokenizer's vocabulary would write them."""
    normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
    if backend.pre_tokenizer is None:
        return [normal]
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]


def encode_words(words: Sequence[str], tokenizer: Any) -> Iterator[Encoding]:
    """What a tokenizer makes of each word, `WORDS_AT_ONCE` in memory."""
    for first in range(0, len(words), WORDS_AT_ONCE):
        some = list(words[first : first + WORDS_AT_ONCE])
        yield from tokenizer.backend_tokenizer.encode_batch(some, add_special_tokens=False)


def key_of(texts: Iterable[Text]) -> str:
    """SHA-256 of a corpus: of what its files hold and its columns, or of texts in memory."""
    if isinstance(texts, Corpus):
        files = [digest_of_path(file) for path in texts.paths for file in text_files(path)]
        return digest_of_text(f"{files} {texts.columns}")
    return digest_of_text(json.dumps([text.text for text in texts]))
