"""A vocabulary from scratch, for a model that begins with random weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertTokenizer

from longbio.artifacts.runs import make_once
from longbio.corpus.texts import Text
from longbio.errors import LongbioError
from longbio.vocabulary.injection import CONTINUES
from longbio.vocabulary.text_lots import OnTexts
from longbio.vocabulary.word_counts import count_words, key_of

CHARACTERS = 1000
"""That become pieces; words with others are unknown, as in BERT's own vocabularies."""

MIN_COUNT = 2
"""Occurrences that a piece needs."""

REPORT = "vocabulary.json"
WORDS_AT_ONCE = 10_000

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_vocabulary(
    texts: Iterable[Text],
    out: Path,
    *,
    size: int = 30_522,
    lower: bool = True,
    processes: int = 1,
    force: bool = False,
    on_texts: OnTexts = lambda count: None,
) -> int:
    """Learn a WordPiece vocabulary and save its tokenizer, cut and written as BERT's.

    Args:
        texts: a list or a `Corpus`; what stands between `[**` and `**]` is left out.
        size: pieces, special tokens included.
        lower: lower case and no accents.
        processes: that count words; they don't change the result.

    Returns:
        Pieces of the vocabulary; fewer than `size` where the corpus has no more.

    Raises:
        LongbioError: the corpus holds no words, or more characters than pieces are wanted.
    """
    made_of = {"texts": key_of(texts), "size": size, "lower": lower, "min_count": MIN_COUNT}

    def make(folder: Path) -> dict[str, Any]:
        empty = BertTokenizer(vocab={piece: n for n, piece in enumerate(SPECIAL)}, do_lower_case=lower)
        counts = count_words(texts, empty, processes=processes, on_texts=on_texts).counts
        vocabulary = _learn(counts, size)
        BertTokenizer(vocab=vocabulary, do_lower_case=lower).save_pretrained(folder)
        return {"pieces": len(vocabulary)}

    pieces: int = make_once(out, REPORT, made_of, make, force=force)["pieces"]
    return pieces


def _learn(counts: Mapping[str, int], size: int) -> dict[str, int]:
    if not counts:
        raise LongbioError("the corpus holds no words", where="corpus", remedy="check the paths and columns")
    alphabet = _alphabet(counts)
    if size < len(SPECIAL) + 2 * len(alphabet):
        raise LongbioError(
            f"{size} pieces are wanted, and {len(alphabet)} characters take two each",
            where="size",
            remedy=f"take {len(SPECIAL) + 2 * len(alphabet)} at least",
        )
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=MIN_COUNT,
        # In this order: left to itself the trainer numbers the characters within words by chance, and
        # breaks ties by number.
        special_tokens=[*SPECIAL, *alphabet, *(CONTINUES + character for character in alphabet)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    made.train_from_iterator(_repeat_words(counts), trainer)
    vocabulary: dict[str, int] = made.get_vocab()
    return vocabulary


def _alphabet(counts: Mapping[str, int]) -> list[str]:
    """The most frequent characters, at most `CHARACTERS`."""
    occurrences = Counter[str]()
    for word, count in counts.items():
        for character in word:
            occurrences[character] += count
    ranked = sorted(occurrences, key=lambda character: (-occurrences[character], character))
    return sorted(ranked[:CHARACTERS])


def _repeat_words(counts: Mapping[str, int]) -> Iterator[str]:
    """Every word as often as it occurs."""
    for word in sorted(counts):
        for first in range(0, counts[word], WORDS_AT_ONCE):
            yield " ".join([word] * min(WORDS_AT_ONCE, counts[word] - first))
