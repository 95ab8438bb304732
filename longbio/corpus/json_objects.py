"""JSON objects that others wrote: parsed and asked for their members without trust."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from longbio.corpus.file_text import read_lines
from longbio.errors import LongbioError

Kind = TypeVar("Kind")

KINDS: dict[type, str] = {str: "text", int: "whole number", list: "list", dict: "object"}


def parse(text: str, place: str, file: Path) -> dict[str, Any]:
    """The object that is written in a text; `place` is what it is in its file, for errors: "line 3".

    Raises:
        LongbioError: it is no JSON object, or holds half a character.
    """
    return as_object(parse_value(text, place, file), place, file)


def parse_file(file: Path, encoding: str) -> dict[str, Any]:
    """The object that a file holds; see `parse`."""
    return parse("".join(read_lines(file, encoding)), "the file", file)


def parse_value(text: str, place: str, file: Path) -> Any:
    """Whatever JSON is written in a text; see `parse`."""
    fault = None
    try:
        value = json.loads(text)
        if "\\u" in text:  # JSON can escape what UTF-8 can't write
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        fault = f"{place} holds half a character (a lone surrogate)"
    except (ValueError, RecursionError):
        fault = f"{place} is no JSON object"
    # Raised outside the handler: the decoding error holds the text, and must not be chained.
    if fault is not None:
        raise LongbioError(fault, where=file)
    return value


def as_object(value: Any, place: str, file: Path) -> dict[str, Any]:
    """An object as it is, or spaCy's pair of a text and an object, in which the text then stands. Raises
    LongbioError where it is something else."""
    match value:
        case [str() as text, dict() as others]:
            return {**others, "text": text}
        case dict():
            return value
    raise LongbioError(f"{place} is no JSON object", where=file)


def member(owner: Mapping[str, Any], name: str, kind: type[Kind], where: str) -> Kind:
    """The member of an object that has to be there and of a kind. Raises LongbioError where it is missing, or
    of another kind; names both, never the value."""
    value = owner.get(name)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise LongbioError(
        f"{name!r} is no {KINDS[kind]}" if name in owner else f"there is no {name!r}", where=where
    )


def optional(owner: Mapping[str, Any], name: str, kind: type[Kind], where: str) -> Kind | None:
    """A `member` that may be missing, or null."""
    return None if owner.get(name) is None else member(owner, name, kind, where)


def members(owner: Mapping[str, Any], name: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list that has to be there, each with its place: `where` and `.name[number]`. Raises
    LongbioError where there is no such list, or it holds something else."""
    for number, value in enumerate(member(owner, name, list, where)):
        place = f"{where}.{name}[{number}]"
        if not isinstance(value, dict):
            raise LongbioError("this is no object", where=place)
        yield place, value


def identifier(value: Any) -> str | None:
    """An id as text, untouched; None for what is none."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
