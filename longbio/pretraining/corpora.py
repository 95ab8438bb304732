"""From the files a curriculum names to documents to learn from and documents to be measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from longbio.artifacts.files import KnownHashes, write_bytes_atomically
from longbio.artifacts.folders import require_free_space
from longbio.corpus.texts import Columns, Text, kind_of, passed_over, read_texts, text_files, text_of_row
from longbio.encoders.loading import load_tokenizer
from longbio.errors import LongbioError
from longbio.masked_lm.masking import Bools, Ids
from longbio.pretraining import split
from longbio.pretraining.curriculum import CorpusSettings, Curriculum
from longbio.pretraining.memory import cache_bytes
from longbio.pretraining.shards import WHOLE, TokenizedCorpus, build_shards, corpus_key, open_shards
from longbio.pretraining.train import HeldOut, Source
from longbio.progress import Narrator

HASHES = "hashes.json"


@dataclass(frozen=True, eq=False)
class Cached:
    """A tokenised corpus and the folder it is kept in."""

    corpus: TokenizedCorpus
    folder: Path


def prepare(
    curriculum: Curriculum, model: Path, tell: Narrator
) -> tuple[dict[str, Source], HeldOut, dict[str, dict[str, Any]]]:
    """Tokenise what isn't in the cache yet, and hold documents out.

    Args:
        curriculum: names corpora and cache.
        model: whose tokenizer is used.
        tell: told of the progress.

    Returns:
        The corpora to learn from; what to measure on; of each corpus, how many documents there
        are, were held out and were dropped, and a key to what it holds.

    Raises:
        LongbioError: a corpus can't be read or holds no text, or nothing is held out.
    """
    tokenizer = load_tokenizer(model)
    validation = curriculum.validation
    corpora = {
        name: _tokenized(name, settings, curriculum, tokenizer, tell)
        for name, settings in curriculum.corpora.items()
    }
    if validation.corpus is None:
        measured = next(iter(corpora.values()))
        documents = split.held_out_documents(measured.corpus, validation.share, curriculum.seed)
    else:
        measured = _tokenized("validation", validation.corpus, curriculum, tokenizer, tell)
        documents = np.arange(len(measured.corpus))
    if not measured.corpus.lengths[documents].any():
        raise LongbioError(
            "no text is held out to measure on",
            where="validation",
            remedy="raise validation.share, or name a validation.corpus",
        )
    sources: dict[str, Source] = {}
    described: dict[str, dict[str, Any]] = {}
    for name, cached in corpora.items():
        corpus = cached.corpus
        is_theirs = split.of_their_groups(corpus, measured.corpus, documents)
        rest = np.flatnonzero(~is_theirs)
        is_near = _near_duplicates(cached, rest, measured, documents)
        sources[name] = Source(corpus, rest[~is_near])
        described[name] = {
            "documents": len(corpus),
            "tokens": int(corpus.lengths.sum()),
            "held_out": int(is_theirs.sum()),
            "near_duplicates_dropped": int(is_near.sum()),
            "empty": int((corpus.lengths == 0).sum()),
            "key": cached.folder.name,
            "passed_over": dict(passed_over(curriculum.corpora[name].paths)),
        }
    held_out = HeldOut(
        measured.corpus, documents, tuple(validation.lengths), validation.tokens, measured.folder.name
    )
    return sources, held_out, described


def _near_duplicates(cached: Cached, rest: Ids, measured: Cached, documents: Ids) -> Bools:
    """`split.near_duplicates`, kept beside the shards: it reads the whole corpus."""
    digest = hashlib.sha256(f"{measured.folder.name} {split.SETTINGS}".encode())
    digest.update(rest.tobytes() + b" " + documents.tobytes())
    file = cached.folder / f"near-duplicates-{digest.hexdigest()[:16]}.npy"
    if file.is_file():
        try:
            known: Bools = np.load(file)
        except (OSError, ValueError) as error:
            raise LongbioError("the file is damaged", where=file, remedy="delete it") from error
        return known
    found = split.near_duplicates(cached.corpus, rest, measured.corpus, documents)
    content = BytesIO()
    np.save(content, found)
    write_bytes_atomically(file, content.getvalue())
    return found


def _tokenized(
    name: str, settings: CorpusSettings, curriculum: Curriculum, tokenizer: Any, tell: Narrator
) -> Cached:
    cache = curriculum.cache.expanduser()
    files = [file for path in settings.paths for file in text_files(path)]
    how = json.dumps(
        [
            settings.hub,
            settings.hub_revision,
            settings.hub_split,
            settings.text_column,
            settings.group_column,
        ]
    )
    hashes = KnownHashes(cache / HASHES)
    hashed = [f"{kind_of(file)} {hashes.sha256_of(file)}" for file in [*files, *_hub_files(settings)]]
    folder = cache / corpus_key(hashed, tokenizer, how)
    if (folder / WHOLE).is_file():
        tell.begin(f"corpus {name}: in the cache", 0)
        corpus = open_shards(folder)
    else:
        needed = cache_bytes(files)
        require_free_space(folder, needed)
        advance = tell.begin(f"corpus {name}: tokenise, about {needed / 1e6:,.0f} MB of disk", 0)
        columns = Columns(settings.text_column, settings.group_column)
        texts = _hub_texts(settings, columns) if settings.hub else read_texts(settings.paths, columns)
        corpus = build_shards(
            texts, tokenizer, folder, on_texts=lambda count: advance(count, f"{count:,} texts")
        )
    hashes.save()
    told = [f"passed over: {line}" for line in passed_over(settings.paths).told()]
    tell.end("; ".join([f"{len(corpus):,} documents, {corpus.lengths.sum():,} tokens", *told]))
    return Cached(corpus, folder)


def _hub_files(settings: CorpusSettings) -> list[Path]:
    """Those of a dataset that is a folder here."""
    folder = Path(settings.hub) if settings.hub else None
    return sorted(file for file in folder.rglob("*") if file.is_file()) if folder else []


def _hub_texts(settings: CorpusSettings, columns: Columns) -> Iterator[Text]:
    """Rows of a dataset on the hub, streamed."""
    from datasets import load_dataset

    assert settings.hub is not None
    rows = load_dataset(
        settings.hub, split=settings.hub_split, revision=settings.hub_revision, streaming=True
    )
    for number, row in enumerate(rows):
        yield from text_of_row(row, columns, settings.hub, f"row {number}")
