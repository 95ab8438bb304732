"""The files a tokenizer is made from: looked at before transformers makes one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

from longbio.artifacts.atomic_files import read_json
from longbio.encoders.casing import CONFIG, Stated, read_stated, reads_alike
from longbio.errors import LongbioError

REMEDY = "put tokenizer.json, or the vocabulary it is made from, beside the weights"
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)
"""A tokenizer is made from one of them; tokenizer.json goes before all others."""

BYTE_ORDER_MARK = "\ufeff"
READ_STRICTLY = (CONFIG, "tokenizer.json", "vocab.json", "merges.txt", "special_tokens_map.json")
"""In these transformers can't read a byte-order mark."""


@dataclass(frozen=True)
class TokenizerFiles:
    """What lies in a checkpoint folder, or under a name on the hub, for its tokenizer: files by name."""

    path: str
    files: dict[str, Path]

    @classmethod
    def of(cls, path: str | Path) -> TokenizerFiles:
        names = {*VOCABULARIES, *READ_STRICTLY}
        if Path(path).is_dir():
            return cls(str(path), {name: Path(path, name) for name in names if Path(path, name).is_file()})
        quiet = {
            "_raise_exceptions_for_missing_entries": False,
            "_raise_exceptions_for_connection_errors": False,
            "_raise_exceptions_for_gated_repo": False,
        }
        try:
            places = {name: cached_file(str(path), name, **quiet) for name in sorted(names)}
        except (OSError, ValueError):  # no such name: loading it says so
            places = {}
        return cls(str(path), {name: Path(place) for name, place in places.items() if place is not None})

    def refuse_damaged(self) -> None:
        """Raise `LongbioError` where transformers would read something else than is meant, or nothing."""
        if Path(self.path).is_dir() and not self.files.keys() & set(VOCABULARIES):
            # Without any, transformers makes an empty vocabulary up and says nothing.
            raise LongbioError("the folder has no tokenizer", where=self.path, remedy=REMEDY)
        for name in READ_STRICTLY:
            file = self.files.get(name)
            if file is not None and file.read_bytes().startswith(BYTE_ORDER_MARK.encode()):
                what = "the file begins with a byte-order mark"
                raise LongbioError(what, where=file, remedy="save it as UTF-8 without one")
        vocabulary = (self.tokenizer_json or {}).get("model", {}).get("vocab", ())
        if isinstance(vocabulary, dict) and any(p.startswith(BYTE_ORDER_MARK + "[") for p in vocabulary):
            raise LongbioError(
                "its vocabulary was made from a file with a byte-order mark, so a special token has no row",
                where=self.files["tokenizer.json"],
                remedy="take vocab.txt in its place, or remove the mark",
            )

    def stated(self) -> Stated:
        """What the files say of capitals and accents."""
        config = read_json(self.files[CONFIG]) if CONFIG in self.files else {}
        return read_stated(config, self.tokenizer_json)

    def reads_alike(self, tokenizer: Any) -> bool:
        return self.tokenizer_json is None or reads_alike(
            self.tokenizer_json.get("normalizer"), tokenizer.backend_tokenizer
        )

    def changes(self) -> dict[str, Any]:
        """What transformers has to be given to read `vocab.txt` as it is meant."""
        if "vocab.txt" not in self.files or "tokenizer.json" in self.files:
            return {}
        pieces, was_mended = read_vocabulary(self.files["vocab.txt"])
        return {"vocab": pieces} if was_mended else {}

    def pieces(self) -> dict[str, int]:
        """The vocabulary as it stands in its file, by id; empty where it isn't WordPiece's."""
        if self.tokenizer_json is not None:
            vocabulary = self.tokenizer_json.get("model", {}).get("vocab")
            return dict(vocabulary) if isinstance(vocabulary, dict) else {}
        return read_vocabulary(self.files["vocab.txt"])[0] if "vocab.txt" in self.files else {}

    @cached_property
    def tokenizer_json(self) -> dict[str, Any] | None:
        """The content of tokenizer.json, None where there is none."""
        if "tokenizer.json" not in self.files:
            return None
        try:
            content: dict[str, Any] = read_json(self.files["tokenizer.json"])
        except LongbioError as error:
            what = f"the tokenizer can't be read ({error.what})"
            raise LongbioError(what, where=error.where, remedy=REMEDY) from error
        return content


def read_vocabulary(file: Path) -> tuple[dict[str, int], bool]:
    """The pieces of a `vocab.txt` by line number, and whether they are other than its plain lines.

    A byte-order mark, white space around a piece and empty lines at the end are no part of it. As in BERT,
    the last of equal lines counts. Raises LongbioError where it isn't UTF-8.
    """
    try:
        lines = file.read_text("utf-8").split("\n")
    except UnicodeDecodeError:
        raise LongbioError("the vocabulary isn't UTF-8", where=file, remedy="save it as UTF-8") from None
    pieces = [line.removeprefix(BYTE_ORDER_MARK).strip(" \t") for line in lines]
    while pieces and not pieces[-1]:
        pieces.pop()
    plain = lines[:-1] if lines[-1] == "" else lines
    return {piece: number for number, piece in enumerate(pieces)}, pieces != plain
