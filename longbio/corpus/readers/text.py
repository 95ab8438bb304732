"""Plain text: one UTF-8 `.txt` file a document, without mentions."""

from __future__ import annotations

from pathlib import Path

from longbio.corpus.alignment import Alignment
from longbio.corpus.records import Document
from longbio.errors import LongbioError


def read(path: Path, alignment: Alignment) -> list[Document]:
    """Reads every `.txt` file of a folder, or one such file, as documents without spans.

    Args:
        path: a folder, read without its subfolders, or a single `.txt` file.
        alignment: stays as it is: there are no mentions.

    Returns:
        The documents, sorted by id (the file's stem).

    Raises:
        LongbioError: there is nothing to read at `path`, or a file is not UTF-8.
    """
    return [Document(id=file.stem, text=read_text(file)) for file in text_files(path)]


def text_files(path: Path) -> list[Path]:
    """The `.txt` files of a folder, or the one that `path` is, sorted by stem.

    Raises:
        LongbioError: `path` is neither a `.txt` file nor a folder that holds one.
    """
    if path.is_file() and path.suffix == ".txt":
        return [path]

    if not path.is_dir():
        raise LongbioError(
            "no folder of notes and no .txt file here",
            where=path,
            remedy="give a folder that holds .txt files, or one such file",
        )

    files = sorted(path.glob("*.txt"), key=lambda file: file.stem)
    if not files:
        raise LongbioError("the folder holds no .txt file", where=path, remedy="give a folder of .txt files")
    return files


def read_text(file: Path) -> str:
    """The characters of a UTF-8 file, with its line ends as they are on disk.

    Raises:
        LongbioError: the file is not UTF-8. The error names the byte, never the text around it.
    """
    # Decoding bytes, unlike text mode, leaves CRLF alone: offsets count both its characters.
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.start

    # Raised outside the handler: the decoding error holds the whole text, and must not be chained.
    raise LongbioError(f"byte {byte} is not UTF-8", where=file, remedy="save the file again as UTF-8")
