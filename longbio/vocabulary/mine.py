"""Which words a tokenizer cuts into many pieces, and what whole pieces would save."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longbio.artifacts.atomic_files import write_text_atomically
from longbio.corpus.texts import Text
from longbio.errors import LongbioError
from longbio.vocabulary.injection import CONTINUES, as_text, inject, is_byte_level, refuse_other_kinds
from longbio.vocabulary.text_lots import OnTexts
from longbio.vocabulary.word_counts import Words, count_words, encode_words


@dataclass(frozen=True)
class Candidate:
    """A word, or a part of words, that might become one piece: how often it occurs, and what it is cut into
    now."""

    term: str
    count: int
    pieces: tuple[str, ...]

    @property
    def saved_tokens(self) -> int:
        """Tokens the corpus would be shorter by."""
        return self.count * (len(self.pieces) - 1)


@dataclass(frozen=True)
class Mined:
    """Candidates, most saved tokens first; words of the corpus, punctuation marks included, and the tokens
    they take now; how many proposals were left out, by the reason."""

    candidates: tuple[Candidate, ...]
    num_words: int
    num_tokens: int
    left_out: dict[str, int]

    @property
    def pieces_per_word(self) -> float:
        """Tokens a word takes on average; 0 for a corpus without words."""
        return self.num_tokens / self.num_words if self.num_words else 0.0


def mine(
    texts: Iterable[Text],
    tokenizer: Any,
    *,
    size: int = 1000,
    min_documents: int = 5,
    min_pieces: int = 2,
    from_vocabulary: Sequence[str] | None = None,
    processes: int = 1,
    on_texts: OnTexts = lambda count: None,
) -> Mined:
    """Find the pieces that would make a corpus shortest.

    Words with anything but letters in them (numbers, dates, identifiers) are never proposed, nor
    what MIMIC marks with `[** **]`. Names can pass: the result is to be read before it is used.

    Args:
        min_documents: different documents, or groups where texts have one, a candidate occurs in.
        min_pieces: tokens a candidate takes at least.
        from_vocabulary: propose what another vocabulary holds, `##` pieces included, instead of
            the corpus' own words.
        processes: that count words; they don't change the result.

    Raises:
        LongbioError: the tokenizer is of another kind, or the other vocabulary is written in another
            case.
    """
    refuse_other_kinds(tokenizer)
    words = count_words(texts, tokenizer, min_documents=min_documents, processes=processes, on_texts=on_texts)
    every = list(words.counts)
    encodings = encode_words(every, tokenizer)
    pieces_of = {word: encoding.tokens for word, encoding in zip(every, encodings, strict=True)}
    left_out: Counter[str] = Counter()
    if from_vocabulary is None:
        spaced = is_byte_level(tokenizer.backend_tokenizer)
        proposed = [word for word in every if word.startswith(" ") or not spaced]
        # Behind a line's start, a bracket or a tab the same letters are another piece.
        left_out["without a space before"] += len(every) - len(proposed)
        proposals = [
            (Candidate(word.strip(), words.counts[word], tuple(pieces_of[word])), len(words.groups[word]))
            for word in proposed
        ]
    else:
        proposals = _proposals_of(from_vocabulary, words, tokenizer, left_out)
    kept = []
    for candidate, documents in proposals:
        reason = _fault(candidate, documents, min_documents, min_pieces)
        if reason is None:
            kept.append(candidate)
        else:
            left_out[reason] += 1
    kept.sort(key=lambda candidate: (-candidate.saved_tokens, candidate.term))
    tokens = sum(count * len(pieces_of[word]) for word, count in words.counts.items())
    return Mined(tuple(kept[:size]), words.counts.total(), tokens, dict(+left_out))


def _fault(candidate: Candidate, documents: int, min_documents: int, min_pieces: int) -> str | None:
    if not candidate.term.removeprefix(CONTINUES).isalpha():
        return "more than letters"
    if len(candidate.pieces) < min_pieces:
        return f"fewer than {min_pieces} pieces now"
    return "in too few documents" if documents < min_documents else None


def _proposals_of(
    vocabulary: Sequence[str], words: Words, tokenizer: Any, left_out: Counter[str]
) -> list[tuple[Candidate, int]]:
    """The other vocabulary's pieces, counted in the words that they would be part of."""
    backend = tokenizer.backend_tokenizer
    texts = (as_text(piece, backend) for piece in vocabulary)
    new = [text for text in texts if text.removeprefix(CONTINUES).isalpha()]
    left_out["more than letters"] += len(vocabulary) - len(new)
    injected = inject(tokenizer, new)
    for reason, refused in injected.refused.items():
        left_out[reason] += len(refused)
    wrong = sum(len(refused) for reason, refused in injected.refused.items() if "casing" in reason)
    if wrong > len(new) / 2:
        raise LongbioError(
            f"{wrong:,} of {len(new):,} pieces are not written as the tokenizer writes words",
            where="the other vocabulary",
            remedy="take a vocabulary of the same casing",
        )
    counts: Counter[int] = Counter()
    documents: dict[int, set[str | int]] = {}
    every = list(words.counts)
    asked = {piece.id for piece in injected.pieces if piece.is_asked}
    for word, encoding in zip(every, encode_words(every, injected.tokenizer), strict=True):
        for number in encoding.ids:
            if number in asked:
                counts[number] += words.counts[word]
                documents.setdefault(number, set()).update(words.groups[word])
    proposals = []
    for piece in injected.pieces:
        if piece.is_asked:
            pieces = tuple(tokenizer.convert_ids_to_tokens(piece.old_ids))
            candidate = Candidate(as_text(piece.piece, backend), counts[piece.id], pieces)
            proposals.append((candidate, len(documents.get(piece.id, ()))))
    return proposals


def read_vocabulary(file: Path) -> list[str]:
    """The pieces of a `vocab.txt`, one a line.

    Raises:
        LongbioError: the file can't be read or isn't UTF-8.
    """
    try:
        # Not splitlines(): a term with a form feed in it is one that is refused, not two.
        lines = file.read_bytes().decode("utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LongbioError(
            f"the vocabulary can't be read ({type(error).__name__})",
            where=file,
            remedy="give one piece a line, in UTF-8",
        ) from None
    return [line.rstrip("\r") for line in lines]


def write_terms(file: Path, candidates: Iterable[Candidate]) -> None:
    """One JSON object a line: term, count, pieces, saves."""
    rows = (
        {"term": c.term, "count": c.count, "pieces": c.pieces, "saves": c.saved_tokens} for c in candidates
    )
    write_text_atomically(file, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def read_terms(file: Path) -> list[str]:
    """The terms of a file of JSON lines with a `term` each, or of plain lines.

    Raises:
        LongbioError: the file can't be read, or a line has no term.
    """
    terms = []
    for number, line in enumerate(read_vocabulary(file), start=1):
        term: Any = line
        if line.startswith("{"):
            try:
                term = json.loads(line)["term"]
            except (ValueError, KeyError):
                term = None
        if not isinstance(term, str):
            raise LongbioError(f"line {number} holds no term", where=file)
        terms.append(term)
    return terms
