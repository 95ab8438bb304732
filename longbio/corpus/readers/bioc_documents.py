"""Documents of BioC as the library `bioc` has them, one at a time, from XML and from JSON's dialects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bioc import BioCDocument, biocjson, biocxml
from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types

from longbio.corpus.file_text import number_lines, read_lines
from longbio.corpus.files import open_file
from longbio.errors import LongbioError

HOLDERS = ("documents", "PubTator3")
"""Where an object of JSON that is no document itself holds documents."""

LISTS = {
    "document": {"passages": "passage", "annotations": "annotation", "relations": "relation"},
    "passage": {"sentences": "sentence", "annotations": "annotation", "relations": "relation"},
    "sentence": {"annotations": "annotation", "relations": "relation"},
    "annotation": {"locations": "location"},
    "relation": {"nodes": "node"},
}
"""The lists that an object has, and what is in them: the library wants all of them to be there."""

TYPES = {"offset": int, "length": int, "text": str, "infons": dict}


def documents_of_xml(file: Path) -> Iterator[tuple[BioCDocument, str]]:
    """The documents of a file, and the line each begins at; one is in memory at a time.

    The encoding is what the XML says. A file that defines entities is refused before its contents
    are read: nothing is expanded, and nothing fetched.

    Raises:
        LongbioError: the file can't be read, is no XML, defines entities, is no collection, or holds no BioC.
    """
    with open_file(file) as stream:
        elements = etree.iterparse(
            stream,
            events=("start", "end"),
            tag=("collection", "document"),
            resolve_entities=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        )
        root = None
        while (parsed := _next_element(elements, file)) is not None:
            event, element = parsed
            if root is None:
                root = element
                _refuse_entities(root, file)
            if event == "end" and element.tag == "document" and element.getparent() is root:
                where = f"{file}, line {element.sourceline}"
                content = etree.tostring(element, encoding="unicode", with_tail=False)
                yield _parse(partial(_one_of_xml, content), where), where
                # The parser is ahead: only what stands before has been read for certain.
                element.clear()
                while element.getprevious() is not None:
                    del root[0]
        if root is None or root.tag != "collection":
            raise LongbioError("the file holds no BioC collection", where=file)


def documents_of_json(file: Path, encoding: str) -> Iterator[tuple[BioCDocument, str]]:
    """The documents of a file, and where each stands.

    One rule for all dialects: a document is an object with `passages`. The file is one JSON value, or one a
    line, of which one is in memory at a time; such a value is a document, a list, or an object that holds
    more under one of `HOLDERS`. Lists that are missing are empty; an `_id` is the id where there is no `id`.

    Raises:
        LongbioError: the file isn't in this encoding or no JSON, or a value is no BioC.
    """
    for value, where in _values(file, encoding):
        for number, document in enumerate(_documents_in(value, where), start=1):
            place = where if document is value else f"{where}, document {number}"
            yield _parse(partial(_one_of_json, document), place), place


def _next_element(elements: Any, file: Path) -> tuple[str, Any] | None:
    try:
        return next(elements, None)
    except etree.XMLSyntaxError as error:
        line = error.lineno
    # Raised outside the handler: the parser's message may quote the text.
    raise LongbioError("this is no well-formed XML", where=f"{file}, line {line}")


def _refuse_entities(root: Any, file: Path) -> None:
    definitions = root.getroottree().docinfo.internalDTD
    if definitions is not None and any(True for _ in definitions.iterentities()):
        raise LongbioError(
            "the file defines entities, which aren't expanded",
            where=file,
            remedy="write their contents where they are named",
        )


def _one_of_xml(document: str) -> BioCDocument:
    (parsed,) = biocxml.loads(f"<collection>{document}</collection>").documents
    return parsed


def _one_of_json(document: dict[str, Any]) -> BioCDocument:
    # Half a surrogate pair, which JSON can say, is no character.
    json.dumps(document, ensure_ascii=False).encode()
    whole = _complete(document, "document")
    whole["id"] = whole["id"] or document.get("_id") or ""
    return biocjson.fromJSON(whole, "BioCDocument")


def _complete(value: Any, kind: str) -> dict[str, Any]:
    """An object with all its lists. Raises TypeError where something is of another type."""
    if not isinstance(value, dict):
        raise TypeError(f"a {kind} is no object")
    members = {key: member for key, member in value.items() if member is not None}
    for key, wanted in TYPES.items():
        if key in members and type(members[key]) is not wanted:
            raise TypeError(f"{key} is no {wanted}")
    lists = {
        name: [_complete(item, inner) for item in members.get(name, ())]
        for name, inner in LISTS.get(kind, {}).items()
    }
    infons = {key: infon for key, infon in members.get("infons", {}).items() if infon is not None}
    return {"id": "", "text": "", "role": ""} | members | lists | {"infons": infons}


def _parse(parse: Callable[[], BioCDocument], where: str) -> BioCDocument:
    try:
        return parse()
    except (KeyError, TypeError, ValueError, RecursionError, etree.XMLSyntaxError):
        pass
    raise LongbioError(
        "this is no BioC document", where=where, remedy="see the minimal sample in docs/formats.md"
    )


def _values(file: Path, encoding: str) -> Iterator[tuple[Any, str]]:
    lines = number_lines(read_lines(file, encoding, "\n"), file)
    where, line = next(lines, (f"{file}, line 1", ""))
    first: tuple[Any, str] | None = None
    with suppress(ValueError, RecursionError):
        first = json.loads(line.strip()), where
    if first is None:
        yield _load("".join(read_lines(file, encoding, "\n")), f"{file}, line "), str(file)
        return
    yield first
    for where, line in lines:
        yield _load(line.strip(), where), where


def _load(content: str, where: str) -> Any:
    """What is written in JSON; a place that ends in "line " lacks the number of the line."""
    line = 1
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        line = error.lineno
    except (ValueError, RecursionError):
        pass  # a number of more digits, or lists in more lists, than Python reads
    # Raised outside the handler: the error holds the whole content.
    raise LongbioError(
        "this is no JSON",
        where=f"{where}{line}" if where.endswith(" ") else where,
        remedy="give one JSON value, or one a line",
    )


def _documents_in(value: Any, where: str) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict) and "passages" in value:
            yield value
        elif isinstance(value, dict) and any(holder in value for holder in HOLDERS):
            waiting += [value[holder] for holder in reversed(HOLDERS) if holder in value]
        else:
            raise LongbioError(
                "there is something else than BioC documents here",
                where=where,
                remedy=f"documents have passages; they may be lines, a list, or lie in {list(HOLDERS)}",
            )
