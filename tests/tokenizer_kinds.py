"""Tokenizers of the kinds that sources come with, taught in the process on a little text."""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from longbio.corpus.synthetic import synthesize

SIZE = 600
FIRST, LAST, UNKNOWN, PADDING, MASK = "[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"
SPECIAL = [PADDING, UNKNOWN, FIRST, LAST, MASK]

KINDS = ("uncased WordPiece", "cased WordPiece", "byte-level BPE", "XLM-R", "CamemBERT", "BigBird")


@cache
def tokenizer_of(kind: str) -> Any:
    """A fast transformers tokenizer of one of the `KINDS`, about `SIZE` pieces."""
    backend, trainer = _made(kind)
    texts = [document.text for document in synthesize(3, split="dev")]
    backend.train_from_iterator([*texts, "Ärzte über 5–10 µg °C ±²"], trainer)
    ids = {name: backend.token_to_id(name) for name in (FIRST, LAST)}
    backend.post_processor = processors.TemplateProcessing(
        single=f"{FIRST} $A {LAST}",
        pair=f"{FIRST} $A {LAST} $B:1 {LAST}:1",
        special_tokens=list(ids.items()),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token=FIRST,
        sep_token=LAST,
        unk_token=UNKNOWN,
        pad_token=PADDING,
        mask_token=MASK,
        model_max_length=10**9,
    )


def _made(kind: str) -> tuple[Any, Any]:
    common = {"special_tokens": SPECIAL, "vocab_size": SIZE, "show_progress": False}
    if kind.endswith("WordPiece"):
        backend = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
        backend.normalizer = normalizers.BertNormalizer(lowercase=kind.startswith("uncased"))
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        return backend, trainers.WordPieceTrainer(**common)
    if kind == "byte-level BPE":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        return backend, trainers.BpeTrainer(initial_alphabet=alphabet, **common)
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    # CamemBERT's takes a word's first space apart, the others' don't.
    split = pre_tokenizers.Metaspace(prepend_scheme="first" if kind == "BigBird" else "always")
    parts = [pre_tokenizers.WhitespaceSplit(), split] if kind == "CamemBERT" else [split]
    backend.pre_tokenizer = pre_tokenizers.Sequence(parts)
    backend.decoder = decoders.Metaspace()
    return backend, trainers.UnigramTrainer(unk_token=UNKNOWN, **common)
