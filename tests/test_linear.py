"""Whatever sees a note's text takes no more than its length, whatever its characters are.

Each function and each reader is given 200 KB of what regular expressions and loops are slow at, and has a
second of the processor for it. What was quadratic took minutes.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from longbio.corpus.file_names import FileNames
from longbio.corpus.marks import Mark, segments
from longbio.corpus.readers import READERS, format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Document, Question, Span
from longbio.corpus.texts import Text, read_texts
from longbio.corpus.words import make_readable, word_spans
from longbio.corpus.writers import WRITERS
from longbio.encoders.loading import load_tokenizer
from longbio.encoders.roles import section_headings
from longbio.encoders.token_windows import tokenize
from longbio.errors import LongbioError
from longbio.prediction.pages import note_page
from longbio.prediction.questions import read_questions
from longbio.tasks.answers import score_answer
from longbio.tasks.ner import Entities
from longbio.tasks.qa import Answers
from longbio.tasks.relations import Relations
from longbio.tasks.task import Prediction
from longbio.vocabulary import contexts, word_counts
from longbio.vocabulary.passages import passages_of
from longbio.vocabulary.text_lots import lots_of
from longbio.vocabulary.whole_words import Folding, Matcher

CHARS = 200_000
SECONDS = 1.0

PIECES = {
    "spaces": " ",
    "tabs": "\t",
    "no-break spaces": "\xa0",
    "line feeds": "\n",
    "carriage returns": "\r",
    "both line ends": "\r\n",
    "form feeds": "\f",
    "capitals": "A",
    "small letters": "a",
    "digits": "1",
    "full stops": ".",
    "bars": "|",
    "colons": ":",
    "headings": "A:\n",
    "short lines": "A\n",
    "words": "a ",
    "repeated words": "the patient ",
    "quotes": '"',
    "apostrophes": "'",
    "quoted cells": '"a",',
    "backslashes": "\\",
    "opening brackets": "[",
    "closing brackets": "]",
    "braces": "{",
    "objects": '{"a":',
    "lists": '{"data":[',
    "marks": "[**",
    "marks of marks": "[**]",
    "closed marks": "[**x**]",
    "tags": "<",
    "unclosed tags": "<a ",
    "elements": "<a>",
    "CDATA": "<![CDATA[",
    "texts": "<TEXT>",
    "texts with spaces": "<TEXT ",
    "records": '<RECORD ID="1">',
    "PHI": "<PHI ",
    "PHI alone": "<PHI>",
    "PHI types": "<PHI TYPE=",
    "attributes": ' TYPE="a"',
    "types": 'TYPE="',
    "ampersands": "&",
    "references": "&#1",
    "comments": "<!--",
    "concepts": '" 1:1 1:1||r="x"||c="',
    "assertions": '" 1:1 1:1||t="x"||a="',
    "docstarts": "-DOCSTART- (",
    "tagged words": "a\tO\n",
    "pubtator": "1|t|a\n",
    "masks": "@A",
    "numbered": "_s1",
    "accents": "é",
    "combining marks": "\u0301",
    "emoji": "👩\u200d",
    "C1 controls": "\x85",
}


def worst(piece: str, before: str = "", behind: str = "") -> str:
    """200 KB of a piece, with something else at its ends."""
    return before + piece * (CHARS // len(piece.encode())) + behind


# What begins as something and then is something else shows what is tried at each of its characters.
TEXTS = {
    f"{name}{where}": worst(piece, before, behind)
    for name, piece in PIECES.items()
    for where, before, behind in (("", "", ""), (", ends apart", "A", "x."))
} | {
    "a heading of spaces": worst(" ", "A", "."),
    "a heading of tabs": worst("\t", "A b", "!"),
    "a type of spaces": worst(" ", "<PHI TYPE", "<"),
    "a tag of spaces": worst(" ", "<PHI", "<"),
    "a slash of spaces": worst(" ", "<", "PHI"),
    "a closing tag of slashes": worst("/", "<", "PH"),
    "a text of spaces": worst(" ", "<TEXT>x</TEXT", "<"),
}


def seconds(work: Callable[[], Any]) -> float:
    """Of the processor: another program that runs beside doesn't count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def refuse_slow(work: Callable[[], Any], what: str) -> None:
    # What is slow is slow each time; what others took the cache from is not.
    for _ in range(3):
        taken = seconds(work)
        if taken < SECONDS:
            return
    raise AssertionError(f"{what}: {taken:.1f} s")


