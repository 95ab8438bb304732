"""A vocabulary from scratch, for a model that begins with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import WordPiece as WordPieceDecoder
from transformers import BertTokenizer

from longbio.artifacts.folders import staged_folder
from longbio.corpus.texts import Text
from longbio.errors import LongbioError
from longbio.vocabulary.injection import CONTINUES
from longbio.vocabulary.words import MARKS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_vocabulary(
    texts: Iterable[Text],
    out: Path,
    *,
    size: int = 30_522,
    lower: bool = True,
    min_count: int = 2,
    force: bool = False,
    on_texts: Callable[[int], None] = lambda count: None,
) -> int:
    """Learn a WordPiece vocabulary and save its tokenizer, cut and written as BERT's.

    Args:
        texts: streamed.
        out: the folder to make.
        size: pieces, special tokens included.
        lower: lower case and no accents.
        min_count: occurrences a piece needs.
        force: replace what stands in `out`.
        on_texts: told of the progress.

    Returns:
        Pieces of the vocabulary; fewer than `size` where the corpus has no more.

    Raises:
        LongbioError: the corpus holds no words.
    """
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = WordPieceDecoder(prefix=CONTINUES)
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(SPECIAL),
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )

    def told() -> Iterator[str]:
        for number, text in enumerate(texts, start=1):
            yield MARKS.sub(" ", text.text)
            if number % 100 == 0:
                on_texts(number)

    made.train_from_iterator(told(), trainer)
    vocabulary: dict[str, Any] = made.get_vocab()
    if len(vocabulary) <= len(SPECIAL):
        raise LongbioError("the corpus holds no words", where="corpus", remedy="check the paths and columns")
    made.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    with staged_folder(out, force=force) as partial:
        BertTokenizer(vocab=vocabulary, do_lower_case=lower).save_pretrained(partial)
    return len(vocabulary)
