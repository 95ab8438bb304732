"""The text of files: all of it, its lines or its beginning, whatever their compression."""

from __future__ import annotations

import io
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow

from longbio.corpus.files import COMPRESSIONS, first_files, open_file
from longbio.errors import LongbioError

SNIFFED_CHARS = 1 << 14
"""Of a file's beginning, looked at to find out its format."""

PIECE_BYTES = 1 << 10
"""Of a beginning, read at once: what comes before a damage is known to so much."""


def refuse_unknown_encoding(encoding: str) -> None:
    """Raises LongbioError where Python has no encoding of text of that name."""
    try:
        "".encode(encoding)
    except LookupError:
        raise LongbioError(f"there is no encoding {encoding!r}", where="encoding") from None


def read_text(file: Path, encoding: str = "utf-8") -> str:
    """The characters of a note's file, with its line ends as they are on disk, every one counted.

    Raises:
        LongbioError: the file can't be read, or isn't in this encoding. Names the byte, never the text.
    """
    with open_file(file) as stream:
        content = stream.read()
    refuse_unknown_encoding(encoding)
    # Decoding bytes, unlike text mode, leaves CRLF alone: offsets count both its characters.
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        byte = error.start
    # Raised outside the handler: the decoding error holds the whole text, and must not be chained.
    raise LongbioError(
        f"byte {byte} is not {encoding.upper()}",
        where=file,
        remedy="save the file again as UTF-8, or name its encoding: cp1252, most often (not latin-1)",
    )


def read_markup(file: Path, encoding: str = "utf-8") -> str:
    """`read_text` of a file that isn't a note itself: a byte-order mark is left out."""
    return read_text(file, encoding).removeprefix("\ufeff")


def read_lines(
    file: Path, encoding: str = "utf-8", newline: str = "", *, damaged: bool = False
) -> Iterator[str]:
    r"""Lines with their ends as they are; a byte-order mark is left out.

    Args:
        file: as it is or compressed.
        encoding: of its text.
        newline: what ends a line: "\n" for that alone, "" for "\r" as well.
        damaged: give lines with zero bytes, and with others than of that encoding as half characters, too.

    Raises:
        LongbioError: the file is missing, not in that encoding, binary or damaged.
    """
    number = 0
    stream = _text_stream(file, encoding, newline, "surrogateescape" if damaged else "strict")
    try:
        for number, line in enumerate(stream, start=1):
            if number == 1:
                line = line.removeprefix("\ufeff")  # of encodings whose codec leaves it there
            if "\0" in line and not damaged:
                raise LongbioError(f"line {number} holds a zero byte: the file is binary", where=file)
            yield line
        return
    except UnicodeError:
        fault = f"after line {number} there is a byte that is not {encoding.upper()}"
    except (OSError, EOFError) as error:
        fault = f"the file can't be read to its end ({first_line_of(error)})"
    # Raised outside the handler: the decoding error holds text, and must not be chained.
    raise LongbioError(
        fault,
        where=file,
        remedy="save it again as UTF-8, or name its encoding (cp1252?), or fetch it again",
    )


def number_lines(lines: Iterable[str], file: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that aren't blank, without their ends, each behind its place: file and number."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{file}, line {number}", line.removesuffix("\n").removesuffix("\r")


def first_line_of(error: Exception) -> str:
    """The first line that an error says, or its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _text_stream(file: Path, encoding: str, newline: str, errors: str) -> io.TextIOBase:
    compression = COMPRESSIONS.get(file.suffix.lower())
    marked = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    refuse_unknown_encoding(encoding)
    try:
        stream = pyarrow.input_stream(str(file), compression=compression, buffer_size=1 << 20)
    except OSError as error:
        raise LongbioError(f"the file can't be opened ({error.strerror or error})", where=file) from error
    return io.TextIOWrapper(stream, encoding=marked, newline=newline, errors=errors)


def first_lines(path: Path, endings: tuple[str, ...]) -> Iterator[str]:
    """The first line of each of the `first_files`; files that can't be read, and bytes that are no UTF-8, are
    left out."""
    for file in first_files(path, endings):
        try:
            with _text_stream(file, "utf-8", "\n", "ignore") as stream:
                line = stream.readline()
        except (LongbioError, OSError, EOFError):
            continue
        yield line


def beginnings_of(path: Path, endings: tuple[str, ...]) -> Iterator[str]:
    """The first characters of each of the `first_files`; bytes that are no UTF-8 are left out."""
    for file in first_files(path, endings):
        beginning, decoder = "", getincrementaldecoder("utf-8")("ignore")
        try:
            with open_file(file) as stream:
                while len(beginning) < SNIFFED_CHARS and (piece := stream.read(PIECE_BYTES)):
                    beginning += decoder.decode(piece)
        except LongbioError:
            # What a damaged file holds before its damage may tell; who reads it says what is wrong.
            if file.suffix.lower() not in COMPRESSIONS:
                raise
        yield beginning.removeprefix("\ufeff")
