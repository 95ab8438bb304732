"""Messages are one short line, whatever the files hold that they name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from longbio.corpus.readers import read_documents
from longbio.corpus.reading import PassedOver, Reading
from longbio.corpus.records import Attribute, Document, Question, Relation, Span
from longbio.corpus.writers import WRITERS
from longbio.errors import LongbioError, shorten
from longbio.prediction.questions import read_questions

LONG = "patient " * 100
NAMES = [f"column_{number}_{'x' * 40}" for number in range(500)]


def test_a_short_message_is_as_it_was() -> None:
    assert str(LongbioError("weights are missing")) == "weights are missing"
    said = LongbioError("it is broken", where=Path("a/b.txt"), remedy="fetch it again")
    assert str(said) == "a/b.txt: it is broken; fetch it again"
    assert (said.what, said.where, said.remedy) == ("it is broken", Path("a/b.txt"), "fetch it again")


@pytest.mark.parametrize("what", ["w" * 2000, "what"])
@pytest.mark.parametrize("where", [None, "/d" * 1000 + "/a.txt", "a.txt"])
@pytest.mark.parametrize("remedy", [None, "r" * 2000, "mend it"])
def test_a_long_message_keeps_what_is_short(what: str, where: str | None, remedy: str | None) -> None:
    line = str(LongbioError(what, where=where, remedy=remedy))
    assert len(line) < 300
    assert what[:20] in line
    assert where is None or "a.txt" in line
    assert remedy is None or remedy[:20] in line
    assert max(map(len, (what, where or "", remedy or ""))) < 300 or "…" in line


def test_what_is_quoted_leaves_room_for_the_path_and_the_remedy() -> None:
    path = "/home/someone/" + "deep/" * 15 + "notes.csv, line 7"
    line = str(LongbioError(f"there is no {LONG!r}", where=path, remedy="name the column of the text"))
    assert line.startswith(f"{path}: there is no 'patient")
    assert line.endswith("; name the column of the text")


def test_a_message_is_one_line_that_can_be_printed() -> None:
    line = str(LongbioError("no label\n'a\x1b[31m'", where="b\udce9.txt", remedy="name\tone"))
    assert line == "b .txt: no label 'a [31m'; name one"


@pytest.mark.parametrize(("most", "kept"), [(5, "ab…yz"), (6, "abc…yz"[:3] + "…xyz"), (26, None)])
def test_shortened(most: int, kept: str | None) -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    short = shorten(alphabet, most)
    assert len(short) <= most
    assert short == alphabet if kept is None else short[0] == "a" and short[-1] == "z" and "…" in short


def test_what_is_passed_over_is_told_in_short_lines() -> None:
    over = PassedOver()
    for name in NAMES:
        over.note(f"member {name!r} {LONG}\n", "/d" * 500 + "/a.jsonl, line 1")
    told = over.lines()
    assert len(told) < 30
    assert all(len(line) < 300 and line.isprintable() for line in told)
    assert "480 more kinds" in told[-1]
    assert len(over) == 500


def csv(header: str, row: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        (folder / "a.csv").write_text(f"{header}\n{row}\n")
        read_documents(folder)

    return read


def named(**columns: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        (folder / "a.jsonl").write_text(json.dumps(dict.fromkeys([*NAMES, "text"], "x")))
        read_documents(folder, "table", reading=Reading(columns=columns))

    return read


def file(name: str, content: str, format_name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        (folder / name).write_text(content)
        read_documents(folder, format_name)

    return read


def written(format_name: str, document: Document) -> Callable[[Path], None]:
    return lambda folder: WRITERS[format_name]([document, document], folder)


def questions(folder: Path) -> None:
    (folder / "q.jsonl").write_text(2 * (json.dumps({"id": LONG, "question": "?"}) + "\n"))
    read_questions(folder / "q.jsonl")


SPAN, OTHER = Span.of(0, 1, LONG), Span.of(1, 2, "x")
BREAKS: dict[str, Callable[[Path], None]] = {
    "columns in a table": csv(",".join(NAMES), ",".join("x" for _ in NAMES)),
    "columns in JSON": named(text=LONG),
    "a field": named(**{LONG: "text"}),
    "a header": csv(f"text,{LONG},{LONG}", "1,2,3"),
    "an encoding": lambda folder: csv("text", "x")(folder) or read_documents(folder, reading=Reading(LONG)),
    "a format": lambda folder: [*read_documents(folder, LONG)] and None,
    "a folder": lambda folder: [*read_documents(folder / ("x" * 200) / ("y" * 200) / ("z" * 200))] and None,
    "a label of BRAT": written("brat", Document("1", "xyz", (SPAN,))),
    "a document's id": written("brat", Document(LONG, "xyz")),
    "an attribute": written("brat", Document("1", "xyz", (OTHER,), attributes=(Attribute(OTHER, LONG),))),
    "a relation": written("bioc", Document(LONG, "xyz", (), relations=(Relation("x", OTHER, OTHER),))),
    "an id of BioC": written("bioc", Document(LONG, "xyz")),
    "an id of CoNLL": written("conll", Document(f"{LONG}\n", "xyz")),
    "a label of CoNLL": written("conll", Document("1", "xyz", (SPAN,))),
    "a question": written("squad", Document("1", "xyz", questions=(Question(LONG, "?"),))),
    "questions": questions,
    "lines of BRAT": file("a.ann", f"{LONG}\n", "brat"),
    "lines of PubTator": file("a.txt", f"{LONG}\n", "pubtator"),
    "JSON": file("a.json", json.dumps({LONG: {LONG: LONG}}), "pubmedqa"),
    "SQuAD": file("a.json", json.dumps({"data": [{"paragraphs": [{LONG: LONG}]}]}), "squad"),
    "XML": file(
        "a.xml", f"<deIdi2b2><TEXT>x</TEXT><TAGS><{'x' * 900} start='{LONG}'/></TAGS></deIdi2b2>", "i2b2_2014"
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_no_message_is_long_whatever_files_hold(name: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError) as caught:
        BREAKS[name](tmp_path)
    line = str(caught.value)
    assert len(line) < 300
    assert line.isprintable()
