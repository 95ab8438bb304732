"""BRAT and pages: names of files, what is marked, and nothing in a page but the page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbio.corpus.file_names import FileNames
from longbio.corpus.marks import Mark, segments
from longbio.corpus.readers import read_documents
from longbio.corpus.records import Document, Question, Relation, Span
from longbio.corpus.writers import jsonl
from longbio.errors import LongbioError
from longbio.prediction.annotate import Notes, annotate
from longbio.prediction.outputs import Brat, describe, round_floats
from longbio.prediction.pages import note_page
from longbio.prediction.predictor import Model
from longbio.tasks.classification import Classes
from longbio.tasks.ner import Entities
from longbio.tasks.relations import Relations
from longbio.tasks.similarity import Similarity
from longbio.tasks.task import Prediction

Reader = Callable[..., Model]


class Page(HTMLParser):
    """What a browser would see: the text of the note, marked pieces, and what would be fetched."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.note, self.marked, self.said, self.fetched = "", [], [], []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in ("meta", "link", "img", "br"):
            self.open.append("note" if named.get("class") == "note" else tag)
        self.fetched += [v for n, v in attrs if n in ("src", "srcset") or (n == "href" and tag == "link")]
        self.fetched += [tag] * (tag in ("script", "link", "img", "iframe", "object", "embed"))

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "note" in self.open:
            if "sup" in self.open:
                self.said.append(data)
            else:
                self.note += data
                if "mark" in self.open:
                    self.marked.append(data)


def test_brat_is_read_back_and_odd_ids_get_names(reader_of: Reader, tmp_path: Path) -> None:
    ids = ["a", "A", "a", "x/y", "..", "", "é 1", "con:", "z" * 300, ".hidden", "a.2"]
    documents = [Document(name, f"drug {number} the") for number, name in enumerate(ids)]
    jsonl.write(documents, tmp_path / "in")
    out = tmp_path / "out"
    annotate(reader_of(), Notes(tmp_path / "in"), out, output="brat")
    renamed = {
        row["file"]: row["id"] for row in map(json.loads, (out / "names.jsonl").read_text().splitlines())
    }
    # Reading has made the ids unique; files are so also where case doesn't count.
    assert [*renamed.values()] == ["A", "a.2", "x/y", "..", "", "con:", "z" * 300, ".hidden", "a.2.2"]
    ids[2], ids[-1] = "a.2", "a.2.2"
    found = read_documents(out)
    assert sorted(d.id for d in found) == sorted(ids)
    assert {(d.text, d.spans[0]) for d in found} == {
        (d.text, Span.of(0, len(d.text) - 4, "Drug")) for d in documents
    }


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from("aAbB")))
def test_names_are_unique_and_safe(ids: list[str]) -> None:
    names, again = FileNames(), FileNames()
    made = [names.of(each) for each in ids]
    assert made == [again.of(each) for each in ids]
    assert len({name.casefold() for name in made}) == len(ids)
    for name in made:
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name.strip(" .") == name
        assert name


def test_brat_refuses_what_it_has_no_place_for(tmp_path: Path) -> None:
    with pytest.raises(LongbioError, match="no place for what a model of classification"):
        Brat(tmp_path, Classes(classes=("a", "b")), "0")
    with pytest.raises(LongbioError, match="labels of one word, and the model has 'Adverse Event'"):
        Brat(tmp_path, Entities(types=("Drug", "Adverse Event")), "0")


def test_probabilities_have_few_digits() -> None:
    assert round_floats({"a": [0.123456789, {"b": (1.0, None)}], "c": "0.123456789", "d": True}) == {
        "a": [0.123457, {"b": [1.0, None]}],
        "c": "0.123456789",
        "d": True,
    }


def test_a_page_holds_the_note_and_marks_what_was_found(reader_of: Reader, tmp_path: Path) -> None:
    texts = {
        "a": "the <b>drug 7</b> & \"drug 8\"\r\n\tthe</div><script>alert('x')</script>",
        "b": "bell \x07 {{ 7 * 7 }} drug 1",
        "c<i>": "",
    }
    jsonl.write([Document(name, text) for name, text in texts.items()], tmp_path / "in")
    out = tmp_path / "out"
    annotate(reader_of(), Notes(tmp_path / "in"), out, output="html")
    index = (out / "index.html").read_text()
    links = re.findall(r'href="([^"]+)">([^<]*)<', index)
    assert [html.unescape(name) for _, name in links] == [*texts]
    for (link, _), text in zip(links, texts.values(), strict=True):
        source = (out / link).read_bytes().decode()
        page = Page(source)
        assert page.fetched == []
        assert page.open == []
        assert page.note == text.replace("\x07", "␇")
        assert "default-src 'none'" in source
        assert "http://" not in source.replace("http-equiv", "")
        assert "https://" not in source
        assert "prefers-color-scheme: dark" in source
        assert "@media print" in source
        if text.startswith("the"):
            assert page.marked == ["drug 7", "drug 8"]
            assert all(re.fullmatch(r"Drug 0\.\d\d", words) for words in page.said)
            assert len(page.said) == 2
    assert ["2 mentions" in index, "1 mention: Drug 1<" in index, "0 mentions" in index] == [True] * 3


