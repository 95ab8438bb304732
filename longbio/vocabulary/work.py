"""What a killed run leaves for the next one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from longbio.artifacts.files import write_bytes_atomically, write_text_atomically
from longbio.corpus.texts import Corpus, Text, text_files

KEY = "key"


class Work:
    """Named sets of tensors in a folder beside a target; its owner alone can read them.

    Args:
        target: what is being made.
        key: of what it is made from; what another key left is deleted.
    """

    def __init__(self, target: Path, key: str) -> None:
        self.folder = target.absolute().with_name(f".{target.name}.extending")
        known = self.folder / KEY
        if known.is_file() and known.read_text() == key:
            return
        self.clear()
        self.folder.mkdir(parents=True, mode=0o700)
        write_text_atomically(known, key)

    def known(self, name: str) -> dict[str, Tensor] | None:
        """What was kept under a name, or None."""
        file = self.folder / f"{name}.safetensors"
        return load_file(file) if file.is_file() else None

    def keep(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Keep tensors under a name, in the place of older ones."""
        whole = {key: tensor.contiguous() for key, tensor in tensors.items()}
        write_bytes_atomically(self.folder / f"{name}.safetensors", save(whole))

    def once(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What was kept, or what `make` makes and is kept from now on."""
        found = self.known(name)
        if found is None:
            found = make()
            self.keep(name, found)
        return found

    def clear(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def key_of(texts: Iterable[Text]) -> str:
    """A name for a corpus: of its files' places, sizes and times, or of texts in memory."""
    digest = hashlib.sha256()
    if isinstance(texts, Corpus):
        for path in texts.paths:
            for file in text_files(path):
                state = file.stat()
                digest.update(f"{file.absolute()} {state.st_size} {state.st_mtime_ns}\n".encode())
        digest.update(repr(texts.columns).encode())
    else:
        for text in texts:
            digest.update(f"{len(text.text)} {text.text}".encode())
    return digest.hexdigest()
