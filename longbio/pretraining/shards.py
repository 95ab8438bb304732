"""A corpus in tokens, on disk once: numpy maps that every phase, rank and restart shares.

A shard is a folder of `.npy` files. It appears whole or not at all, so that a killed run goes on
with the next one; what reads them needs numpy alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longbio.artifacts.atomic_files import read_json, write_json
from longbio.artifacts.locks import hold_lock
from longbio.artifacts.staged_folders import staged_folder
from longbio.corpus.texts import Text
from longbio.corpus.words import make_readable
from longbio.encoders.token_windows import PLAINLY, word_starts
from longbio.errors import LongbioError
from longbio.masked_lm.masking import Bools, Ids

WHOLE = "corpus.json"
"""Written into the folder of shards as its last file."""

CUT = "words of the text"
"""How words are cut; another name makes every cache anew."""

SHARD_TOKENS = 32_000_000
TEXTS_AT_ONCE = 256

Groups = NDArray[np.uint64]
"""A number for each document: that of its group."""

OnTexts = Callable[[int], None]
"""Told how many texts have been read."""


@dataclass(frozen=True, eq=False)
class Shard:
    """Documents, one after the other: (N,) token ids without special ones, (N,) whether a word starts; (D,)
    tokens of each document, (D,) the number of its group."""

    ids: NDArray[Any]
    word_starts: Bools
    lengths: Ids
    groups: Groups


class TokenizedCorpus:
    """The documents of all shards, numbered through; of those on disk, the folder they are mapped from."""

    def __init__(self, shards: Iterable[Shard], folder: Path = Path()) -> None:
        self.shards, self.folder = list(shards), folder
        empty = [np.zeros(0, dtype=np.int64)]
        self.lengths: Ids = np.concatenate(empty + [shard.lengths for shard in self.shards])
        self.groups = np.concatenate([np.zeros(0, np.uint64)] + [shard.groups for shard in self.shards])
        self._first = np.cumsum([0] + [len(shard.lengths) for shard in self.shards])
        self._offsets = [np.cumsum(shard.lengths) - shard.lengths for shard in self.shards]

    def __len__(self) -> int:
        return len(self.lengths)

    def piece(self, document: int, start: int, stop: int) -> tuple[Ids, Bools]:
        """Ids of a part of a document, and where words begin in it."""
        number = int(np.searchsorted(self._first, document, side="right")) - 1
        shard = self.shards[number]
        offset = self._offsets[number][document - self._first[number]]
        part = slice(offset + start, offset + stop)
        return np.asarray(shard.ids[part], dtype=np.int64), np.asarray(shard.word_starts[part])

    def document(self, document: int) -> tuple[Ids, Bools]:
        """Ids of a whole document, and where words begin in it."""
        return self.piece(document, 0, int(self.lengths[document]))


def tokenize_texts(texts: Iterable[Text], tokenizer: Any, max_tokens: float = math.inf) -> Shard:
    """Texts, until there are so many tokens, as one shard in memory. A fast tokenizer works on all cores."""
    kind = np.uint16 if len(tokenizer) <= 2**16 else np.uint32
    ids, starts = [np.zeros(0, kind)], [np.zeros(0, bool)]
    lengths: list[int] = []
    groups: list[int] = []
    rest, tokens = iter(texts), 0
    while tokens < max_tokens and (some := list(islice(rest, TEXTS_AT_ONCE))):
        encoded = tokenizer([make_readable(text.text) for text in some], **PLAINLY)
        offsets = encoded["offset_mapping"]
        # One array of many texts, which may be short.
        ids.append(np.concatenate([np.array(of_text, kind) for of_text in encoded["input_ids"]]))
        starts.append(np.concatenate([word_starts(t.text, o) for t, o in zip(some, offsets, strict=True)]))
        lengths += map(len, encoded["input_ids"])
        groups += map(group_of, some)
        tokens += len(ids[-1])
    return Shard(
        np.concatenate(ids),
        np.concatenate(starts),
        np.array(lengths, dtype=np.int64),
        np.array(groups, dtype=np.uint64),
    )


def group_of(text: Text) -> int:
    """A 64-bit number of a text's group. Copies of a text without one stay together, and what is held out
    doesn't depend on where it lay."""
    name = text.text if text.group is None else text.group
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def corpus_key(hashes: Iterable[str], tokenizer: Any, settings: str) -> str:
    """A name for a tokenised corpus: the same for the same files (SHA-256 of each, in their order),
    tokenizer, and whatever else decides what is read."""
    digest = hashlib.sha256(f"{CUT} {settings}".encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for file_hash in hashes:
        digest.update(file_hash.encode())
    return digest.hexdigest()[:16]


def build_shards(
    texts: Iterable[Text],
    tokenizer: Any,
    folder: Path,
    *,
    shard_tokens: int = SHARD_TOKENS,
    on_texts: OnTexts = lambda count: None,
) -> TokenizedCorpus:
    """Tokenise a corpus into a folder that its owner alone can read; what is there is kept, and another
    process that builds the same is waited for.

    Raises:
        LongbioError: there is no text, the disk is full, or the folder can't be written.
    """
    if (folder / WHOLE).is_file():
        return open_shards(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise LongbioError(
            f"the cache can't be made ({error.strerror})", where=folder, remedy="name another one"
        ) from error
    with hold_lock(folder, wait=True):
        if not (folder / WHOLE).is_file():  # else another run made it, for which this one waited
            _build(texts, tokenizer, folder, shard_tokens, on_texts)
    return open_shards(folder)


def _build(texts: Iterable[Text], tokenizer: Any, folder: Path, shard_tokens: int, on_texts: OnTexts) -> None:
    done = _open_all(folder)
    count = sum(len(shard.lengths) for shard in done)
    rest = iter(islice(iter(texts), count, None))
    on_texts(count)
    number = len(done)
    while len((some := tokenize_texts(rest, tokenizer, shard_tokens)).lengths):
        with staged_folder(folder / f"shard-{number:05}") as staged:
            for name, array in vars(some).items():
                np.save(staged / f"{name}.npy", array)
        number += 1
        count += len(some.lengths)
        on_texts(count)
    corpus = TokenizedCorpus(_open_all(folder))
    if not corpus.lengths.any():
        raise LongbioError("the corpus holds no text", where=folder, remedy="check the paths and columns")
    write_json(folder / WHOLE, _size(corpus))


def open_shards(folder: Path) -> TokenizedCorpus:
    """A corpus that `build_shards` left, mapped from disk.

    Raises:
        LongbioError: it isn't whole.
    """
    corpus = TokenizedCorpus(_open_all(folder), folder)
    if read_json(folder / WHOLE) != _size(corpus):
        raise _damaged(folder)
    return corpus


def _size(corpus: TokenizedCorpus) -> dict[str, int]:
    return {"documents": len(corpus), "tokens": int(corpus.lengths.sum())}


def _damaged(folder: Path) -> LongbioError:
    return LongbioError("the tokenised corpus is damaged", where=folder, remedy="delete it")


def _open_all(folder: Path) -> list[Shard]:
    return [_open(path) for path in sorted(folder.glob("shard-*"))]


def _open(folder: Path) -> Shard:
    try:
        ids, word_starts = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "word_starts"))
        lengths, groups = (np.load(folder / f"{name}.npy") for name in ("lengths", "groups"))
    except (OSError, ValueError) as error:
        raise _damaged(folder) from error
    if not len(ids) == len(word_starts) == lengths.sum():
        raise _damaged(folder)
    return Shard(ids, word_starts, lengths, groups)