def page_of(document: Document, task: object, details: dict[str, object]) -> str:
    prediction = Prediction(document, details)
    return note_page(prediction, task, describe(prediction, task, "0" * 16))  # type: ignore[arg-type]  # any task


def test_answers_stand_beneath_their_questions_and_in_the_note(reader_of: Reader, tmp_path: Path) -> None:
    questions = (Question("1", "the <patient>?"), Question("2", "patient"))
    (tmp_path / "a.txt").write_text("the " * 100 + "drug 7" + " the" * 100)
    notes = Notes(tmp_path / "a.txt", questions=questions)
    annotate(reader_of("qa"), notes, tmp_path / "out", output="html")
    source = (tmp_path / "out" / "notes" / "a.html").read_text()
    assert "the &lt;patient&gt;?" in source
    assert source.count('<mark class="t0">drug 7</mark>') == 3
    assert source.count("<sup>answer") == 2
    assert source.count('href="#answer-1"') == source.count('id="answer-1"') == 1
    assert Page(source).note == (tmp_path / "a.txt").read_text()
    assert "2 of 2 answered" in (tmp_path / "out" / "index.html").read_text()


def test_classes_are_a_table(reader_of: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the drug")
    annotate(reader_of("classification"), Notes(tmp_path / "a.txt"), tmp_path / "out", output="html")
    source = (tmp_path / "out" / "notes" / "a.html").read_text()
    assert [name in source for name in ("<td>sick", "<td>well")] == [True, True]
    assert source.count("✓") == 1
    assert Page(source).marked == []


def test_what_was_not_read_is_said() -> None:
    details = {"tokens": 5000, "windows": 1, "unread_tokens": 900, "probabilities": {"a": 1.0, "b": 0.0}}
    source = page_of(Document("a", "x", labels=("a",)), Classes(classes=("a", "b")), details)
    assert "5,000 tokens, read in 1 window, <b>900 of them not read</b>" in source


def test_relations_and_scores() -> None:
    drug, rash = Span.of(0, 4, "Drug"), Span(((5, 7), (8, 12)), "Event")
    document = Document("a", "drug no a rash", (drug, rash), relations=(Relation("causes", drug, rash),))
    details = {"tokens": 4, "pairs": 1, "relations": [{"label": "causes", "probability": 0.75}]}
    source = page_of(document, Relations(), details)
    assert "<td>causes</td><td>drug</td><td>no a ra</td>" in source
    assert Page(source).said == ["Drug", "Event"]
    details = {"tokens": 4, "windows": 1, "unread_tokens": 0, "score": 2.5}
    source = page_of(Document("a", "x", query="a < b", score=2.5), Similarity(mean=1, deviation=1), details)
    assert "Score <b>2.500</b>" in source
    assert "a &lt; b" in source


@given(
    st.text(min_size=1, max_size=20).flatmap(
        lambda text: st.tuples(
            st.just(text),
            st.lists(
                st.tuples(st.integers(0, len(text) - 1), st.integers(1, 5)).map(
                    lambda pair: (pair[0], min(len(text), sum(pair)))
                ),
                max_size=6,
            ),
        )
    )
)
def test_segments_hold_the_text_and_every_mark(given_text: tuple[str, list[tuple[int, int]]]) -> None:
    text, places = given_text
    marks = [Mark(start, end, n, f"w{n}", f"a{n}") for n, (start, end) in enumerate(places)]
    cut = segments(text, marks)
    assert sum(len(segment.text) for segment in cut) == len(text)
    position = 0
    for segment in cut:
        inside = [m for m in marks if m.start_char <= position and position + len(segment.text) <= m.end_char]
        assert (segment.kind is None) == (not inside)
        if inside:
            shortest = min(mark.end_char - mark.start_char for mark in inside)
            assert shortest == marks[segment.kind].end_char - marks[segment.kind].start_char
        position += len(segment.text)
        assert {*segment.ended} == {mark.words for mark in marks if mark.end_char == position}
    assert sorted(a for segment in cut for a in segment.anchors) == sorted(mark.anchor for mark in marks)
