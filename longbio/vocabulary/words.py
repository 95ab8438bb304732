"""The words of a corpus, as a tokenizer cuts and writes them, counted by several processes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Encoding, Tokenizer

from longbio.artifacts.atomic_files import digest_of_path, digest_of_text
from longbio.corpus.texts import Corpus, Text, text_files
from longbio.corpus.words import readable
from longbio.vocabulary.injection import is_byte_level
from longbio.vocabulary.lots import Lot, in_processes

MARKS = re.compile(r"\[\*\*(?:(?!\[\*\*).)*?\*\*\]", re.DOTALL)
"""What MIMIC puts in the place of what could name a patient."""

WORDS_AT_ONCE = 10_000


@dataclass
class Words:
    """Words and how often they occur.

    Args:
        counts: occurrences.
        groups: of each word the groups (documents, or patients) it occurs in, `most_groups` at most.
        most_groups: no more are counted.
    """

    most_groups: int
    counts: Counter[str] = field(default_factory=Counter)
    groups: dict[str, tuple[str | int, ...]] = field(default_factory=dict)

    def add(self, words: Iterable[str], group: str | int) -> None:
        """Count the words of a piece of a text."""
        found = Counter(words)
        self.counts.update(found)
        for word in found:
            self._join(word, (group,))

    def merge(self, other: Words) -> None:
        """Add what another process counted."""
        self.counts.update(other.counts)
        for word, groups in other.groups.items():
            self._join(word, groups)

    def _join(self, word: str, groups: tuple[str | int, ...]) -> None:
        known = self.groups.get(word, ())
        if len(known) < self.most_groups:
            self.groups[word] = tuple(dict.fromkeys(known + groups))[: self.most_groups]


def count_words(
    texts: Iterable[Text],
    tokenizer: Any,
    *,
    min_documents: int = 1,
    processes: int = 1,
    on_texts: Callable[[int], None] = lambda count: None,
) -> Words:
    """Count the words of a corpus.

    Args:
        texts: streamed; what stands between `[**` and `**]` is left out.
        tokenizer: a fast transformers tokenizer: its normaliser and its own cut make the words, for
            the pieces of its vocabulary stand within them.
        min_documents: so many groups of a word are told apart.
        processes: that count; they don't change what is found.
        on_texts: told of the progress.

    Returns:
        Words as the normaliser leaves them; those of a byte-level BPE with the space before them.
    """
    total = Words(min_documents)
    counter = _Counter(tokenizer.backend_tokenizer.to_str(), min_documents)
    done = 0
    for count, words in in_processes(counter, texts, processes):
        total.merge(words)
        done += count
        on_texts(done)
    return _as_read(total, tokenizer.backend_tokenizer)


def _as_read(words: Words, backend: Tokenizer) -> Words:
    """Byte-level BPE writes bytes as letters and a space as one of them: here they are text again."""
    if not is_byte_level(backend):
        return words
    read = {word: backend.decoder.decode([word]) for word in words.counts}
    found = Words(words.most_groups)
    for word, count in words.counts.items():
        found.counts[read[word]] += count
        found._join(read[word], words.groups[word])
    return found


class _Counter:
    """Counts a lot; made again in each process from the tokenizer's JSON."""

    def __init__(self, tokenizer: str, most_groups: int) -> None:
        self.tokenizer, self.most_groups = tokenizer, most_groups
        self._backend: Tokenizer | None = None

    def __call__(self, lot: Lot) -> Words:
        if self._backend is None:
            self._backend = Tokenizer.from_str(self.tokenizer)
        found = Words(self.most_groups)
        for piece in lot:
            found.add(cut(readable(MARKS.sub(" ", piece.text)), self._backend), piece.group)
        return found


def cut(text: str, backend: Tokenizer) -> list[str]:
    """Words as the tokenizer's vocabulary would write them."""
    normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
    if backend.pre_tokenizer is None:
        return [normal]
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]


def encoded(words: Sequence[str], tokenizer: Any) -> Iterator[Encoding]:
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
