"""Tokenizers that the tests of this room share."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="module")
def byte_pairs():
    """A byte-level BPE with a few merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("m", "e"), ("me", "t"), ("Ġ", "met"), ("o", "l"), ("Ġ", "t"), ("Ġt", "h"), ("Ġth", "e")]
    pieces = [*alphabet, *("".join(pair) for pair in merges), "<s>", "</s>", "<pad>", "<mask>"]
    made = Tokenizer(models.BPE(vocab={piece: n for n, piece in enumerate(pieces)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", mask_token="<mask>"
    )
