"""Plain text: one UTF-8 `.txt` file a document, without mentions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from longbio.corpus.file_text import read_text
from longbio.corpus.files import corpus_files, kind_of, refuse_empty, stem_of
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document
from longbio.errors import LongbioError

ENDINGS = (".txt",)


def read(path: Path, reading: Reading) -> Iterator[Document]:
    """The `.txt` files of a folder, or one such file, sorted by id (the file's stem).

    Those that can't be read are skipped, where the reading wants to go on.
    """
    for file in text_files(path):
        try:
            text = read_text(file, reading.encoding)
        except LongbioError as error:
            reading.skip(error)
            continue
        yield Document(id=stem_of(file), text=text)


def text_files(path: Path) -> list[Path]:
    """The `.txt` files of a folder, sorted by stem, or that one. Raises LongbioError if there are none."""
    if path.is_file() and kind_of(path) in ENDINGS:
        return [path]
    if not path.is_dir():
        raise LongbioError(
            "no folder of notes and no .txt file here",
            where=path,
            remedy="give a folder that holds .txt files, or one such file",
        )
    files = sorted(corpus_files(path, ENDINGS), key=stem_of)
    if not files:
        refuse_empty(path)
        raise LongbioError("the folder holds no .txt file", where=path, remedy="give a folder of .txt files")
    return files
