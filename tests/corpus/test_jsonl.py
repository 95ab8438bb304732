"""longbio's own JSON lines: whatever the records hold comes back, and edits that moved text are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longbio.corpus.readers import format_of, read_documents
from longbio.corpus.reading import Reading
from longbio.corpus.records import Attribute, Document, Question, Relation, Span
from longbio.corpus.writers import WRITERS
from longbio.errors import LongbioError

TEXT = "Ünder 5 µg 🙂 the\r\ntarva\u2028held; no fever"
DRUG, SPLIT = Span.of(19, 24, "Drug"), Span(((0, 5), (33, 38)), "Sign or symptom")
WHOLE = Document(
    id="note/1",
    text=TEXT,
    spans=(SPLIT, DRUG),
    units=((0, 5), (6, 7)),
    relations=(Relation("Causes", DRUG, SPLIT),),
    attributes=(Attribute(SPLIT, "Negation"), Attribute(DRUG, "Certainty", "sure")),
    questions=(Question("q1", "What held?", ((19, 24), (15, 24))), Question("q2", "Why?")),
    query="Premise",
    labels=("a", "b"),
    score=-0.25,
    group="patient 7",
)


def written(folder: Path, *documents: Document) -> Path:
    WRITERS["jsonl"](iter(documents), folder)
    return folder / "documents.jsonl"


def edited(folder: Path, **members: Any) -> Path:
    """A small document's line with other members."""
    row = json.loads(written(folder, Document("7", "no fever", (Span.of(3, 8, "Sign"),))).read_text())
    (folder / "documents.jsonl").write_text(json.dumps({**row, **members}) + "\n")
    return folder / "documents.jsonl"


def test_all_that_records_hold_comes_back(tmp_path: Path) -> None:
    documents = [WHOLE, Document("2", ""), Document("3", "x", labels=(), query="", score=0.0)]
    file = written(tmp_path / "made", *documents)
    assert format_of(file) == format_of(tmp_path / "made") == "jsonl"
    reading = Reading()
    assert read_documents(file, reading=reading) == documents
    assert (reading.alignment.mentions, reading.alignment.faults, reading.passed_over) == (4, [], {})
    first = json.loads(file.read_text("utf-8").split("\n")[0])
    assert first["spans"][0]["text"] == "Ünder fever"
    assert first["relations"] == [{"label": "Causes", "head": 1, "tail": 0}]


characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(st.text(characters, min_size=1, max_size=20))
    edges = st.lists(st.integers(0, len(text)), min_size=2, max_size=6, unique=True).map(sorted)
    pieces = edges.map(lambda cut: tuple(zip(cut[::2], cut[1::2], strict=False)))
    label = st.text(characters, max_size=3)
    spans = tuple(sorted(draw(st.sets(st.builds(Span, pieces, label), min_size=1, max_size=3))))
    names = st.lists(st.sampled_from(spans), max_size=2, unique=True)
    return Document(
        draw(label),
        text,
        spans,
        draw(pieces),
        tuple(Relation("r", span, spans[0]) for span in draw(names)),
        tuple(Attribute(span, "a", draw(label)) for span in draw(names)),
        tuple(
            Question(f"q{n}", draw(label), each) for n, each in enumerate(draw(st.lists(pieces, max_size=2)))
        ),
        draw(st.none() | label),
        draw(st.none() | st.lists(label, max_size=2).map(tuple)),
        draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        draw(st.none() | label),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(documents(), max_size=3, unique_by=lambda document: document.id))
def test_any_documents_come_back(tmp_path: Path, several: list[Document]) -> None:
    assert read_documents(written(tmp_path, *several), "jsonl") == several


