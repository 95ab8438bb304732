"""BRAT standoff: a `.txt` file and, beside it, an `.ann` file of character offsets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from longbio.corpus.file_names import TABLE, FileNames, row
from longbio.corpus.fragments import CUTS, Fragment, cut_at_lines, join_fragments
from longbio.corpus.records import Attribute, Document, Span
from longbio.corpus.writers.checks import each_once, name_in, refuse_beyond_text
from longbio.errors import LongbioError

WORD = re.compile(r"\S+")
"""What labels and names must be to stand in their columns."""


def write(documents: Iterable[Document], folder: Path, counted: Counter[str] | None = None) -> None:
    """Writes each document as `<id>.txt` and `<id>.ann`, so that reading them gives it back.

    Where an id is no file name (it has a `/`, is too long, or looks like a README), they have another,
    and `names.jsonl` says whose they are.

    The `.ann` is written even without spans: a document without mentions differs from one that wasn't
    annotated. Files of the same name are replaced. BRAT has no place for more than text, spans, relations and
    attributes. A mention that goes over a line end is written as BRAT does it, in fragments without it, which
    are read as one; a line end at its border is lost.

    Fragments of a span must have more than white space between them to be read back equal. Mentions are
    `counted`: those written, those that lost a line end at a border, and those left out because they are
    nothing else, with what was said of them.

    Raises:
        LongbioError: an id is there twice, a label or an attribute's name isn't one word, a value holds a
            line end, a span ends after its text, or a relation or an attribute is about a span that isn't
            the document's.
    """
    counted = Counter() if counted is None else counted
    folder.mkdir(parents=True, exist_ok=True)
    names, renamed = FileNames(), ""
    for document in each_once(documents, folder):
        name = names.of(document.id)
        if name != document.id:
            renamed += row(document.id, name)
        for file, content in files_of(document, name, counted).items():
            (folder / file).write_bytes(content)
    if renamed:
        (folder / TABLE).write_bytes(renamed.encode("utf-8"))


def files_of(document: Document, name: str, counted: Counter[str] | None = None) -> dict[str, bytes]:
    """The content of a document's two files, whose name has no ending; `counted` and raises as of `write`."""
    annotations = "".join(f"{line}\n" for line in _lines(document, Counter() if counted is None else counted))
    # Bytes, not text mode: a line end of the note must reach the disk as it is.
    return {f"{name}.ann": annotations.encode("utf-8"), f"{name}.txt": document.text.encode("utf-8")}


def _lines(document: Document, counted: Counter[str]) -> Iterator[str]:
    name_of = {span: f"T{number}" for number, span in enumerate(document.spans, start=1)}
    unwritten = set()
    for span, name in name_of.items():
        fragments = _fragments(span, document, counted)
        if fragments:
            yield f"{name}\t{_mention(span.label, fragments, document)}"
        else:
            unwritten.add(name)
    for number, relation in enumerate(document.relations, start=1):
        ends = [name_in(name_of, end, document) for end in (relation.head, relation.tail)]
        if unwritten.isdisjoint(ends):
            yield f"R{number}\t{_word(relation.label, document)} Arg1:{ends[0]} Arg2:{ends[1]}"
        else:
            counted["relation of it left out"] += 1
    for number, attribute in enumerate(document.attributes, start=1):
        name = name_in(name_of, attribute.span, document)
        if name not in unwritten:
            yield f"A{number}\t{_attribute(attribute, name, document)}"
        else:
            counted["attribute of it left out"] += 1


def _fragments(span: Span, document: Document, counted: Counter[str]) -> tuple[Fragment, ...]:
    """What a mention is written as; none of one that is nothing but line ends."""
    refuse_beyond_text(span, document)
    fragments = cut_at_lines(join_fragments(span.fragments, document.text), document.text)
    if not fragments:
        counted["mention of nothing but line ends left out"] += 1
        return ()
    counted["mention written"] += 1
    is_whole = join_fragments(fragments, document.text) == join_fragments(span.fragments, document.text)
    counted["mention without the line end at its border"] += not is_whole
    return fragments


def _mention(label: str, fragments: tuple[Fragment, ...], document: Document) -> str:
    offsets = ";".join(f"{start_char} {end_char}" for start_char, end_char in fragments)
    column = " ".join(document.text[start_char:end_char] for start_char, end_char in fragments)
    return f"{_word(label, document)} {offsets}\t{column}"


def _attribute(attribute: Attribute, name: str, document: Document) -> str:
    if set(attribute.value) & CUTS - {"\t"}:
        raise LongbioError(f"a value of the attribute {attribute.name!r} holds a line end", where=document.id)
    line = f"{_word(attribute.name, document)} {name}"
    return f"{line} {attribute.value}" if attribute.value else line


def _word(label: str, document: Document) -> str:
    if not WORD.fullmatch(label):
        raise LongbioError(
            f"the label {label!r} is not one word",
            where=document.id,
            remedy="BRAT needs labels without spaces",
        )
    return label