def phrases(text: str) -> Any:
    return list(lots_of([Text(text)])), passages_of([Text(text)], 20, 400)


def contexts_of(text: str) -> Any:
    sought = contexts.Sought(("patient", "aspirin"))
    return contexts.find_contexts([Text(text)], sought)


def page_of_entities(text: str) -> str:
    spans = tuple(Span.of(start, start + 2, "Drug") for start in range(0, min(len(text), 20_000) - 2, 20))
    details = {"probabilities": [0.5] * len(spans), "tokens": 1, "windows": 1}
    return note_page(Prediction(Document("1", text, spans), details), Entities(types=("Drug",)), details)


def page_of_answers(text: str) -> str:
    asked = tuple(Question(f"q{start}", "?", ((start, len(text)),)) for start in range(3))
    told = [{"best": [{"probability": 0.5}], "null_probability": 0.5, "windows": 1}] * 3
    details = {"questions": told, "tokens": 1}
    return note_page(Prediction(Document("1", text, questions=asked), details), Answers(), details)


SEES_TEXT: dict[str, Callable[[str], Any]] = {
    "section_headings": section_headings,
    "word_spans": word_spans,
    "make_readable": make_readable,
    "MARKS": lambda text: word_counts.MARKS.sub(" ", text),
    "MARKS in bytes": lambda text: contexts._without_marks(text.encode()),
    "find_contexts": contexts_of,
    "Matcher": lambda text: Matcher(("a", "é"), Folding(True, True, True)).find(text.encode()),
    "lots and passages": phrases,
    "score_answer": lambda text: score_answer([text], text[1:]),
    "FileNames": lambda text: FileNames().of(text),
    "segments": lambda text: segments(text, []),
    "a page of entities": page_of_entities,
    "a page of answers": page_of_answers,
}


@pytest.mark.parametrize("name", SEES_TEXT)
def test_no_function_is_slow_on_any_text(name: str) -> None:
    for what, text in TEXTS.items():
        refuse_slow(lambda text=text: SEES_TEXT[name](text), f"{name} on {what}")


