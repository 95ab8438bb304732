"""Which words of a corpus a tokenizer cuts into many pieces, and what whole tokens would save."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from longbio.encoders.tokens import tokenize
from longbio.tasks.ner import word_heads


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that might become one token.

    Args:
        word: as it is written most often.
        count: occurrences, all spellings the tokenizer treats alike together.
        pieces: tokens it takes now.
    """

    word: str
    count: int
    pieces: int

    @property
    def saved_tokens(self) -> int:
        """Tokens the corpus would be shorter by."""
        return self.count * (self.pieces - 1)


@dataclass(frozen=True)
class Mined:
    """Candidates, most saved tokens first, and how finely the corpus is cut now."""

    candidates: tuple[Candidate, ...]
    num_words: int
    num_tokens: int

    @property
    def pieces_per_word(self) -> float:
        """Tokens a word takes on average; 0 for a corpus without words."""
        return self.num_tokens / self.num_words if self.num_words else 0.0


def mine(
    texts: Iterable[str],
    tokenizer: Any,
    *,
    min_count: int = 5,
    min_pieces: int = 3,
    limit: int = 1000,
) -> Mined:
    """Find the words whose splitting costs a corpus most tokens.

    A word is what the tokenizer cuts at spaces and punctuation; those without a letter, or with a
    digit, are counted in the total and never proposed.

    Args:
        texts: the corpus.
        tokenizer: a fast tokenizer.
        min_count: occurrences a candidate needs.
        min_pieces: tokens a candidate takes at least.
        limit: candidates returned.
    """
    counts: Counter[tuple[int, ...]] = Counter()
    spellings: dict[tuple[int, ...], Counter[str]] = {}
    num_words = num_tokens = 0
    for text in texts:
        tokens = tokenize(text, tokenizer)
        heads = word_heads(tokens).tolist()
        num_words, num_tokens = num_words + len(heads), num_tokens + len(tokens.ids)
        for start, end in zip(heads, [*heads[1:], len(tokens.ids)], strict=True):
            word = text[tokens.offsets[start, 0] : tokens.offsets[end - 1, 1]]
            if end - start >= min_pieces and word.isalpha():
                key = tuple(tokens.ids[start:end].tolist())
                counts[key] += 1
                spellings.setdefault(key, Counter())[word] += 1

    found = [
        Candidate(spellings[key].most_common(1)[0][0], count, len(key))
        for key, count in counts.items()
        if count >= min_count
    ]
    found.sort(key=lambda candidate: (-candidate.saved_tokens, candidate.word))
    return Mined(tuple(found[:limit]), num_words, num_tokens)