def test_texts_beside_offsets_are_checked_and_may_be_missing(tmp_path: Path) -> None:
    spans = [
        {"fragments": [[3, 8]], "label": "Sign", "text": "SECRET"},
        {"fragments": [[0, 2]], "label": "Cue"},
    ]
    answers = [{"fragment": [3, 8], "text": "SECRET"}]
    file = edited(
        tmp_path,
        spans=spans,
        relations=[{"label": "r", "head": 0, "tail": 1}, {"label": "r", "head": 1, "tail": 1}],
        attributes=[{"span": 0, "name": "a"}, {"span": 1, "name": "a"}],
        questions=[{"id": "lost", "text": "?", "answers": answers}, {"id": "kept", "text": "?"}],
        colour="red",
    )
    reading = Reading()
    (document,) = read_documents(file, reading=reading, max_misaligned=1.0)
    cue = Span.of(0, 2, "Cue")
    assert document.spans == (cue,)
    assert document.relations == (Relation("r", cue, cue),)
    assert document.attributes == (Attribute(cue, "a"),)
    assert document.questions == (Question("kept", "?"),)
    assert (reading.alignment.mentions, len(reading.alignment.faults)) == (3, 2)
    assert reading.passed_over == {
        "relation of a mention that was left out": 1,
        "attribute of a mention that was left out": 1,
        "question whose answers are not where they say": 1,
        "member 'colour' that isn't read": 1,
    }
    with pytest.raises(
        LongbioError, match=r"line 1, \.spans\[0\]: the text written beside .* 2 of 3"
    ) as caught:
        read_documents(file)
    assert "SECRET" not in str(caught.value)


def test_lines_of_others_may_stand_among_ones_own(tmp_path: Path) -> None:
    file = edited(tmp_path, spans=[{"start": 3, "end": 8, "label": "Sign", "text": "fever"}])
    (document,) = read_documents(file, "jsonl")
    assert document.spans == (Span.of(3, 8, "Sign"),)
    assert format_of(file) == "table"
    assert read_documents(file)[0].spans == document.spans


def test_spans_are_sorted_and_what_is_repeated_is_kept_once(tmp_path: Path) -> None:
    fever, cue = ({"fragments": [[3, 8]], "label": "Sign"}, {"fragments": [[0, 2]], "label": "Cue"})
    file = edited(
        tmp_path,
        spans=[fever, cue, fever],
        relations=[{"label": "r", "head": head, "tail": 1} for head in (0, 2)],
        attributes=[{"span": number, "name": "a"} for number in (2, 0)],
    )
    reading = Reading()
    (document,) = read_documents(file, reading=reading)
    first, second = Span.of(0, 2, "Cue"), Span.of(3, 8, "Sign")
    assert document.spans == (first, second)
    assert document.relations == (Relation("r", second, first),)
    assert document.attributes == (Attribute(second, "a"),)
    assert (reading.alignment.mentions, reading.alignment.faults) == (3, [])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"text": None}, "'text' is no text"),
        ({"id": 7}, "'id' is no text"),
        ({"spans": {}}, "'spans' is no list"),
        ({"spans": [{"fragments": [[3, 90]], "label": "x"}]}, r"\.spans\[0\]: this is no pair"),
        ({"spans": [{"fragments": [[3, True]], "label": "x"}]}, "this is no pair"),
        ({"spans": [{"fragments": [], "label": "x"}]}, "'fragments' are missing or out of order"),
        (
            {"spans": [{"fragments": [[3, 5], [0, 2]], "label": "x"}]},
            "'fragments' are missing or out of order",
        ),
        ({"spans": [{"fragments": [[3, 5]]}]}, "there is no 'label'"),
        ({"units": [[5, 3]]}, r"\.units: this is no pair"),
        ({"relations": [{"label": "r", "head": 0, "tail": 1}]}, r"\.relations\[0\]: 'tail' is no mention's"),
        ({"attributes": [{"span": -1, "name": "a"}]}, "'span' is no mention's number"),
        ({"questions": [{"id": "q", "text": "?", "answers": [{"fragment": [3, 3]}]}]}, "this is no pair"),
        ({"labels": "one"}, "'labels' is no list"),
        ({"labels": [1]}, "'labels' is no list of texts"),
        ({"score": "high"}, "the score is no number"),
    ],
)
def test_malformed_lines_are_named(members: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = edited(tmp_path, **members)
    with pytest.raises(LongbioError, match=words) as caught:
        read_documents(file, "jsonl")
    assert str(caught.value).startswith(f"{file}, line 1")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (Document("7", "abc", attributes=(Attribute(DRUG, "a"),)), "of a mention that isn't the document's"),
        (Document("7", "abc", (Span.of(0, 4, "x"),)), "ends after the text"),
        (Document("7", "abc", questions=(Question("q", "?", ((0, 4),)),)), "ends after the text"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(document: Document, words: str, tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match=words):
        written(tmp_path, document)