@pytest.mark.parametrize(
    "what", ["headings", "short lines", "spaces", "capitals", "combining marks", "words"]
)
def test_tokens_are_marked_as_global_in_linear_time(what: str, tiny_bert_folder: Path) -> None:
    tokenizer, text = load_tokenizer(tiny_bert_folder), TEXTS[what][: CHARS // 4]
    refuse_slow(lambda: tokenize(text, tokenizer, section_headings(text)), f"tokenize {what}")


# Around a note's text, what makes a file of it; {0} is the text, {1} the text in JSON.
FRAMES: dict[str, dict[str, str]] = {
    "brat": {"a.txt": "{0}", "a.ann": "T1\tSign 0 1\t{0}\n"},
    "i2b2_2010": {"a.txt": "{0}", "a.con": 'c="a" 1:0 1:0||t="x"\n', "a.rel": 'c="{0}\n'},
    "i2b2_2012": {
        "a.xml": "<ClinicalNarrativeTemporalAnnotation><TEXT><![CDATA[{0}]]></TEXT><TAGS>{0}</TAGS>"
        "</ClinicalNarrativeTemporalAnnotation>"
    },
    "i2b2_2014": {"a.xml": "<deIdi2b2><TEXT>{0}</TEXT><TAGS></TAGS></deIdi2b2>"},
    "i2b2_2006": {"a.xml": '<ROOT><RECORD ID="1"><TEXT>{0}</TEXT></RECORD>'},
    "bioc": {"a.xml": "<collection><document><id>1</id><passage><offset>0</offset><text>{0}"},
    "pubtator": {"a.txt": "1|t|{0}\n1|a|{0}\n"},
    "iob": {"a.tsv": "a\tO\n{0}\tO\n"},
    "emrqa": {
        "a.json": '{{"data": [{{"paragraphs": [{{"note_id": "1", "context": [{1}], "qas": [{{'
        '"question": ["?"], "answers": [{{"text": {1}, "answer_start": [1, 0], "evidence": "x"}}]}}]}}]}}]}}'
    },
    "squad": {
        "a.json": '{{"data": [{{"paragraphs": [{{"context": {1}, "qas": [{{"id": "1", "question": {1},'
        '"answers": [{{"text": {1}, "answer_start": 0}}]}}]}}]}}]}}'
    },
    "pubmedqa": {"a.json": '{{"1": {{"QUESTION": {1}, "CONTEXTS": [{1}], "final_decision": "yes"}}}}'},
    "blurb": {"a.tsv": "index\tsentence\tlabel\n{0}\t{0}\t{0}\n"},
    "label_studio": {
        "a.json": '[{{"id": 1, "data": {{"text": {1}}}, "annotations": [{{"result": [{{"value": {{"start": 0,'
        ' "end": 1, "text": {1}, "labels": [{1}]}}, "from_name": "label", "type": "labels"}}]}}]}}]'
    },
    "json": {"a.json": '[{{"text": {1}, "entities": [{{"start": 0, "end": 1, "label": {1}}}]}}]'},
    "jsonl": {"a.jsonl": '{{"id": {1}, "text": {1}, "spans": []}}\n'},
    "text": {"a.txt": "{0}"},
    "table": {"a.csv": 'id,text\n1,"{0}"\n2,{0}\n'},
}


def test_every_format_is_here() -> None:
    assert FRAMES.keys() == READERS.keys()


@pytest.mark.parametrize("format_name", FRAMES)
def test_no_reader_is_slow_on_any_file(format_name: str, tmp_path: Path) -> None:
    """As a note within a file, and as all that a file is."""

    def read() -> None:
        with suppress(LongbioError):
            read_documents(tmp_path, format_name, reading=Reading(failed=lambda error: None))

    for what, text in TEXTS.items():
        is_framed = what not in PIECES
        for name, content in FRAMES[format_name].items():
            filled = content.format(text, json.dumps(text)) if is_framed else text
            (tmp_path / name).write_bytes(filled.encode())
        refuse_slow(read, f"{format_name} on {what}")


@pytest.mark.parametrize("suffix", [".txt", ".xml", ".json", ".tsv", ".jsonl", ".csv"])
def test_no_recognition_is_slow_on_any_file(suffix: str, tmp_path: Path) -> None:
    def recognise() -> None:
        with suppress(LongbioError):
            format_of(tmp_path)

    for what, text in TEXTS.items():
        (tmp_path / f"a{suffix}").write_bytes(text.encode())
        refuse_slow(recognise, f"format_of on {what}")


def test_no_text_of_pretraining_is_read_slowly(tmp_path: Path) -> None:
    for what, text in TEXTS.items():
        for name, content in (("a.txt", text), ("b.csv", f'text\n"{text.replace(chr(34), "")}"\n')):
            (tmp_path / name).write_bytes(content.encode())
        refuse_slow(lambda: [*read_texts([tmp_path])], f"read_texts on {what}")


COUNT = 8_000


MANY: dict[str, Callable[[Path], Any]] = {}
"""Of annotations, not of characters: each of them costs its own length, not that of the text."""


def many(build: Callable[[Path], Any]) -> Callable[[Path], Any]:
    MANY[build.__name__] = build
    return build


def read(file: Path, content: str, format_name: str) -> Callable[[], Any]:
    file.write_text(content, "utf-8")
    return lambda: read_documents(file, format_name, max_misaligned=1.0)


@many
def mentions_of_pubtator(folder: Path) -> Any:
    lines = "".join(f"1\t{n}\t{n + 1}\ta\tX\n" for n in range(COUNT))
    return read(folder / "a.txt", f"1|t|{'a' * CHARS}\n1|a|\n{lines}", "pubtator")


@many
def tags_of_i2b2_2006_that_close_nothing(folder: Path) -> Any:
    return read(folder / "a.xml", f'<RECORD ID="1"><TEXT>{worst("</PHI>")}</TEXT></RECORD>', "i2b2_2006")


@many
def records_of_i2b2_2006(folder: Path) -> Any:
    records = "".join(f'<RECORD ID="{n}"><TEXT>x</TEXT></RECORD>' for n in range(COUNT))
    return read(folder / "a.xml", records, "i2b2_2006")


@many
def documents_of_one_id(folder: Path) -> Any:
    return read(folder / "a.csv", "id,text\n" + "7,x\n" * COUNT, "table")


@many
def questions(folder: Path) -> Any:
    file = folder / "questions.txt"
    file.write_text("Fever?\n" * 20_000)
    return lambda: read_questions(file)


@many
def marks_within_marks(folder: Path) -> Any:
    marks = [Mark(n, 2 * COUNT - n, n % 7, f"m{n}", f"a{n}") for n in range(COUNT)]
    return lambda: segments("x" * 2 * COUNT, marks)


@many
def mentions_far_apart(folder: Path) -> Any:
    spans = tuple(Span.of(1000 * n, 1000 * n + 1, "Drug") for n in range(5 * COUNT))
    document = Document("1", "x" * 5000 * COUNT, spans)
    return lambda: [*Relations(pairs=(("Drug", "Drug"),)).candidates(document)]


@many
def documents_that_ask_for_one_file(folder: Path) -> Any:
    names = FileNames()
    return lambda: [names.of("A/B") for _ in range(COUNT)]


@pytest.mark.parametrize("name", MANY)
def test_no_number_of_things_is_slow(name: str, tmp_path: Path) -> None:
    refuse_slow(MANY[name](tmp_path), name.replace("_", " "))


@pytest.mark.parametrize("writer", ["brat", "conll", "bioc"])
def test_no_writer_is_slow(writer: str, tmp_path: Path) -> None:
    text = "a " * (CHARS // 2)
    spans = tuple(Span.of(2 * n, 2 * n + 1, "X") for n in range(COUNT))
    refuse_slow(lambda: WRITERS[writer]([Document("1", text, spans)], tmp_path), writer)


def test_headings_are_what_the_pattern_found() -> None:
    """The rule as it was first written, as one pattern: cubic, and right."""
    pattern = re.compile(r"^[ \t]*(?P<title>[^\W\d_][^\n.;?!|]*?)[ \t]*(?P<colon>:?)[ \t]*\r?$", re.M)

    def first_written(text: str) -> list[tuple[int, int]]:
        found = []
        for match in pattern.finditer(text):
            title = match["title"]
            if len(title) > 60 or len(title.split()) > 8:
                continue
            line_before = text[text.rfind("\n", 0, max(0, match.start() - 1)) + 1 : match.start()]
            after_blank = not line_before.strip()
            if title[0].isupper() and (match["colon"] or title.isupper() or after_blank):
                found.append((match.start("title"), match.end("title")))
        return found

    draw = random.Random(0)
    for _ in range(20_000):
        text = "".join(
            draw.choices(["A", "b", "É", "7", "_", " ", "\t", ":", ".", "|", "\n", "\r", "\r\n", "Bc "], k=12)
        )
        assert section_headings(text) == first_written(text), repr(text)
