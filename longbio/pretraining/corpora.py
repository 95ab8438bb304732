"""From the files a curriculum names to documents to learn from and documents to be measured on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from longbio.artifacts.atomic_files import KnownHashes, write_bytes_atomically
from longbio.artifacts.staged_folders import require_free_space
from longbio.corpus.files import COMPRESSIONS, kind_of
from longbio.corpus.texts import (
    Columns,
    Text,
    count_passed_over,
    read_texts,
    text_files,
    text_of_row,
)
from longbio.encoders.loading import load_tokenizer
from longbio.errors import LongbioError
from longbio.masked_lm.masking import Bools, Ids
from longbio.pretraining import holding_out
from longbio.pretraining.curriculum import CorpusSettings, Curriculum
from longbio.pretraining.holding_out import HeldOut, Source
from longbio.pretraining.shards import (
    WHOLE,
    Groups,
    TokenizedCorpus,
    build_shards,
    corpus_key,
    group_of,
    open_shards,
)
from longbio.progress import Narrator

HASHES = "hashes.json"

HOW = ("hub", "hub_revision", "hub_split", "text_column", "group_column")
"""Settings that decide what is read, where files are the same."""

CHARACTERS_PER_TOKEN = 4.5
BYTES_PER_TOKEN = 3
"""Of the cache: an id of 16 bits, and whether a word begins."""

COMPRESSED = 3.5
"""How much longer a text is than its gz or zst."""

SMALL_BYTES = 64_000_000
"""Of a corpus that is read once before it is tokenised."""

MAX_SAID_CHARS = 120
"""What a message quotes of a library's, at most."""


def prepare(
    curriculum: Curriculum, model: Path, tell: Narrator
) -> tuple[dict[str, Source], HeldOut, dict[str, dict[str, Any]]]:
    """Tokenise what isn't in the cache yet, and hold documents out.

    Returns:
        The corpora to learn from; what to measure on; of each corpus, how many documents there
        are, were held out and were dropped, and a key to what it holds.

    Raises:
        LongbioError: a corpus can't be read or holds no text, or nothing is held out.
    """
    tokenizer, cache = load_tokenizer(model), curriculum.cache
    validation, seed = curriculum.validation, curriculum.seed
    hashes = KnownHashes(cache / HASHES)
    # All are found before the first is read.
    planned = [
        _plan(name, settings, cache, tokenizer, hashes) for name, settings in curriculum.corpora.items()
    ]
    if validation.corpus is None:
        _refuse_share(planned[0], validation.share, seed)
    else:
        planned.append(_plan("validation", validation.corpus, cache, tokenizer, hashes))
    corpora = [_tokenize(corpus, tokenizer, hashes, tell) for corpus in planned]
    if validation.corpus is None:
        measured = corpora[0]
        documents = holding_out.held_out_documents(measured.groups, validation.share, seed)
    else:
        measured = corpora.pop()
        documents = np.arange(len(measured))
    if not measured.lengths[documents].any():
        raise _nothing_held_out(measured.groups[measured.lengths > 0], validation.share, seed)
    sources: dict[str, Source] = {}
    described: dict[str, dict[str, Any]] = {}
    for (name, settings), corpus in zip(curriculum.corpora.items(), corpora, strict=True):
        is_theirs = holding_out.in_groups_of(corpus, measured, documents)
        rest = np.flatnonzero(~is_theirs)
        is_near = _near_duplicates(corpus, rest, measured, documents)
        sources[name] = Source(corpus, rest[~is_near])
        described[name] = {
            "documents": len(corpus),
            "tokens": int(corpus.lengths.sum()),
            "held_out": int(is_theirs.sum()),
            "near_duplicates_dropped": int(is_near.sum()),
            "empty": int((corpus.lengths == 0).sum()),
            "key": corpus.folder.name,
            "passed_over": dict(count_passed_over(settings.paths)),
        }
    return sources, HeldOut(measured, documents, tuple(validation.lengths), validation.tokens), described


def _near_duplicates(corpus: TokenizedCorpus, rest: Ids, measured: TokenizedCorpus, documents: Ids) -> Bools:
    """`holding_out.near_duplicates`, kept beside the shards: it reads the whole corpus."""
    digest = hashlib.sha256(f"{measured.folder.name} {holding_out.SETTINGS}".encode())
    digest.update(rest.tobytes() + b" " + documents.tobytes())
    file = corpus.folder / f"near-duplicates-{digest.hexdigest()[:16]}.npy"
    if not file.is_file():
        content = BytesIO()
        np.save(content, holding_out.near_duplicates(corpus, rest, measured, documents))
        write_bytes_atomically(file, content.getvalue())
    try:
        is_near: Bools = np.load(file)
    except (OSError, ValueError) as error:
        raise LongbioError("the file is damaged", where=file, remedy="delete it") from error
    return is_near


@dataclass(frozen=True)
class _Planned:
    """A corpus that is to be tokenised, unless it is in the cache: its name, the files it lies in, the folder
    of the cache, what streams its texts."""

    name: str
    settings: CorpusSettings
    files: tuple[Path, ...]
    folder: Path
    texts: Callable[[], Iterator[Text]]

    @property
    def is_cached(self) -> bool:
        return (self.folder / WHOLE).is_file()


def _plan(name: str, settings: CorpusSettings, cache: Path, tokenizer: Any, hashes: KnownHashes) -> _Planned:
    """Raises LongbioError where there is no such corpus."""
    files = [file for path in settings.paths for file in text_files(path)]
    hashed = [f"{kind_of(file)} {hashes.sha256_of(file)}" for file in [*files, *_hub_files(settings)]]
    how = json.dumps([getattr(settings, key) for key in HOW])
    folder = cache / corpus_key(hashed, tokenizer, how)
    columns = Columns(settings.text_column, settings.group_column)
    texts = partial(read_texts, settings.paths, columns)
    if settings.hub is not None and not (folder / WHOLE).is_file():
        texts = partial(_hub_texts, settings.hub, _hub_rows(settings, settings.hub), columns)
    return _Planned(name, settings, tuple(files), folder, texts)


def _tokenize(planned: _Planned, tokenizer: Any, hashes: KnownHashes, tell: Narrator) -> TokenizedCorpus:
    folder = planned.folder
    if planned.is_cached:
        tell.begin(f"corpus {planned.name}: in the cache", 0)
        corpus = open_shards(folder)
    else:
        needed = cache_bytes(planned.files)
        require_free_space(folder, needed)
        advance = tell.begin(f"corpus {planned.name}: tokenise, about {needed / 1e6:,.0f} MB of disk", 0)
        corpus = build_shards(
            planned.texts(), tokenizer, folder, on_texts=lambda count: advance(count, f"{count:,} texts")
        )
    hashes.save()
    lines = [f"passed over: {line}" for line in count_passed_over(planned.settings.paths).lines()]
    tell.end("; ".join([f"{len(corpus):,} documents, {corpus.lengths.sum():,} tokens", *lines]))
    return corpus


def _refuse_share(planned: _Planned, share: float, seed: int) -> None:
    """A share that holds out nothing, or all, is found before a small corpus is tokenised; a large one has
    documents enough, and isn't read twice."""
    size = sum(file.stat().st_size for file in planned.files)
    if planned.is_cached or planned.settings.hub or size > SMALL_BYTES:
        return
    numbers = [group_of(text) for text in planned.texts() if text.text.strip()]
    groups = np.array(numbers, dtype=np.uint64)
    held_out = len(holding_out.held_out_documents(groups, share, seed))
    if len(groups) and not held_out:
        raise _nothing_held_out(groups, share, seed)
    if len(groups) and held_out == len(groups):
        raise LongbioError(
            f"a share of {share:g} holds all {len(groups):,} documents out, and leaves none to learn from",
            where="validation.share",
            remedy="lower it, or name a validation.corpus",
        )


def _nothing_held_out(groups: Groups, share: float, seed: int) -> LongbioError:
    """Names the least share, to two digits, that holds something out."""
    number = len(np.unique(groups))
    if number < 2:
        return LongbioError(
            "a corpus of a single document or group can't be divided",
            where="validation",
            remedy="name a validation.corpus",
        )
    least = math.ceil(100 * holding_out.least_share(groups, seed)) / 100
    return LongbioError(
        f"a share of {share:g} holds none of {number:,} documents or groups out to measure on",
        where="validation.share",
        remedy=f"set it to {least:g} or more, or name a validation.corpus",
    )


def _hub_files(settings: CorpusSettings) -> list[Path]:
    """Those of a dataset that is a folder here."""
    folder = Path(settings.hub) if settings.hub else None
    return sorted(file for file in folder.rglob("*") if file.is_file()) if folder else []


def _hub_rows(settings: CorpusSettings, name: str) -> Iterable[Mapping[str, Any]]:
    """Of a dataset on the hub, to be streamed.

    Raises:
        LongbioError: there is no such dataset or split, or the hub can't be reached.
    """
    from datasets import load_dataset

    try:
        rows: Iterable[Mapping[str, Any]] = load_dataset(
            name, split=settings.hub_split, revision=settings.hub_revision, streaming=True
        )
    except (OSError, ValueError) as error:
        raise LongbioError(
            f"the dataset can't be loaded ({str(error).splitlines()[0][:MAX_SAID_CHARS]})",
            where=name,
            remedy="check hub, hub_split and hub_revision",
        ) from error
    return rows


def _hub_texts(name: str, rows: Iterable[Mapping[str, Any]], columns: Columns) -> Iterator[Text]:
    for number, row in enumerate(rows):
        yield from text_of_row(row, columns, name, f"row {number}")


def cache_bytes(files: Sequence[Path]) -> int:
    """Disk that the tokens of these files will take, about."""
    characters = sum(
        file.stat().st_size * (COMPRESSED if file.suffix in COMPRESSIONS else 1.0) for file in files
    )
    return int(characters / CHARACTERS_PER_TOKEN * BYTES_PER_TOKEN)
